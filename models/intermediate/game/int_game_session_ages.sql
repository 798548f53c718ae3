{{ config(
    materialized='incremental',
    incremental_strategy='touched',
    meta={'partition': ['tenant_id', 'session_id', 'date']},
) }}

{%- set key = ['date', 'session_age_bucket', 'world', 'adventure', 'tenant_id', 'session_id'] %}

{#- A session's new start gives all its turns another age. -#}
{%- call touched_partitions() %}
{{ session_days_of_new_turns() }}
    union all
    select days.tenant_id, days.session_id, days.date
    from {{ ref('int_game_session_days') }} as days
    inner join {{ ref('stg_game__sessions') }} as starts
        on {{ same('days', 'starts', ['tenant_id', 'session_id']) }}
    where starts.load_id > {{ model_state().loaded_through }}
{%- endcall %}

with

turns as (
    {{ turns_of_touched_session_days() }}
),

aged as (
    select
        turns.date,
        {{ session_age_bucket('sessions.started_at', 'turns.occurred_at') }} as session_age_bucket,
        turns.world,
        turns.adventure,
        turns.tenant_id,
        turns.session_id,
        turns.latency_ms,
        turns.softlock_hint,
        greatest(turns.load_id, coalesce(sessions.loaded_through, 0)) as load_id,
    from turns
    left join {{ ref('int_game_sessions') }} as sessions
        on {{ same('turns', 'sessions', ['tenant_id', 'session_id']) }}
)

select
    {{ key | join(',\n    ') }},
    count(*) as turns,
    {{ collected('latency_ms') }} as latencies_ms,
    {{ count_where('softlock_hint') }} as softlock_hints,
    max(load_id) as loaded_through,
from aged
group by {{ key | join(', ') }}
