"""patterns as bare SQL. Windows end at the data clock: a tick recomputes them all."""

from benchmarks.bare.parts import Mart, Step

EVENTS = {
    "pattern_runs": """
select
    load_id, tenant_id, pattern_id, occurred_at, user_id, agent_id, context_type, project, file_type, succeeded,
    timed_out, quality_gate_failed, execution_time_ms, quality_score
from {patterns}""",
}

HOUR = 3_600_000_000

# Strings as keys of all executions times all windows would cost twice as much.
STEPS = (
    Step(
        "pattern_numbers",
        """
select tenant_id, pattern_id, row_number() over ()::int as pattern, min(occurred_at) as first_at
from pattern_runs where occurred_at <= {as_of} group by tenant_id, pattern_id""",
    ),
    Step(
        "pattern_windows",
        f"""
select
    *, (row_number() over ())::int as span, {{as_of}} - to_microseconds(length) as begins_at
from (
    select *, coalesce(fixed, epoch_us({{as_of}}) - epoch_us(first_at)) as length
    from pattern_numbers
    cross join (
        values ('hourly', {HOUR}), ('daily', {24 * HOUR}), ('weekly', {7 * 24 * HOUR}), ('monthly', {30 * 24 * HOUR}),
        ('quarterly', {90 * 24 * HOUR}), ('yearly', {365 * 24 * HOUR}), ('all_time', null)
    ) as w (window_type, fixed)
)""",
    ),
)


def _members(columns: str) -> str:
    return f"""
numbered as (
    select pattern, occurred_at, load_id, {columns}
    from pattern_runs inner join pattern_numbers using (tenant_id, pattern_id) where occurred_at <= {{as_of}}
),

members as not materialized (
    select
        span, occurred_at, load_id, length, {columns},
        case
            when 4 * (epoch_us(occurred_at) - epoch_us(begins_at)) <= length then 1
            when 2 * (epoch_us(occurred_at) - epoch_us(begins_at)) <= length then 2
            when 4 * (epoch_us(occurred_at) - epoch_us(begins_at)) <= 3 * length then 3
            else 4
        end as quarter
    from numbered inner join pattern_windows using (pattern)
    where occurred_at > begins_at or (fixed is null and occurred_at = begins_at)
)"""


