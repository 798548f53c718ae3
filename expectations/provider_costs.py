"""provider_costs: what agent executions and the calls behind them did, and cost."""

from expectations import (
    MONEY_END,
    Expectation,
    accepted,
    amounts,
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

EXECUTIONS = "staging.stg_provider__executions"
CALLS = "staging.stg_provider__calls"
RATE_LIMITS = "staging.stg_provider__rate_limits"
ERRORS = "staging.stg_provider__errors"
BY_EXECUTION = ["tenant_id", "provider", "task_type"]
BY_CALL = ["tenant_id", "provider", "model"]
MONTH = "cast(date_trunc('month', date) as date)"

# Hourly rollups hold the days that the retention policy names.
HOURLY = "occurred_at >= (select hourly_from from ops.run)"


def _rollup(held: str) -> list[Expectation]:
    """The hourly and the daily rollup differ in their grain only, and in the executions that are `held`."""
    return [
        counts(
            "total_executions", "successful_executions", "failed_executions", "timed_out_executions", "total_tokens"
        ),
        amounts("total_cost_usd"),
        ratio("success_rate", "successful_executions", "total_executions"),
        holds(
            "outcomes_add_up",
            "successful_executions + failed_executions + timed_out_executions = total_executions"
            " and total_executions > 0",
            "successful_executions",
            "failed_executions",
            "timed_out_executions",
            "total_executions",
        ),
        measures("avg_duration_ms", "p50_duration_ms", "avg_queue_ms", "p95_queue_ms"),
        ascending("p50_duration_ms", "p95_duration_ms", "p99_duration_ms", name="percentiles"),
        each_reconciles(
            "all_executions",
            {
                "sum(total_executions)": "count(*)",
                "sum(successful_executions)": "count(*) filter (where event_type = 'agent.completed')",
                "sum(timed_out_executions)": "count(*) filter (where event_type = 'agent.timed_out')",
                "sum(total_tokens)": "sum(coalesce(tokens_in, 0) + coalesce(tokens_out, 0))",
            },
            f"{EXECUTIONS} where {held}",
            by=BY_EXECUTION,
        ),
    ]


SUITE = suite(
    "provider_costs",
    mart(
        "execution_rollup_hourly",
        key=["tenant_id", "hour", "provider", "task_type"],
        fed_by=f"{EXECUTIONS} where {HOURLY}",
        expect=[
            *_rollup(HOURLY),
            holds("hour_begins", "hour = date_trunc('hour', hour)", "hour"),
            fresh("hour", hours=26),
        ],
    ),
    mart(
        "execution_rollup_daily",
        key=["tenant_id", "date", "provider", "task_type"],
        fed_by=EXECUTIONS,
        expect=[
            *_rollup("true"),
            reconciles(
                "same_cost_as_hourly",
                "sum(total_cost_usd)",
                "sum(total_cost_usd)",
                f"""
                (
                    select tenant_id, provider, task_type, total_cost_usd from provider_costs.execution_rollup_hourly
                    union all
                    select tenant_id, provider, task_type, cost_usd as total_cost_usd
                    from intermediate.int_executions_priced where not ({HOURLY})
                )
                """,
                by=BY_EXECUTION,
                below=MONEY_END,
            ),
            usual_volume("date", "total_executions", tenant_local=True),
        ],
    ),
    mart(
        "provider_calls_daily",
        key=["tenant_id", "date", "provider", "model"],
        fed_by=CALLS,
        expect=[
            counts("calls", "failed_calls", "rate_limited", "errors", "tokens_in", "tokens_out", "unpriced_calls"),
            amounts("cost_usd"),
            holds(
                "parts_of_calls",
                "failed_calls <= calls and unpriced_calls <= calls",
                "failed_calls",
                "unpriced_calls",
                "calls",
            ),
            holds("days_with_events", "calls + rate_limited + errors > 0", "calls", "rate_limited", "errors"),
            measures("avg_latency_ms", "p50_latency_ms"),
            ascending("p50_latency_ms", "p95_latency_ms", "p99_latency_ms", name="percentiles"),
            each_reconciles(
                "all_calls",
                {
                    "sum(calls)": "count(*)",
                    "sum(failed_calls)": "count(*) filter (where not succeeded)",
                    "sum(tokens_in)": "sum(tokens_in)",
                    "sum(tokens_out)": "sum(tokens_out)",
                },
                CALLS,
                by=BY_CALL,
            ),
            reconciles("all_rate_limits", "sum(rate_limited)", "count(*)", RATE_LIMITS, by=BY_CALL),
            reconciles("all_errors", "sum(errors)", "count(*)", ERRORS, by=BY_CALL),
            fresh("date", hours=72),
            usual_volume("date", "calls", tenant_local=True),
        ],
    ),
    mart(
        "routing_savings_daily",
        key=["tenant_id", "date", "task_type"],
        fed_by=f"{EXECUTIONS} where event_type = 'agent.completed'",
        expect=[
            counts("executions"),
            amounts("actual_cost_usd", "alternative_cost_usd"),
            holds(
                "savings_are_the_difference",
                "savings_usd = alternative_cost_usd - actual_cost_usd",
                "savings_usd",
                "alternative_cost_usd",
                "actual_cost_usd",
            ),
            ratio("savings_pct", "savings_usd", "alternative_cost_usd", factor=100),
            reconciles(
                "same_executions_as_rollup",
                "sum(executions)",
                "sum(successful_executions)",
                "provider_costs.execution_rollup_daily",
                by=["tenant_id", "date", "task_type"],
            ),
        ],
    ),
    mart(
        "spend_monthly",
        key=["tenant_id", "month"],
        fed_by=f"(select tenant_id from {EXECUTIONS} union all select tenant_id from {CALLS})",
        rebuilt=True,
        expect=[
            counts("executions"),
            amounts("spend_usd"),
            measures("cost_per_execution_usd", "budget_usd", "projected_spend_usd", "budget_used_pct"),
            accepted("budget_status", "no_budget", "over", "warning", "ok"),
            holds(
                "status_fits_budget",
                """case
                    when budget_usd is null then budget_status = 'no_budget'
                    when spend_usd > budget_usd then budget_status = 'over'
                    else budget_status in ('warning', 'ok')
                end""",
                "budget_status",
                "budget_usd",
                "spend_usd",
            ),
            holds("month_begins", "month = date_trunc('month', month)", "month"),
            reconciles(
                "same_spend_as_calls",
                "sum(spend_usd)",
                "sum(cost_usd)",
                f"(select *, {MONTH} as month from provider_costs.provider_calls_daily)",
                by=["tenant_id", "month"],
                below=MONEY_END,
            ),
            reconciles(
                "same_executions_as_rollup",
                "sum(executions)",
                "sum(total_executions)",
                f"(select *, {MONTH} as month from provider_costs.execution_rollup_daily)",
                by=["tenant_id", "month"],
            ),
        ],
    ),
    mart(
        "routing_recommendations",
        key=["tenant_id", "task_type"],
        # Days that lie in the 30-day window in every time zone: what is eligible in them is eligible.
        fed_by="""(
            select tenant_id, task_type from (
                select tenant_id, task_type, provider
                from intermediate.int_executions_priced, ops.run
                where date between cast(as_of as date) - 29 and cast(as_of as date) - 2
                group by all
                having count(*) >= 30 and count(case when is_successful then cost_usd end) > 0
            )
            group by all
            having count(*) >= 2
        )""",
        rebuilt=True,
        expect=[
            rates("current_success_rate", "recommended_success_rate"),
            measures(
                "current_cost_per_success_usd",
                "recommended_cost_per_success_usd",
                "current_p95_duration_ms",
                "recommended_p95_duration_ms",
            ),
            holds(
                "both_providers_named",
                "current_provider is not null and recommended_provider is not null",
                "current_provider",
                "recommended_provider",
            ),
            holds(
                "staying_saves_nothing",
                "current_provider <> recommended_provider or coalesce(estimated_saving_usd, 0) = 0",
                "current_provider",
                "recommended_provider",
                "estimated_saving_usd",
            ),
            nothing(
                "providers_were_used",
                """
                select tenant_id, task_type, provider
                from (unpivot mart on current_provider, recommended_provider into name role value provider)
                where (tenant_id, task_type, provider) not in (
                    select (tenant_id, task_type, provider) from provider_costs.execution_rollup_daily
                )
                """,
                "Both providers did executions of this task type for this tenant.",
                "current_provider",
                "recommended_provider",
            ),
        ],
    ),
)
