{{ config(materialized='table', meta={'boundary': 'month'}) }}

with

customers as (
    select
        tenant_id,
        month,
        closing_mrr_usd as mrr_usd,
        loaded_through,
    from {{ ref('mrr_movements_monthly') }}
    where closing_mrr_usd > 0
),

plan_periods as (
    {{ plan_periods('month') }}
),

costs as (
    select
        tenant_id,
        {{ month_of('date') }} as month,
        {{ sum_money('cost_usd') }} as cost_usd,
        max(loaded_through) as loaded_through,
    from {{ ref('int_provider_costs_daily') }}
    group by tenant_id, {{ month_of('date') }}
),

combined as (
    select
        plan_periods.plan,
        customers.month,
        customers.mrr_usd,
        costs.cost_usd,
        greatest(customers.loaded_through, plan_periods.loaded_through, coalesce(costs.loaded_through, 0))
            as loaded_through,
    from customers
    inner join plan_periods
        on customers.tenant_id = plan_periods.tenant_id
        and customers.month >= plan_periods.valid_from
        and customers.month < plan_periods.valid_to
    left join costs
        on customers.tenant_id = costs.tenant_id
        and customers.month = costs.month
),

measured as (
    select
        plan,
        month,
        count(*) as customers,
        {{ sum_money('mrr_usd') }} as mrr_usd,
        {{ sum_money('cost_usd') }} as provider_cost_usd,
        max(loaded_through) as loaded_through,
    from combined
    group by plan, month
)

select
    plan,
    month,
    customers,
    mrr_usd,
    provider_cost_usd,
    1 - {{ rate('provider_cost_usd', 'mrr_usd') }} as gross_margin,
    loaded_through,
from measured
