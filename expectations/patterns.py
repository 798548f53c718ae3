"""patterns: how patterns are used, how well they do, and where they are heading."""

from expectations import (
    accepted,
    ascending,
    counts,
    each_reconciles,
    fresh,
    holds,
    mart,
    measures,
    nothing,
    rates,
    ratio,
    reconciles,
    suite,
    usual_volume,
)

EXECUTIONS = "staging.stg_patterns__executions"
DATED = f"(select *, cast(occurred_at as date) as date from {EXECUTIONS})"
BY_THE_CLOCK = f"(select executions.* from {EXECUTIONS} as executions inner join ops.run on occurred_at <= as_of)"
WINDOWS = ("hourly", "daily", "weekly", "monthly", "quarterly", "yearly", "all_time")
DIMENSIONS = ("context_type", "agent", "project", "file_type", "hour_of_day", "day_of_week")
ALL_TIME = "filter (where window_type = 'all_time')"

SUITE = suite(
    "patterns",
    mart(
        "pattern_metrics_daily",
        key=["tenant_id", "pattern_id", "date"],
        fed_by=EXECUTIONS,
        expect=[
            counts("executions", "successes", "unique_users"),
            holds("days_with_executions", "executions > 0", "executions"),
            holds("users_execute", "unique_users <= executions", "unique_users", "executions"),
            ratio("success_rate", "successes", "executions"),
            rates("avg_quality_score"),
            measures("avg_execution_time_ms"),
            ascending("p50_execution_time_ms", "p95_execution_time_ms", "p99_execution_time_ms", name="percentiles"),
            each_reconciles(
                "all_executions",
                {"sum(executions)": "count(*)", "sum(successes)": "count(*) filter (where succeeded)"},
                DATED,
                by=["tenant_id", "pattern_id", "date"],
            ),
            fresh("date", hours=72),
            usual_volume("date", "executions"),
        ],
    ),
    mart(
        "pattern_analytics",
        key=["tenant_id", "pattern_id", "window_type"],
        fed_by=BY_THE_CLOCK,
        rebuilt=True,
        expect=[
            accepted("window_type", *WINDOWS),
            counts(
                "total_executions",
                "unique_contexts",
                "unique_users",
                "peak_daily_executions",
                "success_count",
                "failure_count",
                "timeout_count",
                "quality_gate_failures",
            ),
            holds("windows_with_executions", "total_executions > 0", "total_executions"),
            holds(
                "parts_of_executions",
                "success_count + failure_count = total_executions and timeout_count <= total_executions"
                " and quality_gate_failures <= total_executions and unique_users <= total_executions"
                " and unique_contexts <= total_executions and peak_daily_executions <= total_executions",
                "total_executions",
                "success_count",
                "failure_count",
                "timeout_count",
                "quality_gate_failures",
                "unique_users",
                "unique_contexts",
                "peak_daily_executions",
            ),
            ratio("success_rate", "success_count", "total_executions"),
            ratio("error_rate", "failure_count", "total_executions"),
            rates("avg_quality_score", "retention_rate", "churn_rate", "trend_confidence", "data_quality_score"),
            measures(
                "executions_per_day",
                "executions_per_week",
                "executions_per_month",
                "hours_since_last_use",
                "avg_execution_time_ms",
                "stddev_execution_time_ms",
                "total_execution_time_ms",
                "adoption_rate_per_week",
            ),
            ascending(
                "min_execution_time_ms",
                "p50_execution_time_ms",
                "p95_execution_time_ms",
                "p99_execution_time_ms",
                "max_execution_time_ms",
                name="percentiles",
            ),
            accepted("latency_band", "excellent", "needs_attention", "poor"),
            accepted("trend", "abandoned", "emerging", "growing", "declining", "stable"),
            holds(
                "trend_follows_velocity",
                "case trend"
                " when 'emerging' then total_executions < 10"
                " when 'growing' then velocity > 0.5"
                " when 'declining' then velocity < -0.5"
                " when 'stable' then velocity between -0.5 and 0.5"
                " else true end",
                "trend",
                "velocity",
                "total_executions",
            ),
            holds(
                "flags_follow_measures",
                "(health_flags like '%low_success%') = (10 * success_count < 8 * total_executions)"
                " and (health_flags like '%gate_failures%') = (quality_gate_failures > 0)"
                " and (health_flags like '%slow%') = (round(p95_execution_time_ms, 9) > 500)",
                "health_flags",
            ),
            nothing(
                "windows_nest",
                """
                select wide.tenant_id, wide.pattern_id, narrow.window_type, wide.window_type as wider_window
                from mart as narrow
                inner join mart as wide on narrow.tenant_id = wide.tenant_id and narrow.pattern_id = wide.pattern_id
                where list_position($windows, narrow.window_type) < list_position($windows, wide.window_type)
                    and (
                        narrow.total_executions > wide.total_executions
                        or narrow.hours_since_last_use <> wide.hours_since_last_use
                    )
                """.replace("$windows", str(list(WINDOWS))),
                "A wider window holds what a narrower one does, and ends with the same execution.",
                "total_executions",
                "hours_since_last_use",
            ),
            each_reconciles(
                "all_executions",
                {
                    f"sum(total_executions) {ALL_TIME}": "count(*)",
                    f"sum(success_count) {ALL_TIME}": "count(*) filter (where succeeded)",
                },
                BY_THE_CLOCK,
                by=["tenant_id", "pattern_id"],
            ),
        ],
    ),
    mart(
        "pattern_context_distribution",
        key=["tenant_id", "pattern_id", "window_type", "dimension", "value"],
        fed_by=BY_THE_CLOCK,
        rebuilt=True,
        expect=[
            accepted("dimension", *DIMENSIONS),
            counts("executions"),
            holds("values_that_occur", "executions > 0", "executions"),
            rates("share"),
            nothing(
                "shares_add_up",
                """
                select tenant_id, pattern_id, window_type, dimension, sum(share) as shares
                from mart
                group by all
                having not coalesce(abs(sum(share) - 1) < 1e-9, false)
                """,
                "The shares of a dimension's values add up to 1.",
                "share",
            ),
            holds(
                "hours_and_days_of_the_week",
                "case dimension"
                " when 'hour_of_day' then coalesce(try_cast(value as integer) between 0 and 23, false)"
                " when 'day_of_week' then coalesce(try_cast(value as integer) between 0 and 6, false)"
                " else true end",
                "value",
            ),
            reconciles(
                "same_executions_as_analytics",
                "sum(executions)",
                f"{len(DIMENSIONS)} * sum(total_executions)",
                "patterns.pattern_analytics",
                by=["tenant_id", "pattern_id", "window_type"],
            ),
        ],
    ),
)
