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
    from ({{ days_of_new_events([ref('stg_game__turns')]) }}) as days
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

staged as (
    select
        *,
        {{ dbt.date_trunc('hour', 'occurred_at') }} as hour,
        cast(occurred_at as date) as date,
        coalesce(experiment, 'none') as experiment_shown,
        coalesce(variation, 'none') as variation_shown,
    from {{ ref('stg_game__turns') }}
),

turns as (
    select
        staged.hour,
        staged.world,
        staged.adventure,
        staged.model,
        staged.experiment_shown as experiment,
        staged.variation_shown as variation,
        locales.hourly_locale as locale,
        staged.latency_ms,
        staged.tokens_in,
        staged.tokens_out,
        staged.retries,
        staged.fell_back,
        staged.validator_retries,
        staged.over_token_budget,
        staged.load_id,
    from staged
    inner join {{ ref('int_game_locales') }} as locales
        on {{ same('staged', 'locales', ['date', 'world', 'adventure', 'model', 'content_version', 'locale']) }}
        and staged.experiment_shown = locales.experiment
        and staged.variation_shown = locales.variation
    {{ in_touched_partitions('staged') }}
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
