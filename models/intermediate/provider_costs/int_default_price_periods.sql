{{ config(materialized='table') }}

with

default_prices as (
    select * from {{ ref('int_price_periods') }}
    where model = '*'
),

-- The days on which some provider's default price begins: between two of them nothing changes.
starts as (
    select distinct valid_from from default_prices
),

periods as (
    select
        valid_from,
        coalesce(lead(valid_from) over (order by valid_from), cast('9999-12-31' as date)) as valid_to,
    from starts
)

select
    periods.valid_from,
    periods.valid_to,
    {{ price_array() }} as prices,
from periods
inner join default_prices
    on periods.valid_from >= default_prices.valid_from
    and periods.valid_from < default_prices.valid_to
group by periods.valid_from, periods.valid_to
