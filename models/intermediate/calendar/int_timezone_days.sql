{#- Days outside of it ask the time-zone database row by row. -#}
{{ config(materialized='table', meta={'boundary': 'day', 'spares_work': true}) }}

with

timezones as (
    select distinct timezone from {{ ref('tenants') }}
),

days as (
    {{ date_series(add_days('cast(' ~ as_of() ~ ' as date)', -400), add_days('cast(' ~ as_of() ~ ' as date)', 2)) }}
),

edges as (
    select
        timezones.timezone,
        days.date_day as utc_date,
        cast(days.date_day as timestamp) as starts_at,
        {{ dbt.dateadd('microsecond', -1, dbt.dateadd('day', 1, 'cast(days.date_day as timestamp)')) }} as ends_at,
    from timezones
    cross join days
),

offsets as (
    select
        timezone,
        utc_date,
        {{ seconds_between('starts_at', to_local('starts_at', 'timezone')) }} as offset_at_start,
        {{ seconds_between('ends_at', to_local('ends_at', 'timezone')) }} as offset_at_end,
    from edges
)

select
    timezone,
    utc_date,
    offset_at_start as utc_offset_seconds,
    offset_at_start <> offset_at_end as has_transition,
from offsets
