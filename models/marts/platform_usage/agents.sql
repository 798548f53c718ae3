{{ config(
    materialized='incremental', incremental_strategy='touched', meta={'partition': ['tenant_id', 'agent_id']},
) }}

{%- call touched_partitions() %}
    select tenant_id, agent_id from {{ ref('stg_platform__agents') }}
    where agent_id is not null and {{ is_new() }}
{%- endcall %}

with

events as (
    select
        events.tenant_id,
        events.agent_id,
        events.event_type,
        events.occurred_at,
        events.agent_name,
        events.version,
        events.load_id,
        row_number() over (
            partition by events.tenant_id, events.agent_id, events.event_type
            order by events.occurred_at desc, events.event_id desc
        ) as recency,
    from {{ ref('stg_platform__agents') }} as events
    {{ in_touched_partitions('events') }}
    where events.agent_id is not null
)

select
    tenant_id,
    agent_id,
    max(case when event_type = 'agent.created' and recency = 1 then agent_name end) as agent_name,
    min(case when event_type = 'agent.created' then occurred_at end) as created_at,
    max(case when event_type = 'agent.updated' then occurred_at end) as updated_at,
    max(case when event_type = 'agent.deployed' then occurred_at end) as deployed_at,
    max(case when event_type = 'agent.deleted' then occurred_at end) as deleted_at,
    max(case when event_type = 'agent.deployed' and recency = 1 then version end) as version,
    max(load_id) as loaded_through,
from events
group by tenant_id, agent_id
