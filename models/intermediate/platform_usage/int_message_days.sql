{{ config(materialized='incremental', incremental_strategy='append') }}

with

messages as (
    select
        load_id,
        cast(occurred_at as date) as date,
    from {{ ref('stg_platform__messages') }}
    where {{ is_new() }}
)

select
    load_id,
    date,
    count(*) as messages,
from messages
group by load_id, date
