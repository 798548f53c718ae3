{{ config(materialized='table', meta={'boundary': 'month'}) }}

with

changes as (
    select
        tenant_id,
        month,
        previous_plan as from_plan,
        plan as to_plan,
        mrr_usd - previous_mrr_usd as mrr_delta_usd,
        loaded_through,
    from {{ ref('int_subscription_months') }}
    where previous_plan <> plan and month < {{ month_of(as_of()) }}
)

select
    month,
    from_plan,
    to_plan,
    count(distinct tenant_id) as customers,
    {{ sum_money('mrr_delta_usd') }} as mrr_delta_usd,
    max(loaded_through) as loaded_through,
from changes
group by month, from_plan, to_plan
