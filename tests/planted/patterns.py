"""Faults of patterns."""

from planted import CLOCK_MOVES, keys, one_row, volume_drops

DAILY = "patterns.pattern_metrics_daily"
ANALYTICS = "patterns.pattern_analytics"
CONTEXTS = "patterns.pattern_context_distribution"

FAULTS = {
    **keys(DAILY, "pattern_id"),
    f"{DAILY}.counts": one_row(DAILY, "unique_users = null"),
    f"{DAILY}.days_with_executions": one_row(DAILY, "executions = 0"),
    f"{DAILY}.users_execute": one_row(DAILY, "unique_users = executions + 1"),
    f"{DAILY}.success_rate_is_a_ratio": one_row(DAILY, "success_rate = null"),
    f"{DAILY}.rates": one_row(DAILY, "avg_quality_score = 1.01"),
    f"{DAILY}.measures": one_row(DAILY, "avg_execution_time_ms = -1"),
    f"{DAILY}.percentiles": one_row(DAILY, "p95_execution_time_ms = p99_execution_time_ms + 1"),
    f"{DAILY}.all_executions": one_row(DAILY, "date = date + 100"),
    f"{DAILY}.all_executions/successes": one_row(DAILY, "successes = successes + 1"),
    f"{DAILY}.date_fresh": CLOCK_MOVES,
    f"{DAILY}.executions_usual_volume": volume_drops(DAILY, "date", "executions"),
    **keys(ANALYTICS, "window_type"),
    f"{ANALYTICS}.window_type_accepted": one_row(ANALYTICS, "window_type = 'fortnightly'"),
    f"{ANALYTICS}.counts": one_row(ANALYTICS, "timeout_count = -1"),
    f"{ANALYTICS}.windows_with_executions": one_row(ANALYTICS, "total_executions = 0"),
    f"{ANALYTICS}.parts_of_executions": one_row(ANALYTICS, "failure_count = failure_count + 1"),
    f"{ANALYTICS}.success_rate_is_a_ratio": one_row(ANALYTICS, "success_rate = success_rate / 2", "success_rate > 0"),
    f"{ANALYTICS}.error_rate_is_a_ratio": one_row(ANALYTICS, "error_rate = null"),
    f"{ANALYTICS}.rates": one_row(ANALYTICS, "retention_rate = 1.5"),
    f"{ANALYTICS}.measures": one_row(ANALYTICS, "adoption_rate_per_week = -1"),
    f"{ANALYTICS}.percentiles": one_row(ANALYTICS, "min_execution_time_ms = max_execution_time_ms + 1"),
    f"{ANALYTICS}.latency_band_accepted": one_row(ANALYTICS, "latency_band = 'good'"),
    f"{ANALYTICS}.trend_accepted": one_row(ANALYTICS, "trend = 'sideways'"),
    f"{ANALYTICS}.trend_follows_velocity": one_row(ANALYTICS, "trend = 'growing'", "velocity <= 0.5"),
    f"{ANALYTICS}.flags_follow_measures": one_row(ANALYTICS, "health_flags = ''", "quality_gate_failures > 0"),
    f"{ANALYTICS}.windows_nest": one_row(ANALYTICS, "hours_since_last_use = 0.5", "window_type = 'weekly'"),
    f"{ANALYTICS}.all_executions": f"delete from {ANALYTICS} where window_type = 'all_time'",
    f"{ANALYTICS}.all_executions/successes": one_row(
        ANALYTICS, "success_count = success_count + 1", "window_type = 'all_time'"
    ),
    **keys(CONTEXTS, "value"),
    f"{CONTEXTS}.dimension_accepted": one_row(CONTEXTS, "dimension = 'mood'"),
    f"{CONTEXTS}.counts": one_row(CONTEXTS, "executions = null"),
    f"{CONTEXTS}.values_that_occur": one_row(CONTEXTS, "executions = 0"),
    f"{CONTEXTS}.rates": one_row(CONTEXTS, "share = 1.5"),
    f"{CONTEXTS}.shares_add_up": one_row(CONTEXTS, "share = share / 2"),
    f"{CONTEXTS}.hours_and_days_of_the_week": one_row(CONTEXTS, "value = '24'", "dimension = 'hour_of_day'"),
    f"{CONTEXTS}.same_executions_as_analytics": one_row(CONTEXTS, "executions = executions + 1"),
}
