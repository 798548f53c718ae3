"""billing: plans, what is used of them and what goes beyond."""

from expectations import (
    accepted,
    counts,
    each_reconciles,
    fresh,
    holds,
    mart,
    measures,
    nothing,
    suite,
)

EXECUTIONS = "staging.stg_provider__executions"
SUBSCRIPTIONS = "staging.stg_billing__subscriptions"
ROLLUP = """(
    select *, cast(date_trunc('month', date) as date) as month from provider_costs.execution_rollup_daily
)"""

SUITE = suite(
    "billing",
    mart(
        "plan_usage_monthly",
        key=["tenant_id", "month"],
        fed_by=EXECUTIONS,
        rebuilt=True,
        expect=[
            counts("executions", "tokens"),
            measures(
                "included_executions",
                "included_tokens",
                "executions_used_pct",
                "tokens_used_pct",
                "overage_executions",
                "overage_tokens",
                "overage_usd",
                "projected_executions",
                "projected_tokens",
                "projected_overage_usd",
                "recommended_saving_usd",
            ),
            accepted("limit_status", "exceeded", "warning", "ok"),
            holds("months_with_executions", "executions > 0", "executions"),
            holds("month_begins", "month = date_trunc('month', month)", "month"),
            holds(
                "overage_is_what_lies_above",
                """(included_executions is null and overage_executions is null and overage_tokens is null) or (
                    overage_executions = greatest(executions - included_executions, 0)
                    and overage_tokens = greatest(tokens - included_tokens, 0)
                )""",
                "overage_executions",
                "overage_tokens",
                "included_executions",
                "included_tokens",
            ),
            holds(
                "status_fits_usage",
                """case
                    when included_executions is null then limit_status is null
                    when executions > included_executions or tokens > included_tokens then limit_status = 'exceeded'
                    else limit_status in ('warning', 'ok')
                end""",
                "limit_status",
                "executions",
                "tokens",
            ),
            holds(
                "staying_saves_nothing",
                "coalesce(recommended_plan <> plan, true) or recommended_saving_usd = 0",
                "plan",
                "recommended_plan",
                "recommended_saving_usd",
            ),
            nothing(
                "plans_are_known_by_somebody",
                f"""
                select tenant_id, month, plan, recommended_plan
                from mart
                where recommended_plan not in (select plan from reference.plan_tiers)
                    or plan is not null and (tenant_id, plan) not in (
                        select (tenant_id, plan) from {SUBSCRIPTIONS} where plan is not null
                        union all
                        select (tenant_id, plan) from reference.tenants where plan is not null
                    )
                """,
                "The recommended plan is in plan_tiers; the plan is in a subscription of the tenant, or in tenants.",
                "plan",
                "recommended_plan",
            ),
            each_reconciles(
                "same_as_rollup",
                {"sum(executions)": "sum(total_executions)", "sum(tokens)": "sum(total_tokens)"},
                ROLLUP,
                by=["tenant_id", "month"],
            ),
            fresh("month", hours=33 * 24),
        ],
    ),
)
