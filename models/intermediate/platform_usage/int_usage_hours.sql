{{ config(materialized='incremental', incremental_strategy='append') }}

with

events as (
    select
        load_id,
        tenant_id,
        occurred_at,
        'messages' as metric,
    from {{ ref('stg_platform__messages') }}
    where {{ is_new() }}
    union all
    select
        load_id,
        tenant_id,
        occurred_at,
        'executions' as metric,
    from {{ ref('stg_provider__executions') }}
    where {{ is_new() }}
),

located as (
    select
        events.load_id,
        events.tenant_id,
        events.metric,
        {{ local_time('events') }} as occurred_at,
    from events
    {{ tenant_calendar('events') }}
)

select
    load_id,
    tenant_id,
    metric,
    cast(occurred_at as date) as date,
    extract(hour from occurred_at) as hour,
    count(*) as events,
from located
group by load_id, tenant_id, metric, cast(occurred_at as date), extract(hour from occurred_at)
