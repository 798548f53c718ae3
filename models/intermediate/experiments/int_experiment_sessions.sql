{{ config(
    materialized='incremental',
    incremental_strategy='touched',
    meta={'partition': ['tenant_id', 'session_id'], 'date_column': 'exposed_on'},
) }}

{%- call touched_partitions() %}
    select tenant_id, session_id from (
        select tenant_id, session_id, load_id, cast(occurred_at as date) as exposed_on from {{ ref('int_game_events') }}
    ) as events
    where {{ is_new() }}
{%- endcall %}

with

events as (
    select
        events.tenant_id,
        events.session_id,
        events.experiment,
        coalesce(events.variation, 'none') as variation,
        events.occurred_at,
        events.load_id,
    from {{ ref('int_game_events') }} as events
    {{ in_touched_partitions('events') }}
    where events.experiment is not null
),

-- Units of several variations are left out, so which of them came first makes no difference.
exposed as (
    select
        experiment,
        tenant_id,
        session_id,
        min(variation) as variation,
        min(variation) <> max(variation) as is_crossover,
        min(occurred_at) as first_exposed_at,
        max(occurred_at) as last_exposed_at,
        max(load_id) as loaded_through,
    from events
    group by experiment, tenant_id, session_id
),

played as (
    select
        days.tenant_id,
        days.session_id,
        {{ sum_count('days.turns') }} as turns,
        sum(days.latency_ms) as latency_ms,
        {{ sum_count('days.fallbacks') }} as fallbacks,
        sum(days.gold_in) - sum(days.gold_out) as gold_delta,
        max(case when days.is_stuck then 1 else 0 end) = 1 as is_stuck,
        max(days.loaded_through) as loaded_through,
    from {{ ref('int_game_session_days') }} as days
    {{ in_touched_partitions('days') }}
    group by days.tenant_id, days.session_id
),

completed as (
    select
        completions.tenant_id,
        completions.session_id,
        max(completions.load_id) as loaded_through,
    from {{ ref('stg_game__completions') }} as completions
    {{ in_touched_partitions('completions') }}
    group by completions.tenant_id, completions.session_id
)

select
    exposed.experiment,
    exposed.tenant_id,
    exposed.session_id,
    exposed.variation,
    exposed.is_crossover,
    exposed.first_exposed_at,
    exposed.last_exposed_at,
    cast(exposed.first_exposed_at as date) as exposed_on,
    completed.session_id is not null as is_completed,
    coalesce(played.turns, 0) as turns,
    coalesce(played.latency_ms, 0) as latency_ms,
    coalesce(played.fallbacks, 0) as fallbacks,
    coalesce(played.gold_delta, 0) as gold_delta,
    coalesce(played.is_stuck, false) as is_stuck,
    greatest(exposed.loaded_through, coalesce(played.loaded_through, 0), coalesce(completed.loaded_through, 0))
        as loaded_through,
from exposed
left join played on {{ same('exposed', 'played', ['tenant_id', 'session_id']) }}
left join completed on {{ same('exposed', 'completed', ['tenant_id', 'session_id']) }}
