{#- Hours in whole microseconds. -#}
{% macro hours_in_microseconds(hours) -%}
    {{ hours * 3600 * 1000000 }}
{%- endmacro %}


{#- The windows of a fixed length, in hours. -#}
{% macro pattern_window_hours() -%}
    {{ return({
        'hourly': 1, 'daily': 24, 'weekly': 7 * 24, 'monthly': 30 * 24, 'quarterly': 90 * 24, 'yearly': 365 * 24
    }) }}
{%- endmacro %}


{#-
    The seven windows, as rows (window_type, length_microseconds). all_time, which begins with a pattern's first execution, has
    no length of its own.
-#}
{% macro pattern_windows() -%}
    select
        window_type,
        length_microseconds,
    from (
        values
        {%- for window_type, hours in pattern_window_hours().items() %}
        ('{{ window_type }}', {{ hours_in_microseconds(hours) }}),
        {%- endfor %}
        ('all_time', null)
    ) as windows (window_type, length_microseconds)
{%- endmacro %}


{#-
    CTEs from `history` (executions) to `members`: one row for each execution in a window that is `wanted` (tenant_id,
    pattern_id, window_type), with the `columns` of the execution, and the quarter of the window in which it lies. `windows`
    has the lengths. A window ends at `clock`, included, and begins after clock - length; its quarters are (begin, begin +
    length / 4] and so on. all_time includes the execution that it begins with.

    Patterns and windows go by numbers here: strings as keys of all executions times all windows would cost twice as much.
-#}
{% macro pattern_window_members(clock, columns) -%}
patterns as (
    select
        tenant_id,
        pattern_id,
        cast(row_number() over (order by tenant_id, pattern_id) as integer) as pattern_number,
    from (select distinct tenant_id, pattern_id from wanted) as wanted_patterns
),

executions as (
    select
        patterns.pattern_number,
        history.occurred_at,
        history.loaded_through,
        {%- for column in columns %}
        history.{{ column }},
        {%- endfor %}
    from history
    inner join patterns on history.tenant_id = patterns.tenant_id and history.pattern_id = patterns.pattern_id
    where history.occurred_at <= {{ clock }}
),

first_executions as (
    select
        pattern_number,
        min(occurred_at) as first_at,
    from executions
    group by pattern_number
),

pattern_spans as (
    select
        cast(
            row_number() over (order by patterns.pattern_number, wanted.window_type) as integer
        ) as span_number,
        patterns.pattern_number,
        wanted.tenant_id,
        wanted.pattern_id,
        wanted.window_type,
        windows.length_microseconds as fixed_length,
        coalesce(
            windows.length_microseconds, {{ microseconds_between('first_executions.first_at', clock) }}
        ) as length_microseconds,
        -- the first instant that lies in the window, and the one from which its quarters are counted
        coalesce(
            {{ add_microseconds(clock, '1 - windows.length_microseconds') }}, first_executions.first_at
        ) as opens_at,
        coalesce(
            {{ add_microseconds(clock, '-windows.length_microseconds') }}, first_executions.first_at
        ) as begins_at,
    from wanted
    inner join patterns on wanted.tenant_id = patterns.tenant_id and wanted.pattern_id = patterns.pattern_id
    inner join windows on wanted.window_type = windows.window_type
    inner join first_executions on patterns.pattern_number = first_executions.pattern_number
),

elapsed as not materialized (
    select
        executions.*,
        pattern_spans.span_number,
        pattern_spans.fixed_length,
        pattern_spans.length_microseconds,
        pattern_spans.begins_at,
        {{ microseconds_between('pattern_spans.begins_at', 'executions.occurred_at') }} as elapsed_microseconds,
    from executions
    inner join pattern_spans
        on executions.pattern_number = pattern_spans.pattern_number
        and executions.occurred_at >= pattern_spans.opens_at
),

members as not materialized (
    select
        *,
        case
            when 4 * elapsed_microseconds <= length_microseconds then 1
            when 2 * elapsed_microseconds <= length_microseconds then 2
            when 4 * elapsed_microseconds <= 3 * length_microseconds then 3
            else 4
        end as quarter,
    from elapsed
)
{%- endmacro %}


{#- CTEs from those that `pattern_window_members` reads to `measured`: one row for each wanted window with an execution. -#}
{% macro pattern_window_measures(clock) -%}
{{ pattern_window_members(clock, [
    'user_id', 'context_type', 'project', 'file_type', 'succeeded', 'timed_out', 'quality_gate_failed', 'execution_time_ms',
    'quality_score',
]) }},

execution_measures as (
    select
        span_number,
        min(occurred_at) as first_at,
        max(occurred_at) as last_at,
        count(*) as total_executions,
        {{ count_where('quarter = 1') }} as first_quarter_executions,
        {{ count_where('quarter = 2') }} as second_quarter_executions,
        {{ count_where('quarter = 3') }} as third_quarter_executions,
        {{ count_where('quarter = 4') }} as fourth_quarter_executions,
        count(distinct context_type) as unique_contexts,
        {{ count_where('succeeded') }} as success_count,
        {{ count_where('timed_out') }} as timeout_count,
        {{ count_where('quality_gate_failed') }} as quality_gate_failures,
        avg(quality_score) as avg_quality_score,
        count(quality_score) + count(user_id) + count(project) + count(file_type) as known_fields,
        avg(execution_time_ms) as avg_execution_time_ms,
        {{ percentiles('execution_time_ms', [0.5, 0.95, 0.99]) }} as execution_time_percentiles,
        min(execution_time_ms) as min_execution_time_ms,
        max(execution_time_ms) as max_execution_time_ms,
        {{ sample_stddev('execution_time_ms') }} as stddev_execution_time_ms,
        sum(execution_time_ms) as total_execution_time_ms,
        -- the clock at which the next execution leaves its quarter
        min(
            case
                when fixed_length is not null
                    then {{ add_microseconds('occurred_at', floor_div('fixed_length * (5 - quarter)', 4)) }}
                when quarter > 1
                    then {{ add_microseconds('begins_at', floor_div('4 * elapsed_microseconds', 'quarter - 1')) }}
            end
        ) as next_change_at,
        max(loaded_through) as loaded_through,
    from members
    group by span_number
),

daily_executions as (
    select
        span_number,
        cast(occurred_at as date) as date,
        count(*) as executions,
    from members
    group by span_number, cast(occurred_at as date)
),

peaks as (
    select
        span_number,
        max(executions) as peak_daily_executions,
    from daily_executions
    group by span_number
),

users as (
    select
        span_number,
        user_id,
        max(case when quarter <= 2 then 1 else 0 end) as is_in_first_half,
        max(case when quarter > 2 then 1 else 0 end) as is_in_second_half,
    from members
    where user_id is not null
    group by span_number, user_id
),

user_measures as (
    select
        span_number,
        count(*) as unique_users,
        {{ count_where('is_in_first_half = 1') }} as first_half_users,
        {{ count_where('is_in_first_half = 1 and is_in_second_half = 1') }} as retained_users,
    from users
    group by span_number
),

debuts as (
    select
        pattern_number,
        user_id,
        min(occurred_at) as first_at,
    from executions
    where user_id is not null
    group by pattern_number, user_id
),

adoption_measures as (
    select
        pattern_spans.span_number,
        count(*) as new_users,
    from debuts
    inner join pattern_spans
        on debuts.pattern_number = pattern_spans.pattern_number
        and debuts.first_at >= pattern_spans.opens_at
    group by pattern_spans.span_number
),

measured as (
    select
        pattern_spans.tenant_id,
        pattern_spans.pattern_id,
        pattern_spans.window_type,
        execution_measures.first_at,
        execution_measures.last_at,
        execution_measures.total_executions,
        execution_measures.first_quarter_executions,
        execution_measures.second_quarter_executions,
        execution_measures.third_quarter_executions,
        execution_measures.fourth_quarter_executions,
        execution_measures.unique_contexts,
        coalesce(user_measures.unique_users, 0) as unique_users,
        coalesce(user_measures.first_half_users, 0) as first_half_users,
        coalesce(user_measures.retained_users, 0) as retained_users,
        coalesce(adoption_measures.new_users, 0) as new_users,
        peaks.peak_daily_executions,
        execution_measures.success_count,
        execution_measures.timeout_count,
        execution_measures.quality_gate_failures,
        execution_measures.avg_quality_score,
        execution_measures.known_fields,
        execution_measures.avg_execution_time_ms,
        {{ percentile('execution_measures.execution_time_percentiles', 1) }} as p50_execution_time_ms,
        {{ percentile('execution_measures.execution_time_percentiles', 2) }} as p95_execution_time_ms,
        {{ percentile('execution_measures.execution_time_percentiles', 3) }} as p99_execution_time_ms,
        execution_measures.min_execution_time_ms,
        execution_measures.max_execution_time_ms,
        execution_measures.stddev_execution_time_ms,
        execution_measures.total_execution_time_ms,
        execution_measures.next_change_at,
        execution_measures.loaded_through,
    from execution_measures
    inner join pattern_spans on execution_measures.span_number = pattern_spans.span_number
    inner join peaks on execution_measures.span_number = peaks.span_number
    left join user_measures on execution_measures.span_number = user_measures.span_number
    left join adoption_measures on execution_measures.span_number = adoption_measures.span_number
)
{%- endmacro %}


{#-
    CTEs from `measured` to `timed`: with the lengths that rates are over, in whole microseconds. The velocity of a window of a
    day or less is per hour, else per day; that of all_time is per day however short it is.
-#}
{% macro pattern_window_timing(clock) -%}
timed as (
    select
        measured.*,
        measured.first_quarter_executions + measured.second_quarter_executions as first_half_executions,
        measured.third_quarter_executions + measured.fourth_quarter_executions as second_half_executions,
        coalesce(
            windows.length_microseconds, {{ microseconds_between('measured.first_at', clock) }}
        ) as length_microseconds,
        {{ microseconds_between('measured.last_at', clock) }} as idle_microseconds,
        case
            when windows.length_microseconds <= {{ hours_in_microseconds(24) }} then {{ hours_in_microseconds(1) }}
            else {{ hours_in_microseconds(24) }}
        end as unit_microseconds,
    from measured
    inner join windows on measured.window_type = windows.window_type
)
{%- endmacro %}


{#- The columns that a row of `timed` shows. -#}
{% macro pattern_window_columns() -%}
    tenant_id,
    pattern_id,
    window_type,
    total_executions,
    {{ per_hours('total_executions', 24) }} as executions_per_day,
    {{ per_hours('total_executions', 7 * 24) }} as executions_per_week,
    {{ per_hours('total_executions', 30 * 24) }} as executions_per_month,
    unique_contexts,
    unique_users,
    peak_daily_executions,
    {{ rate('idle_microseconds', hours_in_microseconds(1)) }} as hours_since_last_use,
    success_count,
    total_executions - success_count as failure_count,
    {{ rate('success_count', 'total_executions') }} as success_rate,
    {{ rate('total_executions - success_count', 'total_executions') }} as error_rate,
    timeout_count,
    quality_gate_failures,
    avg_quality_score,
    avg_execution_time_ms,
    p50_execution_time_ms,
    p95_execution_time_ms,
    p99_execution_time_ms,
    min_execution_time_ms,
    max_execution_time_ms,
    stddev_execution_time_ms,
    total_execution_time_ms,
    {{ latency_band('p95_execution_time_ms') }} as latency_band,
    {{ rate('2 * ' ~ pattern_gain(), 'length_microseconds') }} as velocity,
    -- what the velocity of the second half, by itself, has over that of the first
    {{ rate(
        '4 * unit_microseconds * ' ~ to_wide(
            'fourth_quarter_executions - third_quarter_executions - second_quarter_executions + first_quarter_executions'
        ),
        'length_microseconds',
    ) }} as acceleration,
    {{ pct('second_half_executions - first_half_executions', 'first_half_executions') }} as growth_pct,
    {{ per_hours('new_users', 7 * 24) }} as adoption_rate_per_week,
    {{ rate('retained_users', 'first_half_users') }} as retention_rate,
    {{ rate('first_half_users - retained_users', 'first_half_users') }} as churn_rate,
    {{ pattern_trend() }} as trend,
    {{ rate('least(total_executions, 20)', 20) }}
    * {{ rate('least(length_microseconds, ' ~ hours_in_microseconds(7 * 24) ~ ')', hours_in_microseconds(7 * 24)) }}
        as trend_confidence,
    {{ rate('known_fields', '4 * total_executions') }} as data_quality_score,
    {{ pattern_health_flags() }} as health_flags,
    loaded_through,
{%- endmacro %}


{#- A count per so many hours of the window's length; NULL where that is 0. -#}
{% macro per_hours(count, hours) -%}
    {{ rate(count ~ ' * ' ~ to_wide(hours_in_microseconds(hours)), 'length_microseconds') }}
{%- endmacro %}


{#- A mean or percentile as it is compared: the last digits of a DOUBLE, which show how it was worked out, decide nothing. -#}
{% macro decisive(measure) -%}
    round({{ measure }}, 9)
{%- endmacro %}


{#- How slow a pattern is, by the 95th percentile of its execution times. -#}
{% macro latency_band(p95) -%}
    case
        when {{ decisive(p95) }} < 500 then 'excellent'
        when {{ decisive(p95) }} <= 1000 then 'needs_attention'
        else 'poor'
    end
{%- endmacro %}


{#- By how many executions the second half of a window exceeds the first, times the unit: half its velocity's numerator. -#}
{% macro pattern_gain() -%}
    {{ to_wide('second_half_executions - first_half_executions') }} * unit_microseconds
{%- endmacro %}


{#-
    The first that fits. The velocity is 2 x unit x (second - first half) / length: its limits of -2, 0.5 and -0.5 are compared
    as whole numbers, so that a velocity of exactly 0.5 is stable whatever the length.
-#}
{% macro pattern_trend() -%}
    {%- set gain = pattern_gain() -%}
    case
        when second_half_executions = 0 or (second_half_executions < 5 and {{ gain }} < -length_microseconds) then 'abandoned'
        when total_executions < 10 then 'emerging'
        when 4 * {{ gain }} > length_microseconds then 'growing'
        when 4 * {{ gain }} < -length_microseconds then 'declining'
        else 'stable'
    end
{%- endmacro %}


{#- What is wrong with a pattern in a window, comma-separated; '' if nothing. -#}
{% macro pattern_health_flags() -%}
    concat_ws(
        ',',
        case when 10 * success_count < 8 * total_executions then 'low_success' end,
        case when {{ decisive('p95_execution_time_ms') }} > 500 then 'slow' end,
        case when {{ decisive('p95_execution_time_ms') }} > {{ decisive('2 * p50_execution_time_ms') }} then 'spread' end,
        case when idle_microseconds > {{ hours_in_microseconds(168) }} then 'idle' end,
        case when {{ decisive('avg_quality_score') }} < 0.7 then 'low_quality' end,
        case when quality_gate_failures > 0 then 'gate_failures' end
    )
{%- endmacro %}


{#-
    CTEs from those that `pattern_window_members` reads to `distribution`: in what contexts a pattern ran in a window, 'unknown'
    where the context is absent.
-#}
{% macro pattern_distribution(clock) -%}
{%- set dimensions = {
    'context_type': 'context_type',
    'agent': 'agent_id',
    'project': 'project',
    'file_type': 'file_type',
    'hour_of_day': 'cast(extract(hour from occurred_at) as varchar)',
    'day_of_week': weekday('occurred_at'),
} -%}
{{ pattern_window_members(clock, ['context_type', 'agent_id', 'project', 'file_type']) }},

counted as (
    {%- for dimension, value in dimensions.items() %}
    select
        span_number,
        '{{ dimension }}' as dimension,
        coalesce({{ value }}, 'unknown') as value,
        count(*) as executions,
        max(loaded_through) as loaded_through,
    from members
    group by span_number, coalesce({{ value }}, 'unknown')
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),

distribution as (
    select
        pattern_spans.tenant_id,
        pattern_spans.pattern_id,
        pattern_spans.window_type,
        counted.dimension,
        counted.value,
        counted.executions,
        {{ rate('counted.executions', 'sum(counted.executions) over whole') }} as share,
        max(counted.loaded_through) over whole as loaded_through,
    from counted
    inner join pattern_spans on counted.span_number = pattern_spans.span_number
    window whole as (partition by counted.span_number, counted.dimension)
)
{%- endmacro %}


{#-
    What `agent-analytics pattern` asks the published executions: the row of pattern_analytics for one window of any length
    (microseconds, 'null' for all_time) that ends at `clock`. `executions` is a relation with all executions of the patterns:
    whose first one lies in the window is known from all.
-#}
{% macro pattern_analytics_of(executions, clock, length_microseconds) -%}
with

{{ pattern_one_window(executions, length_microseconds) }},

{{ pattern_window_measures(clock) }},

{{ pattern_window_timing(clock) }}

select
    {{ pattern_window_columns() }}
from timed
{%- endmacro %}


{#- The same for pattern_context_distribution. -#}
{% macro pattern_distribution_of(executions, clock, length_microseconds) -%}
with

{{ pattern_one_window(executions, length_microseconds) }},

{{ pattern_distribution(clock) }}

select
    tenant_id,
    pattern_id,
    dimension,
    value,
    executions,
    share,
from distribution
{%- endmacro %}


{% macro pattern_one_window(executions, length_microseconds) -%}
history as (
    select * from {{ executions }}
),

windows as (
    select
        'window' as window_type,
        cast({{ length_microseconds }} as bigint) as length_microseconds,
),

wanted as (
    select
        patterns_seen.tenant_id,
        patterns_seen.pattern_id,
        windows.window_type,
    from (select distinct tenant_id, pattern_id from history) as patterns_seen
    cross join windows
)
{%- endmacro %}
