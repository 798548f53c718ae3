"""goals: one headline number of each family, and of some more than one.

A goal is compared with what it is measured from, in the same candidate. Whether that is right is for the suite of its
family to say: a broken candidate of another family must not hold back all goals.
"""

from expectations import WARNING, Expectation, accepted, holds, mart, nothing, suite

FAMILIES = (
    "platform_usage",
    "provider_costs",
    "revenue",
    "customer_health",
    "funnels",
    "crc",
    "delivery",
    "swarm",
    "notebooks",
    "patterns",
    "game",
    "experiments",
)
GOALS = (
    "messages",
    "unique_users",
    "spend_usd",
    "execution_success_rate",
    "routing_savings_usd",
    "mrr_usd",
    "net_revenue_retention",
    "customers_at_high_risk",
    "activation_rate",
    "crc_completions",
    "deployments",
    "change_failure_rate",
    "efficiency_ratio",
    "mttr_minutes",
    "notebook_cadence_per_hour",
    "notebook_coverage",
    "pattern_success_rate",
    "game_completion_rate",
    "game_fallback_rate",
    "game_stuck_rate",
    "significant_experiments",
)


def measured(goal: str, value: str, of: str, date: str | None = "date") -> Expectation:
    """The goal is `value` of a relation, over the 30 complete UTC days where that has a `date`."""
    window = f"where {date} >= cast(run.as_of as date) - 30 and {date} < cast(run.as_of as date)" if date else ""
    query = f"""
        select mart.goal, mart.value, found.value as measured
        from mart
        cross join (select {value} as value from {of} cross join ops.run {window}) as found
        where mart.goal = '{goal}'
            and (
                (mart.value is null) <> (found.value is null)
                or abs(mart.value - found.value) > 1e-9 * greatest(1, abs(found.value))
            )
    """
    says = f"{goal} = {value} of {of}{' over the 30 complete UTC days' if date else ''}."
    return nothing(f"{goal}_measured", query, says, "value")


SUITE = suite(
    "goals",
    mart(
        "goal_kpis",
        key=["goal"],
        fed_by="ops.run where as_of is not null",
        rebuilt=True,
        expect=[
            accepted("goal", *GOALS),
            nothing(
                "every_goal",
                f"select count(distinct goal) as goals from mart having goals between 1 and {len(GOALS) - 1}",
                "Every goal is there, those whose value is unknown too.",
                "goal",
            ),
            accepted("family", *FAMILIES),
            accepted("unit", "count", "usd", "rate", "minutes", "per_hour"),
            accepted("status", "ok", "warning", "critical", "none"),
            holds(
                "counts_are_whole",
                "unit <> 'count' or (value >= 0 and value = floor(value) and coalesce(previous_value >= 0, true))",
                "value",
                "previous_value",
            ),
            holds(
                "rates_are_shares",
                "unit <> 'rate' or goal = 'net_revenue_retention' or coalesce(value between 0 and 1, true)",
                "value",
                severity=WARNING,
            ),
            holds(
                "change_is_from_the_previous_value",
                """
                case
                    when value is null or coalesce(previous_value, 0) = 0 then change_pct is null
                    else abs(change_pct - 100 * (value - previous_value) / previous_value)
                        <= 1e-9 * greatest(1, abs(change_pct))
                end
                """,
                "change_pct",
            ),
            holds("an_unknown_has_no_status", "value is not null or status = 'none'", "status", "value"),
            holds("a_candidate_is_not_stale", "not is_stale", "is_stale"),
            nothing(
                "stands_at_the_clock",
                "select mart.* from mart cross join ops.run where mart.as_of <> run.as_of",
                "as_of is the data clock.",
                "as_of",
            ),
            measured("messages", "coalesce(sum(messages), 0)", "intermediate.int_message_days"),
            measured("spend_usd", "coalesce(sum(spend_usd), 0)", "intermediate.int_spend_days"),
            measured(
                "execution_success_rate",
                "sum(successful_executions) / nullif(sum(total_executions), 0)",
                "provider_costs.execution_rollup_hourly",
                "cast(hour as date)",
            ),
            measured("crc_completions", "coalesce(sum(completions), 0)", "crc.crc_throughput_daily"),
            measured("deployments", "count(*)", "intermediate.int_production_deployments"),
            measured(
                "efficiency_ratio",
                "sum(successful_resolutions) / nullif(sum(assignments), 0)",
                "intermediate.int_swarm_days",
            ),
            measured(
                "notebook_cadence_per_hour",
                "coalesce(sum(runs), (select min(0) from notebooks.notebook_update_cadence_daily)) / 720",
                "notebooks.notebook_update_cadence_daily",
            ),
            measured(
                "notebook_coverage",
                "count(*) filter (adoption_mode <> 'inactive') / nullif(count(*), 0)",
                "notebooks.notebook_adoption",
                date=None,
            ),
            measured(
                "pattern_success_rate",
                "sum(successes) / nullif(sum(executions), 0)",
                "patterns.pattern_metrics_daily",
            ),
            measured(
                "game_completion_rate",
                "sum(completions) / nullif(sum(sessions), 0)",
                "game.game_kpis_daily",
            ),
            measured(
                "game_fallback_rate",
                "sum(fallbacks) / nullif(sum(turns), 0)",
                "intermediate.int_game_session_days",
            ),
            measured(
                "significant_experiments",
                "count(distinct case when significance = 'significant' then experiment end)",
                "experiments.experiment_readouts",
                date=None,
            ),
        ],
    ),
)
