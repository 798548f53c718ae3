{{ config(
    materialized='incremental', incremental_strategy='touched', meta={'partition': ['tenant_id', 'month']},
) }}

{%- call touched_partitions() %}
    select tenant_id, month from (
        select tenant_id, load_id, {{ month_of('occurred_at') }} as month
        from {{ ref('stg_billing__subscriptions') }}
        where plan is not null
    ) as events
    where {{ is_new() }}
{%- endcall %}

with

events as (
    select
        *,
        {{ month_of('occurred_at') }} as month,
    from {{ ref('stg_billing__subscriptions') }}
    where plan is not null
),

touched_events as (
    select events.*
    from events
    {{ in_touched_partitions('events') }}
),

dated as (
    select
        touched_events.*,
        {{ month_of(local_date('touched_events')) }} as local_month,
    from touched_events
    {{ tenant_calendar('touched_events') }}
),

ranked as (
    select
        *,
        row_number() over (
            partition by tenant_id, month, local_month order by occurred_at desc, event_id desc
        ) as recency,
        max(load_id) over (partition by tenant_id, month, local_month) as loaded_through,
    from dated
)

select
    tenant_id,
    month,
    local_month,
    occurred_at,
    event_id,
    plan,
    loaded_through,
from ranked
where recency = 1
