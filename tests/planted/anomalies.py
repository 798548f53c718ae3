"""Faults of anomalies."""

from planted import CLOCK_DAY, CLOCK_MOVES, keys, one_row

MART = "anomalies.metric_anomalies"

FAULTS = {
    **keys(MART, "entity"),
    f"{MART}.metric_accepted": one_row(MART, "metric = 'happiness'"),
    f"{MART}.measures": one_row(MART, "value = -1"),
    f"{MART}.days_with_a_value": one_row(MART, "value = null"),
    f"{MART}.scored_where_expected": one_row(MART, "expected = null", "score is not null"),
    f"{MART}.anomalies_score_high": one_row(MART, "is_anomaly = not is_anomaly"),
    f"{MART}.scores_point_from_the_expected": one_row(MART, "score = -score", "score <> 0"),
    **{
        f"{MART}.all_of_{metric}": one_row(MART, "value = value + 1", f"metric = '{metric}' and date < {CLOCK_DAY} - 1")
        for metric in ("crc_completions", "pattern_executions", "agent_executions", "messages", "provider_cost_usd")
    },
    f"{MART}.complete_days": one_row(MART, "date = date + 1000"),
    f"{MART}.date_fresh": CLOCK_MOVES,
}
