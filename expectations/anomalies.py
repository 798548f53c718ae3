"""anomalies: how far the metrics of other families lie from what is usual on their weekday."""

from expectations import Expectation, accepted, fresh, holds, mart, measures, nothing, suite

METRICS = ("crc_completions", "pattern_executions", "agent_executions", "messages", "provider_cost_usd")


def same_values(metric: str, total: str, of: str) -> Expectation:
    """The metric's values add up to those of the mart that it comes from, on days complete all over the earth."""
    query = f"""
        select tenant_id, date, sum(found) as found, sum(wanted) as wanted
        from (
            select tenant_id, date, value as found, 0 as wanted from mart where metric = '{metric}'
            union all
            select tenant_id, date, 0 as found, {total} as wanted from {of} group by tenant_id, date
        )
        where date < (select cast(as_of as date) - 1 from ops.run)
        group by tenant_id, date
        having abs(sum(found) - sum(wanted)) > 1e-6 * greatest(1, abs(sum(wanted)))
    """
    says = f"The values of {metric} add up to {total} of {of}, for each tenant and complete day."
    return nothing(f"all_of_{metric}", query, says, "value")


SUITE = suite(
    "anomalies",
    mart(
        "metric_anomalies",
        key=["metric", "tenant_id", "entity", "date"],
        fed_by="(select 1 from patterns.pattern_metrics_daily inner join ops.run on date < cast(as_of as date))",
        rebuilt=True,
        expect=[
            accepted("metric", *METRICS),
            measures("value", "expected"),
            holds("days_with_a_value", "value is not null", "value"),
            holds("scored_where_expected", "expected is not null or score is null", "expected", "score"),
            holds(
                "anomalies_score_high",
                "is_anomaly = coalesce(abs(score) > 3.5, false)",
                "is_anomaly",
                "score",
            ),
            holds(
                "scores_point_from_the_expected",
                "score is null or sign(score) = sign(value - expected)",
                "score",
                "value",
                "expected",
            ),
            same_values("crc_completions", "sum(completions)", "crc.crc_throughput_daily"),
            same_values("pattern_executions", "sum(executions)", "patterns.pattern_metrics_daily"),
            same_values("agent_executions", "sum(total_executions)", "provider_costs.execution_rollup_daily"),
            same_values("messages", "sum(messages)", "platform_usage.platform_metrics_daily"),
            same_values("provider_cost_usd", "sum(cost_usd)", "provider_costs.provider_calls_daily"),
            nothing(
                "complete_days",
                "select * from mart where date > (select cast(as_of as date) from ops.run)",
                "No day lies beyond the data clock's.",
                "date",
            ),
            fresh("date", hours=96),
        ],
    ),
)
