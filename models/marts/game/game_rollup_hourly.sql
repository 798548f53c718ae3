{{ config(
    materialized='incremental',
    incremental_strategy='touched',
    meta={'partition': ['hour'], 'boundary': 'day', 'ages_out': true},
    post_hook="{{ age_out() }}",
) }}

{%- set grain = ['hour'] + game_dimensions() + ['locale'] %}
{%- set played = ['date'] + game_daily_dimensions() + ['locale'] %}

{#- A turn decides on its whole day: whether its session is stuck, and which locales are shown. -#}
{%- call touched_partitions() %}
    select {{ dbt.dateadd('hour', 'hours.number', 'cast(days.date as timestamp)') }} as hour
    from (select distinct date from {{ ref('int_game_session_hours') }} where {{ is_new('loaded_through') }}) as days
    cross join ({{ number_series(0, 23) }}) as hours
    union all
    {{ days_held_again(ref('int_game_session_hours')) }}
{%- endcall %}

with

plays as (
    select
        plays.hour,
        {% for column in game_dimensions() %}plays.{{ column }},
        {% endfor -%}
        locales.hourly_locale as locale,
        plays.tenant_id,
        plays.session_id,
        {% for column in turn_sums(grain) %}plays.{{ column }},
        {% endfor -%}
        days.is_stuck,
        plays.loaded_through,
    from {{ ref('int_game_session_hours') }} as plays
    inner join {{ ref('int_game_locales') }} as locales on {{ same('plays', 'locales', played) }}
    inner join {{ ref('int_game_session_days') }} as days
        on {{ same('plays', 'days', ['date', 'tenant_id', 'session_id']) }}
    {{ in_touched_partitions('plays') }}
),

sessions as (
    {{ session_measures(grain) }}
),

measured as (
    {{ turn_measures(grain) }}
)

select
    {% for column in grain %}measured.{{ column }},
    {% endfor -%}
    {{ turn_columns() }}
    greatest(measured.loaded_through, sessions.loaded_through) as loaded_through,
from measured
inner join sessions on {{ same('measured', 'sessions', grain) }}
