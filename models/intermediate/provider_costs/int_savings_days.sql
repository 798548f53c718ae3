{{ config(materialized='incremental', incremental_strategy='append') }}

with

completed as (
    select
        load_id,
        cast(occurred_at as date) as date,
        cost_usd,
        alternative_cost_usd,
    from {{ ref('int_executions_priced') }}
    where is_successful and {{ is_new() }}
)

select
    load_id,
    date,
    {{ sum_money('cost_usd') }} as actual_cost_usd,
    {{ sum_money('alternative_cost_usd') }} as alternative_cost_usd,
from completed
group by load_id, date
