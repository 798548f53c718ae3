{{ config(
    materialized='incremental',
    incremental_strategy='touched',
    meta={'partition': ['tenant_id'], 'date_column': 'month', 'boundary': 'month'},
) }}

{%- call touched_partitions() %}
    select tenant_id from {{ ref('int_subscription_months') }}
    where {{ is_new('loaded_through') }} or {{ month_passed() }}
{%- endcall %}

with

changes as (
    select
        subscriptions.tenant_id,
        subscriptions.month,
        sum(subscriptions.mrr_usd - subscriptions.previous_mrr_usd) as change_usd,
        max(subscriptions.loaded_through) as loaded_through,
    from {{ ref('int_subscription_months') }} as subscriptions
    {{ in_touched_partitions('subscriptions') }}
    where subscriptions.month < {{ month_of(as_of()) }}
    group by subscriptions.tenant_id, subscriptions.month
),

customers as (
    select
        tenant_id,
        min(month) as first_month,
    from changes
    group by tenant_id
),

calendar as (
    {{ month_series('(select min(first_month) from customers)', month_of(as_of())) }}
),

month_ends as (
    select
        customers.tenant_id,
        calendar.month,
        {{ to_money('sum(coalesce(changes.change_usd, 0)) over history') }} as closing_mrr_usd,
        max(changes.loaded_through) over history as loaded_through,
    from customers
    inner join calendar
        on customers.first_month <= calendar.month
        and calendar.month < {{ month_of(as_of()) }}
    left join changes
        on customers.tenant_id = changes.tenant_id
        and calendar.month = changes.month
    window history as (partition by customers.tenant_id order by calendar.month)
),

compared as (
    select
        *,
        coalesce(lag(closing_mrr_usd) over history, 0) as opening_mrr_usd,
        coalesce(max(closing_mrr_usd) over earlier, 0) as highest_mrr_usd_before,
    from month_ends
    window
        history as (partition by tenant_id order by month),
        earlier as (
            partition by tenant_id order by month rows between unbounded preceding and 1 preceding
        )
),

-- A customer's rows end with the last month that opens or closes with MRR, or with the first if there is none.
lasting as (
    select
        *,
        coalesce(
            max(case when opening_mrr_usd > 0 or closing_mrr_usd > 0 then month end) over customer,
            min(month) over customer
        ) as last_month,
    from compared
    window customer as (partition by tenant_id)
)

select
    tenant_id,
    month,
    opening_mrr_usd,
    case when opening_mrr_usd = 0 and highest_mrr_usd_before = 0 then closing_mrr_usd else 0 end as new_mrr_usd,
    case when opening_mrr_usd = 0 and highest_mrr_usd_before > 0 then closing_mrr_usd else 0 end
        as reactivation_mrr_usd,
    cast(
        case when opening_mrr_usd > 0 then greatest(closing_mrr_usd - opening_mrr_usd, 0) else 0 end as decimal(18, 6)
    ) as expansion_mrr_usd,
    cast(
        case when closing_mrr_usd > 0 then greatest(opening_mrr_usd - closing_mrr_usd, 0) else 0 end as decimal(18, 6)
    ) as contraction_mrr_usd,
    case when closing_mrr_usd = 0 then opening_mrr_usd else 0 end as churned_mrr_usd,
    closing_mrr_usd,
    loaded_through,
from lasting
where month <= last_month
