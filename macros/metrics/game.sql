{#- The dimensions of a rollup but the locale and the content version. -#}
{% macro game_dimensions() -%}
    {{ return(['world', 'adventure', 'model', 'experiment', 'variation']) }}
{%- endmacro %}


{#- The dimensions of the daily rollup but the locale. -#}
{% macro game_daily_dimensions() -%}
    {{ return(game_dimensions() + ['content_version']) }}
{%- endmacro %}


{#- `one.x = other.x and ...` for columns that are never NULL. -#}
{% macro same(one, other, columns) -%}
    {%- for column in columns -%}
        {{ one }}.{{ column }} = {{ other }}.{{ column }}{{ ' and ' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}


{#-
    Game events of a staging model with their UTC day, some dimensions and other columns, those of the touched days only; 'none'
    without an experiment.
-#}
{% macro game_events(relation, dimensions, columns=[]) %}
    select
        events.date,
        {%- for dimension in dimensions %}
        {%- if dimension in ('experiment', 'variation') %}
        coalesce(events.{{ dimension }}, 'none') as {{ dimension }},
        {%- else %}
        events.{{ dimension }},
        {%- endif %}
        {%- endfor %}
        {%- for column in columns %}
        events.{{ column }},
        {%- endfor %}
        events.load_id,
    from {{ dated_events(relation) }} as events
    {{ in_touched_partitions('events') }}
{% endmacro %}


{#- A subquery: the events of a staging model with their UTC day, none that is far from all touched days. -#}
{% macro dated_events(relation) -%}
    (
        select
            *,
            cast(occurred_at as date) as date,
        from {{ relation }}
        {{ around_touched_dates('occurred_at') }}
    )
{%- endmacro %}


{#- The UTC days on which the newer events of some staging models happened. -#}
{% macro days_of_new_events(relations) -%}
    {%- for relation in relations -%}
    select distinct date from (
        select cast(occurred_at as date) as date, occurred_at as hour, load_id from {{ relation }}
    ) as events
    where {{ is_new() }}
    {% if not loop.last %}union all
    {% endif %}
    {%- endfor -%}
{%- endmacro %}


{#- Minutes from a session's start to one of its turns, in words. A turn before the start, or without one, is unknown. -#}
{% macro session_age_bucket(started_at, occurred_at) -%}
    {%- set age = microseconds_between(started_at, occurred_at) -%}
    case
        when {{ age }} < 0 then 'unknown'
        when {{ age }} < 300000000 then '0-5'
        when {{ age }} < 900000000 then '5-15'
        when {{ age }} < 1800000000 then '15-30'
        when {{ age }} < 3600000000 then '30-60'
        when {{ age }} >= 3600000000 then '60+'
        else 'unknown'
    end
{%- endmacro %}


{#- The days of sessions of which there are newer turns. -#}
{% macro session_days_of_new_turns() %}
    select tenant_id, session_id, date from (
        select tenant_id, session_id, cast(occurred_at as date) as date, load_id from {{ ref('stg_game__turns') }}
    ) as turns
    where {{ is_new() }}
{% endmacro %}


{#- All turns of the touched days of sessions. -#}
{% macro turns_of_touched_session_days() %}
    select turns.*
    from {{ dated_events(ref('stg_game__turns')) }} as turns
    {{ in_touched_partitions('turns') }}
{% endmacro %}


{#- What int_game_session_hours has of turns for a rollup by `grain`: the hourly one shows less. -#}
{% macro turn_sums(grain) -%}
    {%- set shared = [
        'turns', 'latencies_ms', 'tokens_in', 'tokens_out', 'retried', 'fallbacks', 'validator_retried', 'overruns',
    ] -%}
    {%- set daily = ['ticks', 'sim_ticks', 'tool_calls', 'acts', 'choices', 'softlock_hints', 'gold_delta', 'items_acquired'] -%}
    {{ return(shared + daily if 'content_version' in grain else shared) }}
{%- endmacro %}


{#-
    The measures of turns that the hourly and the daily rollup share, by `grain`. The relation `plays` has a row for each session
    and what it played, with the locale that is shown.
-#}
{% macro turn_measures(grain) %}
    select
        {{ grain | join(',\n        ') }},
        {{ sum_count('turns') }} as turns,
        {{ percentiles_of_lists('latencies_ms', [0.5, 0.95]) }} as latency_percentiles,
        {{ rate('sum(tokens_in)', 'sum(turns)') }} as avg_tokens_in,
        {{ rate('sum(tokens_out)', 'sum(turns)') }} as avg_tokens_out,
        {{ rate('sum(retried)', 'sum(turns)') }} as retry_rate,
        {{ rate('sum(fallbacks)', 'sum(turns)') }} as fallback_rate,
        {{ rate('sum(validator_retried)', 'sum(turns)') }} as validator_retry_rate,
        {{ rate('sum(overruns)', 'sum(turns)') }} as token_overrun_rate,
        {%- if 'content_version' in grain %}
        {{ rate('sum(ticks)', 'sum(turns)') }} as avg_ticks,
        {{ rate('sum(sim_ticks)', 'sum(turns)') }} as avg_sim_ticks,
        {{ rate('sum(tool_calls)', 'sum(turns)') }} as tool_calls_per_turn,
        {{ rate('sum(acts)', 'sum(turns)') }} as acts_per_turn,
        {{ rate('sum(choices)', 'sum(turns)') }} as choices_per_turn,
        {{ rate('sum(softlock_hints)', 'sum(turns)') }} as softlock_hint_rate,
        {{ rate('sum(gold_delta)', 'sum(turns)') }} as econ_velocity,
        {{ rate('sum(items_acquired)', 'sum(turns)') }} as items_per_turn,
        {%- endif %}
        max(loaded_through) as loaded_through,
    from plays
    group by {{ grain | join(', ') }}
{% endmacro %}


{#- The rates that the hourly and the daily rollup share, of `measured`, the turns' measures, and `sessions`, the sessions'. -#}
{% macro turn_columns() %}
    measured.turns,
    sessions.sessions,
    {{ percentile('measured.latency_percentiles', 1) }} as p50_latency_ms,
    {{ percentile('measured.latency_percentiles', 2) }} as p95_latency_ms,
    measured.avg_tokens_in,
    measured.avg_tokens_out,
    measured.retry_rate,
    measured.fallback_rate,
    measured.validator_retry_rate,
    measured.token_overrun_rate,
    {{ rate('sessions.stuck_sessions', 'sessions.sessions') }} as stuck_rate,
{%- endmacro %}


{#-
    Sessions with turns, and those of them that are stuck that day, by `grain`. The relation `plays` has a row for each session
    and what it played, with the locale that is shown.
-#}
{% macro session_measures(grain) %}
    select
        {{ grain | join(',\n        ') }},
        count(*) as sessions,
        {{ count_where('is_stuck') }} as stuck_sessions,
        max(loaded_through) as loaded_through,
    from (
        select
            {{ grain | join(',\n            ') }},
            tenant_id,
            session_id,
            max(case when is_stuck then 1 else 0 end) = 1 as is_stuck,
            max(loaded_through) as loaded_through,
        from plays
        group by {{ grain | join(', ') }}, tenant_id, session_id
    ) as played
    group by {{ grain | join(', ') }}
{% endmacro %}


{#- Gold that came in: a positive delta, else 0. -#}
{% macro gold_in(delta) -%}
    greatest({{ delta }}, 0)
{%- endmacro %}


{#- Gold that went out, as a positive number: a negative delta without its sign, else 0. -#}
{% macro gold_out(delta) -%}
    greatest(-{{ delta }}, 0)
{%- endmacro %}
