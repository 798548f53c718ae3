"""Faults of provider_costs."""

from planted import CLOCK_MOVES, keys, one_row, volume_drops

HOURLY = "provider_costs.execution_rollup_hourly"
DAILY = "provider_costs.execution_rollup_daily"
CALLS = "provider_costs.provider_calls_daily"
SAVINGS = "provider_costs.routing_savings_daily"
SPEND = "provider_costs.spend_monthly"
ADVICE = "provider_costs.routing_recommendations"


def rollup(mart: str) -> dict[str, str]:
    return {
        **keys(mart, "provider"),
        f"{mart}.counts": one_row(mart, "total_tokens = -1"),
        f"{mart}.amounts": one_row(mart, "total_cost_usd = null"),
        f"{mart}.success_rate_is_a_ratio": one_row(mart, "success_rate = 0.123"),
        f"{mart}.outcomes_add_up": one_row(mart, "failed_executions = failed_executions + 1"),
        f"{mart}.measures": one_row(mart, "avg_queue_ms = cast('nan' as double)"),
        f"{mart}.percentiles": one_row(mart, "p95_duration_ms = p99_duration_ms + 1"),
        f"{mart}.all_executions": f"delete from {mart} where rowid = 0",
        f"{mart}.all_executions/successes": one_row(mart, "successful_executions = successful_executions + 1"),
        f"{mart}.all_executions/timeouts": one_row(mart, "timed_out_executions = timed_out_executions + 1"),
        f"{mart}.all_executions/tokens": one_row(mart, "total_tokens = total_tokens + 1"),
    }


FAULTS = {
    **rollup(HOURLY),
    f"{HOURLY}.hour_begins": one_row(HOURLY, "hour = hour + interval 1 minute"),
    f"{HOURLY}.hour_fresh": CLOCK_MOVES,
    **rollup(DAILY),
    f"{DAILY}.same_cost_as_hourly": one_row(DAILY, "total_cost_usd = total_cost_usd + 0.000001"),
    f"{DAILY}.total_executions_usual_volume": volume_drops(DAILY, "date", "total_executions", days_ago=2),
    **keys(CALLS, "model"),
    f"{CALLS}.counts": one_row(CALLS, "unpriced_calls = null"),
    f"{CALLS}.amounts": one_row(CALLS, "cost_usd = -0.01"),
    f"{CALLS}.parts_of_calls": one_row(CALLS, "unpriced_calls = calls + 1"),
    f"{CALLS}.days_with_events": one_row(CALLS, "calls = 0, rate_limited = 0, errors = 0"),
    f"{CALLS}.measures": one_row(CALLS, "avg_latency_ms = -1"),
    f"{CALLS}.percentiles": one_row(CALLS, "p50_latency_ms = p95_latency_ms + 1"),
    f"{CALLS}.all_calls": one_row(CALLS, "calls = calls + 1"),
    f"{CALLS}.all_calls/failed": one_row(CALLS, "failed_calls = failed_calls + 1"),
    f"{CALLS}.all_rate_limits": one_row(CALLS, "rate_limited = rate_limited + 1"),
    f"{CALLS}.all_errors": "delete from staging.stg_provider__errors where rowid = 0",
    f"{CALLS}.all_calls/tokens_in": one_row(CALLS, "tokens_in = tokens_in + 1"),
    f"{CALLS}.all_calls/tokens_out": one_row(CALLS, "tokens_out = tokens_out + 1"),
    f"{CALLS}.date_fresh": CLOCK_MOVES,
    f"{CALLS}.calls_usual_volume": volume_drops(CALLS, "date", "calls", days_ago=2),
    **keys(SAVINGS, "task_type"),
    f"{SAVINGS}.counts": one_row(SAVINGS, "executions = -1"),
    f"{SAVINGS}.amounts": one_row(SAVINGS, "alternative_cost_usd = null"),
    f"{SAVINGS}.savings_are_the_difference": one_row(SAVINGS, "savings_usd = savings_usd + 1"),
    f"{SAVINGS}.savings_pct_is_a_ratio": one_row(SAVINGS, "savings_pct = null"),
    f"{SAVINGS}.same_executions_as_rollup": one_row(SAVINGS, "date = date + 1000"),
    **keys(SPEND, "month"),
    f"{SPEND}.counts": one_row(SPEND, "executions = null"),
    f"{SPEND}.amounts": one_row(SPEND, "spend_usd = -1"),
    f"{SPEND}.measures": one_row(SPEND, "projected_spend_usd = -1"),
    f"{SPEND}.budget_status_accepted": one_row(SPEND, "budget_status = 'fine'"),
    f"{SPEND}.status_fits_budget": f"update {SPEND} set budget_status = 'ok' where budget_usd is null",
    f"{SPEND}.month_begins": one_row(SPEND, "month = month + 1"),
    f"{SPEND}.same_spend_as_calls": one_row(SPEND, "spend_usd = spend_usd + 0.01"),
    f"{SPEND}.same_executions_as_rollup": one_row(SPEND, "executions = executions + 1"),
    **keys(ADVICE, "task_type"),
    f"{ADVICE}.rates": one_row(ADVICE, "current_success_rate = 1.1"),
    f"{ADVICE}.measures": one_row(ADVICE, "recommended_cost_per_success_usd = -1"),
    f"{ADVICE}.both_providers_named": one_row(ADVICE, "recommended_provider = null"),
    f"{ADVICE}.staying_saves_nothing": one_row(
        ADVICE, "recommended_provider = current_provider, estimated_saving_usd = 1"
    ),
    f"{ADVICE}.providers_were_used": one_row(ADVICE, "recommended_provider = 'unheard of'"),
}
