{{ config(materialized='incremental', incremental_strategy='append') }}

with

calls as (
    select
        load_id,
        cast(occurred_at as date) as date,
        cost_usd,
    from {{ ref('int_provider_calls_priced') }}
    where {{ is_new() }}
)

select
    load_id,
    date,
    {{ sum_money('cost_usd') }} as spend_usd,
from calls
group by load_id, date
