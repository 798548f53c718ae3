"""Faults of billing."""

from planted import CLOCK_MOVES, keys, one_row

USAGE = "billing.plan_usage_monthly"

FAULTS = {
    **keys(USAGE, "month"),
    f"{USAGE}.counts": one_row(USAGE, "tokens = -1"),
    f"{USAGE}.measures": one_row(USAGE, "projected_overage_usd = cast('nan' as double)"),
    f"{USAGE}.limit_status_accepted": one_row(USAGE, "limit_status = 'fine'"),
    f"{USAGE}.months_with_executions": one_row(USAGE, "executions = 0"),
    f"{USAGE}.month_begins": one_row(USAGE, "month = month + 1"),
    f"{USAGE}.overage_is_what_lies_above": one_row(USAGE, "overage_tokens = overage_tokens + 1", "plan is not null"),
    f"{USAGE}.status_fits_usage": one_row(USAGE, "limit_status = null", "included_tokens is not null"),
    f"{USAGE}.staying_saves_nothing": one_row(USAGE, "recommended_plan = plan, recommended_saving_usd = 1"),
    f"{USAGE}.plans_are_known_by_somebody": one_row(USAGE, "plan = 'unheard of'"),
    f"{USAGE}.same_as_rollup/executions": one_row(USAGE, "executions = executions + 1"),
    f"{USAGE}.same_as_rollup/tokens": one_row(USAGE, "tokens = tokens + 1"),
    f"{USAGE}.month_fresh": CLOCK_MOVES,
}