MARTS = (
    Mart(
        "patterns",
        "pattern_analytics",
        ("tenant_id", "pattern_id", "window_type"),
        f"""
with {
            _members(
                "user_id, context_type, project, file_type, succeeded, timed_out, quality_gate_failed, "
                "execution_time_ms, quality_score"
            )
        },

measured as (
    select
        span, max(occurred_at) as last_at, count(*) as n, count(*) filter (where quarter = 1) as q1,
        count(*) filter (where quarter = 2) as q2, count(*) filter (where quarter = 3) as q3,
        count(*) filter (where quarter = 4) as q4, count(distinct context_type) as unique_contexts,
        count(*) filter (where succeeded) as success_count, count(*) filter (where timed_out) as timeout_count,
        count(*) filter (where quality_gate_failed) as quality_gate_failures, avg(quality_score) as avg_quality_score,
        count(quality_score) + count(user_id) + count(project) + count(file_type) as known,
        avg(execution_time_ms) as avg_execution_time_ms, quantile_cont(execution_time_ms, [0.5, 0.95, 0.99]) as q,
        min(execution_time_ms) as min_execution_time_ms, max(execution_time_ms) as max_execution_time_ms,
        stddev_samp(execution_time_ms) as stddev_execution_time_ms,
        sum(execution_time_ms) as total_execution_time_ms, max(load_id) as loaded_through
    from members group by span
),

peaks as (
    select span, max(n) as peak_daily_executions
    from (select span, occurred_at::date, count(*) as n from members group by all) group by span
),

users as (
    select
        span, count(*) as unique_users, count(*) filter (where early) as first_half_users,
        count(*) filter (where early and late) as retained
    from (
        select span, user_id, bool_or(quarter <= 2) as early, bool_or(quarter > 2) as late
        from members where user_id is not null group by all
    )
    group by span
),

debuts as (
    select span, count(*) as new_users
    from (select pattern, user_id, min(occurred_at) as debut from numbered where user_id is not null group by all)
    inner join pattern_windows using (pattern)
    where debut > begins_at or (fixed is null and debut = begins_at)
    group by span
),

timed as (
    select
        *, q1 + q2 as first_half, q3 + q4 as second_half, epoch_us({{as_of}}) - epoch_us(last_at) as idle,
        if(fixed <= {24 * HOUR}, {HOUR}, {24 * HOUR}) as unit,
        (second_half - first_half)::hugeint * if(fixed <= {24 * HOUR}, {HOUR}, {24 * HOUR}) as gain
    from measured
    inner join pattern_windows using (span)
    inner join peaks using (span)
    left join users using (span)
    left join debuts using (span)
)

select
    tenant_id, pattern_id, window_type, n as total_executions,
    n * {24 * HOUR}::hugeint / nullif(length, 0) as executions_per_day,
    n * {7 * 24 * HOUR}::hugeint / nullif(length, 0) as executions_per_week,
    n * {30 * 24 * HOUR}::hugeint / nullif(length, 0) as executions_per_month, unique_contexts,
    coalesce(unique_users, 0) as unique_users, peak_daily_executions, idle / {HOUR} as hours_since_last_use,
    success_count, n - success_count as failure_count, success_count / n as success_rate,
    (n - success_count) / n as error_rate, timeout_count, quality_gate_failures, avg_quality_score,
    avg_execution_time_ms, q[1] as p50_execution_time_ms, q[2] as p95_execution_time_ms, q[3] as p99_execution_time_ms,
    min_execution_time_ms, max_execution_time_ms, stddev_execution_time_ms, total_execution_time_ms,
    case when q[2] < 500 then 'excellent' when q[2] <= 1000 then 'needs_attention' else 'poor' end as latency_band,
    2 * unit * (second_half - first_half) / nullif(length, 0) as velocity,
    4 * unit * (q4 - q3 - q2 + q1) / nullif(length, 0) as acceleration,
    100 * (second_half - first_half) / nullif(first_half, 0) as growth_pct,
    coalesce(new_users, 0) * {7 * 24 * HOUR}::hugeint / nullif(length, 0) as adoption_rate_per_week,
    retained / nullif(first_half_users, 0) as retention_rate,
    (first_half_users - retained) / nullif(first_half_users, 0) as churn_rate,
    case
        when second_half = 0 or (second_half < 5 and gain < -length) then 'abandoned'
        when n < 10 then 'emerging'
        when 4 * gain > length then 'growing'
        when 4 * gain < -length then 'declining'
        else 'stable'
    end as trend,
    least(n, 20) / 20 * (least(length, {7 * 24 * HOUR}) / {7 * 24 * HOUR}) as trend_confidence,
    known / (4 * n) as data_quality_score,
    concat_ws(
        ',', if(10 * success_count < 8 * n, 'low_success', null), if(q[2] > 500, 'slow', null),
        if(q[2] > 2 * q[1], 'spread', null), if(idle > {168 * HOUR}, 'idle', null),
        if(round(avg_quality_score, 9) < 0.7, 'low_quality', null), if(quality_gate_failures > 0, 'gate_failures', null)
    ) as health_flags,
    loaded_through
from timed""",
    ),
    Mart(
        "patterns",
        "pattern_context_distribution",
        ("tenant_id", "pattern_id", "window_type", "dimension", "value"),
        f"""
with {_members("context_type, agent_id, project, file_type")},

counted as (
{
            " union all ".join(
                f"select span, '{dimension}' as dimension, coalesce({value}, 'unknown') as value,"
                " count(*) as executions, max(load_id) as loaded from members group by all"
                for dimension, value in {
                    "context_type": "context_type",
                    "agent": "agent_id",
                    "project": "project",
                    "file_type": "file_type",
                    "hour_of_day": "hour(occurred_at)::varchar",
                    "day_of_week": "(isodow(occurred_at) - 1)::varchar",
                }.items()
            )
        }
)

select
    tenant_id, pattern_id, window_type, dimension, value, executions, executions / sum(executions) over w as share,
    max(loaded) over w as loaded_through
from counted inner join pattern_windows using (span)
window w as (partition by span, dimension)""",
    ),
    Mart(
        "patterns",
        "pattern_metrics_daily",
        ("tenant_id", "pattern_id", "date"),
        """
select
    tenant_id, pattern_id, date, executions, successes, successes / executions as success_rate, unique_users,
    avg_execution_time_ms, q[1] as p50_execution_time_ms, q[2] as p95_execution_time_ms, q[3] as p99_execution_time_ms,
    avg_quality_score, loaded_through
from (
    select
        tenant_id, pattern_id, date, count(*) as executions, count(*) filter (where succeeded) as successes,
        count(distinct user_id) as unique_users, avg(execution_time_ms) as avg_execution_time_ms,
        quantile_cont(execution_time_ms, [0.5, 0.95, 0.99]) as q, avg(quality_score) as avg_quality_score,
        max(load_id) as loaded_through
    from (select *, occurred_at::date as date from pattern_runs) as e {only}
    group by tenant_id, pattern_id, date
)""",
        ("tenant_id", "pattern_id", "date"),
        "select tenant_id, pattern_id, occurred_at::date as date from new_pattern_runs",
    ),
)
