{{ config(materialized='table', meta={'boundary': 'month'}) }}

with

movements as (
    select
        tenant_id,
        month,
        closing_mrr_usd,
        loaded_through,
        min(month) over (partition by tenant_id) as cohort_month,
    from {{ ref('mrr_movements_monthly') }}
),

cohorts as (
    select
        cohort_month,
        count(distinct tenant_id) as customers,
    from movements
    group by cohort_month
),

activity as (
    select
        cohort_month,
        month,
        {{ count_where('closing_mrr_usd > 0') }} as active_customers,
        {{ sum_money('closing_mrr_usd') }} as mrr_usd,
        max(loaded_through) as loaded_through,
    from movements
    group by cohort_month, month
),

calendar as (
    {{ month_series('(select min(cohort_month) from cohorts)', month_of(as_of())) }}
),

dense as (
    select
        cohorts.cohort_month,
        row_number() over history - 1 as months_since_start,
        cohorts.customers,
        coalesce(activity.active_customers, 0) as active_customers,
        coalesce(activity.mrr_usd, 0) as mrr_usd,
        first_value(activity.mrr_usd) over history as starting_mrr_usd,
        max(activity.loaded_through) over history as loaded_through,
    from cohorts
    inner join calendar
        on cohorts.cohort_month <= calendar.month
        and calendar.month < {{ month_of(as_of()) }}
    left join activity
        on cohorts.cohort_month = activity.cohort_month
        and calendar.month = activity.month
    window history as (partition by cohorts.cohort_month order by calendar.month)
)

select
    cohort_month,
    months_since_start,
    customers,
    active_customers,
    mrr_usd,
    {{ rate('active_customers', 'customers') }} as customer_retention,
    {{ rate('mrr_usd', 'starting_mrr_usd') }} as revenue_retention,
    loaded_through,
from dense
