{{ config(materialized='incremental', incremental_strategy='append') }}

with

seen as (
    select
        user_id,
        {{ week_of('occurred_at') }} as week,
        load_id,
    from {{ ref('int_platform_events') }}
    where user_id is not null and {{ is_new() }}
),

weeks as (
    select
        user_id,
        week,
        min(load_id) as load_id,
    from seen
    group by user_id, week
)

select
    weeks.user_id,
    weeks.week,
    weeks.load_id,
from weeks
{%- if is_incremental() %}
left join {{ this }} as known
    on weeks.user_id = known.user_id
    and weeks.week = known.week
where known.user_id is null
{%- endif %}
