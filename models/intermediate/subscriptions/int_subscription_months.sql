{{ config(
    materialized='incremental',
    incremental_strategy='touched',
    meta={'partition': ['tenant_id', 'subscription_id'], 'date_column': 'month'},
) }}

{%- call touched_partitions() %}
    select tenant_id, subscription_id from (
        select tenant_id, subscription_id, load_id, {{ month_of('occurred_at') }} as month
        from {{ ref('stg_billing__subscriptions') }}
    ) as events
    where {{ is_new() }}
{%- endcall %}

with

events as (
    select
        subscriptions.tenant_id,
        subscriptions.subscription_id,
        {{ month_of('subscriptions.occurred_at') }} as month,
        subscriptions.occurred_at,
        subscriptions.event_id,
        subscriptions.plan,
        -- a cancellation says neither plan nor MRR
        coalesce(subscriptions.mrr_usd, 0) as mrr_usd,
        subscriptions.load_id,
    from {{ ref('stg_billing__subscriptions') }} as subscriptions
    {{ in_touched_partitions('subscriptions') }}
),

ranked as (
    select
        *,
        row_number() over (
            partition by tenant_id, subscription_id, month order by occurred_at desc, event_id desc
        ) as recency,
        max(load_id) over (partition by tenant_id, subscription_id, month) as month_loaded_through,
    from events
),

month_ends as (
    select * from ranked
    where recency = 1
)

select
    tenant_id,
    subscription_id,
    month,
    plan,
    mrr_usd,
    lag(plan) over history as previous_plan,
    coalesce(lag(mrr_usd) over history, 0) as previous_mrr_usd,
    max(month_loaded_through) over history as loaded_through,
from month_ends
window history as (partition by tenant_id, subscription_id order by month)
