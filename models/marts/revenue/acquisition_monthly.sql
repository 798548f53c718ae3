{{ config(materialized='table', meta={'boundary': 'month'}) }}

with

acquisition as (
    select * from {{ ref('int_acquisition_monthly') }}
    where month < {{ month_of(as_of()) }}
),

revenue as (
    select * from {{ ref('revenue_monthly') }}
)

select
    acquisition.channel,
    acquisition.month,
    acquisition.spend_usd,
    acquisition.customers_acquired,
    {{ money_ratio('acquisition.spend_usd', 1, 'acquisition.customers_acquired') }} as cac_usd,
    -- ltv / (spend / customers), NULL without customers
    {{ rate(
        ltv_micros('revenue.') ~ ' * nullif(acquisition.customers_acquired, 0)',
        ltv_divisor('revenue.') ~ ' * ' ~ to_micros('acquisition.spend_usd'),
    ) }} as ltv_to_cac,
    greatest(acquisition.loaded_through, coalesce(revenue.loaded_through, 0)) as loaded_through,
from acquisition
left join revenue on acquisition.month = revenue.month
