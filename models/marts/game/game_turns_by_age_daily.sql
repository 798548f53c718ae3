{{ config(
    materialized='incremental', incremental_strategy='touched', meta={'partition': ['date']},
) }}

{#- A session's new start gives all its turns another age. -#}
{%- call touched_partitions() %}
{{ days_of_new_events([ref('stg_game__turns')]) }}
    union all
    select days.date
    from {{ ref('int_game_session_days') }} as days
    inner join (
        select tenant_id, session_id, cast(occurred_at as date) as date, load_id from {{ ref('stg_game__sessions') }}
    ) as starts
        on days.tenant_id = starts.tenant_id
        and days.session_id = starts.session_id
    where starts.load_id > {{ model_state().loaded_through }}
{%- endcall %}

with

turns as (
    select
        cast(turns.occurred_at as date) as date,
        {{ session_age_bucket('sessions.started_at', 'turns.occurred_at') }} as session_age_bucket,
        turns.world,
        turns.adventure,
        turns.tenant_id,
        turns.session_id,
        turns.latency_ms,
        turns.softlock_hint,
        greatest(turns.load_id, coalesce(sessions.loaded_through, 0)) as load_id,
    from {{ ref('stg_game__turns') }} as turns
    left join {{ ref('int_game_sessions') }} as sessions
        on turns.tenant_id = sessions.tenant_id
        and turns.session_id = sessions.session_id
    {{ on_touched_days('turns') }}
),

by_session as (
    select
        date,
        session_age_bucket,
        world,
        adventure,
        tenant_id,
        session_id,
        max(load_id) as loaded_through,
    from turns
    group by date, session_age_bucket, world, adventure, tenant_id, session_id
),

sessions as (
    select
        date,
        session_age_bucket,
        world,
        adventure,
        count(*) as sessions,
        max(loaded_through) as loaded_through,
    from by_session
    group by date, session_age_bucket, world, adventure
),

measured as (
    select
        date,
        session_age_bucket,
        world,
        adventure,
        count(*) as turns,
        {{ percentiles('latency_ms', [0.95]) }} as latency_percentiles,
        {{ count_where('softlock_hint') }} as softlock_hints,
    from turns
    group by date, session_age_bucket, world, adventure
)

select
    measured.date,
    measured.session_age_bucket,
    measured.world,
    measured.adventure,
    measured.turns,
    sessions.sessions,
    {{ percentile('measured.latency_percentiles', 1) }} as p95_latency_ms,
    measured.softlock_hints,
    sessions.loaded_through,
from measured
inner join sessions
    on {{ same('measured', 'sessions', ['date', 'session_age_bucket', 'world', 'adventure']) }}
