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


{#- Game events of a staging model with their UTC day and dimensions, those of the touched days only; 'none' without an experiment. -#}
{% macro game_events(relation, columns=[]) %}
    select
        cast(events.occurred_at as date) as date,
        events.world,
        events.adventure,
        events.locale,
        events.model,
        coalesce(events.experiment, 'none') as experiment,
        coalesce(events.variation, 'none') as variation,
        events.content_version,
        {%- for column in columns %}
        events.{{ column }},
        {%- endfor %}
        events.load_id,
    from {{ relation }} as events
    {{ on_touched_days('events') }}
{% endmacro %}


{#- Restricts a relation with `occurred_at` to the touched UTC days of a model whose partition is the date. -#}
{% macro on_touched_days(relation) -%}
    {%- if is_incremental() -%}
        inner join {{ touched_relation() }} as touched on cast({{ relation }}.occurred_at as date) = touched.date
    {%- endif -%}
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


{#-
    The measures of turns that the hourly and the daily rollup share, by `grain`. The relation `turns` has the turns,
    with the locale that is shown.
-#}
{% macro turn_measures(grain) %}
    select
        {{ grain | join(',\n        ') }},
        count(*) as turns,
        {{ percentiles('latency_ms', [0.5, 0.95]) }} as latency_percentiles,
        avg(tokens_in) as avg_tokens_in,
        avg(tokens_out) as avg_tokens_out,
        {{ count_where('retries > 0') }} as retried,
        {{ count_where('fell_back') }} as fallbacks,
        {{ count_where('validator_retries > 0') }} as validator_retried,
        {{ count_where('over_token_budget') }} as overruns,
        {%- if 'content_version' in grain %}
        avg(ticks) as avg_ticks,
        avg(sim_ticks) as avg_sim_ticks,
        avg(tool_calls) as tool_calls_per_turn,
        avg(acts) as acts_per_turn,
        avg(choices) as choices_per_turn,
        {{ count_where('softlock_hint') }} as softlock_hints,
        sum(gold_delta) as gold_delta,
        avg(items_acquired) as items_per_turn,
        {%- endif %}
        max(load_id) as loaded_through,
    from turns
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
    {{ rate('measured.retried', 'measured.turns') }} as retry_rate,
    {{ rate('measured.fallbacks', 'measured.turns') }} as fallback_rate,
    {{ rate('measured.validator_retried', 'measured.turns') }} as validator_retry_rate,
    {{ rate('measured.overruns', 'measured.turns') }} as token_overrun_rate,
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
