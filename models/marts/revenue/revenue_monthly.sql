{{ config(materialized='table', meta={'boundary': 'month'}) }}

with

movements as (
    select
        month,
        {{ sum_money('opening_mrr_usd') }} as opening_mrr_usd,
        {{ sum_money('new_mrr_usd') }} as new_mrr_usd,
        {{ sum_money('reactivation_mrr_usd') }} as reactivation_mrr_usd,
        {{ sum_money('expansion_mrr_usd') }} as expansion_mrr_usd,
        {{ sum_money('contraction_mrr_usd') }} as contraction_mrr_usd,
        {{ sum_money('churned_mrr_usd') }} as churned_mrr_usd,
        {{ sum_money('closing_mrr_usd') }} as closing_mrr_usd,
        {{ count_where('opening_mrr_usd > 0') }} as opening_customers,
        {{ count_where('new_mrr_usd > 0') }} as new_customers,
        {{ count_where('churned_mrr_usd > 0') }} as churned_customers,
        {{ count_where('closing_mrr_usd > 0') }} as customers,
        max(loaded_through) as loaded_through,
    from {{ ref('mrr_movements_monthly') }}
    group by month
),

payments as (
    select
        month,
        {{ sum_money('payments_usd') }} as payments_usd,
        {{ sum_count('failed_payments') }} as failed_payments,
        max(loaded_through) as loaded_through,
    from {{ ref('int_payments_monthly') }}
    where month < {{ month_of(as_of()) }}
    group by month
),

known_months as (
    select month from movements
    union all
    select month from payments
),

calendar as (
    {{ month_series('(select min(month) from known_months)', month_of(as_of())) }}
),

monthly as (
    select
        calendar.month,
        coalesce(movements.opening_mrr_usd, 0) as opening_mrr_usd,
        coalesce(movements.new_mrr_usd, 0) as new_mrr_usd,
        coalesce(movements.reactivation_mrr_usd, 0) as reactivation_mrr_usd,
        coalesce(movements.expansion_mrr_usd, 0) as expansion_mrr_usd,
        coalesce(movements.contraction_mrr_usd, 0) as contraction_mrr_usd,
        coalesce(movements.churned_mrr_usd, 0) as churned_mrr_usd,
        coalesce(movements.closing_mrr_usd, 0) as closing_mrr_usd,
        coalesce(movements.opening_customers, 0) as opening_customers,
        coalesce(movements.new_customers, 0) as new_customers,
        coalesce(movements.churned_customers, 0) as churned_customers,
        coalesce(movements.customers, 0) as customers,
        coalesce(payments.payments_usd, 0) as payments_usd,
        coalesce(payments.failed_payments, 0) as failed_payments,
        -- a month without any event stands on those before it
        max(greatest(coalesce(movements.loaded_through, 0), coalesce(payments.loaded_through, 0))) over history
            as loaded_through,
    from calendar
    left join movements on calendar.month = movements.month
    left join payments on calendar.month = payments.month
    where calendar.month < {{ month_of(as_of()) }}
    window history as (order by calendar.month)
)

select
    month,
    opening_mrr_usd,
    new_mrr_usd,
    reactivation_mrr_usd,
    expansion_mrr_usd,
    contraction_mrr_usd,
    churned_mrr_usd,
    closing_mrr_usd,
    customers,
    opening_customers,
    new_customers,
    churned_customers,
    {{ to_money('12 * cast(closing_mrr_usd as decimal(38, 6))') }} as arr_usd,
    {{ money_ratio('closing_mrr_usd', 1, 'customers') }} as arpa_usd,
    {{ rate('opening_mrr_usd + expansion_mrr_usd - contraction_mrr_usd - churned_mrr_usd', 'opening_mrr_usd') }}
        as net_revenue_retention,
    {{ rate('opening_mrr_usd - contraction_mrr_usd - churned_mrr_usd', 'opening_mrr_usd') }}
        as gross_revenue_retention,
    {{ rate('churned_customers', 'opening_customers') }} as customer_churn_rate,
    {{ micros_ratio(ltv_micros(), ltv_divisor()) }} as ltv_usd,
    {{ rate('new_mrr_usd + reactivation_mrr_usd + expansion_mrr_usd', 'contraction_mrr_usd + churned_mrr_usd') }}
        as quick_ratio,
    payments_usd,
    failed_payments,
    loaded_through,
from monthly
