{{ config(
    materialized='incremental',
    incremental_strategy='touched',
    meta={'partition': ['tenant_id', 'session_id'], 'date_column': 'entered_on'},
) }}

{%- call touched_partitions() %}
    select tenant_id, session_id from (
        select tenant_id, session_id, load_id, cast(occurred_at as date) as entered_on
        from {{ ref('stg_game__quest_nodes') }}
    ) as events
    where {{ is_new() }}
{%- endcall %}

with

nodes as (
    select nodes.*
    from {{ ref('stg_game__quest_nodes') }} as nodes
    {{ in_touched_partitions('nodes') }}
),

entries as (
    select
        *,
        row_number() over (partition by tenant_id, session_id order by occurred_at desc, event_id desc) as recency,
    from nodes
    where event_type = 'quest.node_entered'
),

last_entries as (
    select * from entries
    where recency = 1
),

completed as (
    select
        tenant_id,
        session_id,
        quest_id,
        node_id,
        max(load_id) as load_id,
    from nodes
    where event_type = 'quest.node_completed'
    group by tenant_id, session_id, quest_id, node_id
)

select
    last_entries.tenant_id,
    last_entries.session_id,
    cast(last_entries.occurred_at as date) as entered_on,
    last_entries.adventure,
    last_entries.quest_id,
    last_entries.node_id,
    completed.load_id is null as is_dropped,
    greatest(last_entries.load_id, coalesce(completed.load_id, 0)) as loaded_through,
from last_entries
left join completed
    on {{ same('last_entries', 'completed', ['tenant_id', 'session_id', 'quest_id', 'node_id']) }}
