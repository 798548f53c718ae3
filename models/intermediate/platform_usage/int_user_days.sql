{{ config(materialized='incremental', incremental_strategy='append') }}

with

seen as (
    select
        user_id,
        cast(occurred_at as date) as date,
        load_id,
    from {{ ref('int_platform_events') }}
    where user_id is not null and {{ is_new() }}
),

days as (
    select
        user_id,
        date,
        min(load_id) as load_id,
    from seen
    group by user_id, date
)

select
    days.user_id,
    days.date,
    days.load_id,
from days
{%- if is_incremental() %}
left join {{ this }} as known
    on days.user_id = known.user_id
    and days.date = known.date
where known.user_id is null
{%- endif %}
