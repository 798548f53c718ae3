"""Faults of revenue."""

from planted import CLOCK_MOVES, keys, one_row

MOVEMENTS = "revenue.mrr_movements_monthly"
REVENUE = "revenue.revenue_monthly"
COHORTS = "revenue.revenue_cohorts_monthly"
ACQUISITION = "revenue.acquisition_monthly"
CHANGES = "revenue.plan_changes_monthly"
ECONOMICS = "revenue.unit_economics_monthly"
THIS_MONTH = "(select cast(date_trunc('month', as_of) as date) from ops.run)"


def cent(mart: str, column: str) -> str:
    return one_row(mart, f"{column} = {column} + 0.01")


FAULTS = {
    **keys(MOVEMENTS, "tenant_id"),
    f"{MOVEMENTS}.amounts": one_row(MOVEMENTS, "contraction_mrr_usd = -1"),
    f"{MOVEMENTS}.closing_follows": cent(MOVEMENTS, "closing_mrr_usd"),
    f"{MOVEMENTS}.one_movement_a_month": one_row(MOVEMENTS, "expansion_mrr_usd = 2, contraction_mrr_usd = 2"),
    f"{MOVEMENTS}.opens_as_the_month_before_closed": one_row(MOVEMENTS, "opening_mrr_usd = 1", "new_mrr_usd > 0"),
    f"{MOVEMENTS}.same_mrr_as_subscriptions": one_row(
        MOVEMENTS, "closing_mrr_usd = 1", f"month = {THIS_MONTH} - interval 1 month"
    ),
    f"{MOVEMENTS}.months_are_complete": one_row(MOVEMENTS, f"month = {THIS_MONTH}"),
    f"{MOVEMENTS}.month_fresh": CLOCK_MOVES,
    **keys(REVENUE, "month"),
    f"{REVENUE}.amounts": one_row(REVENUE, "arr_usd = null"),
    f"{REVENUE}.counts": one_row(REVENUE, "opening_customers = -1"),
    f"{REVENUE}.measures": one_row(REVENUE, "ltv_usd = -1"),
    f"{REVENUE}.closing_follows": cent(REVENUE, "closing_mrr_usd"),
    **{
        f"{REVENUE}.same_mrr/{movement}": cent(REVENUE, f"{movement}_mrr_usd")
        for movement in ("opening", "new", "reactivation", "expansion", "contraction", "churned", "closing")
    },
    f"{REVENUE}.same_customers": one_row(REVENUE, "customers = customers + 1"),
    f"{REVENUE}.same_customers/new": one_row(REVENUE, "new_customers = new_customers + 1"),
    f"{REVENUE}.same_customers/churned": one_row(REVENUE, "churned_customers = churned_customers + 1"),
    f"{REVENUE}.arr_is_twelve_months": cent(REVENUE, "arr_usd"),
    f"{REVENUE}.net_revenue_retention_is_a_ratio": one_row(REVENUE, "net_revenue_retention = 12.3"),
    f"{REVENUE}.gross_revenue_retention_is_a_ratio": one_row(REVENUE, "gross_revenue_retention = 12.3"),
    f"{REVENUE}.customer_churn_rate_is_a_ratio": one_row(REVENUE, "customer_churn_rate = 12.3"),
    f"{REVENUE}.quick_ratio_is_a_ratio": one_row(REVENUE, "quick_ratio = 123456"),
    f"{REVENUE}.all_payments": cent(REVENUE, "payments_usd"),
    f"{REVENUE}.all_failed_payments": one_row(REVENUE, "failed_payments = failed_payments + 1"),
    f"{REVENUE}.dense": one_row(REVENUE, "month = month - interval 1 month"),
    f"{REVENUE}.months_are_complete": one_row(REVENUE, "month = month + 1"),
    f"{REVENUE}.month_fresh": CLOCK_MOVES,
    **keys(COHORTS, "cohort_month"),
    f"{COHORTS}.counts": one_row(COHORTS, "active_customers = null"),
    f"{COHORTS}.amounts": one_row(COHORTS, "mrr_usd = -1"),
    f"{COHORTS}.customer_retention_is_a_ratio": one_row(COHORTS, "customer_retention = null"),
    f"{COHORTS}.rates": one_row(COHORTS, "customer_retention = 1.5"),
    f"{COHORTS}.measures": one_row(COHORTS, "revenue_retention = -1"),
    f"{COHORTS}.all_customers": one_row(COHORTS, "customers = customers + 1", "months_since_start = 0"),
    f"{COHORTS}.same_mrr_as_movements": cent(COHORTS, "mrr_usd"),
    f"{COHORTS}.dense": one_row(COHORTS, "months_since_start = 99"),
    **keys(ACQUISITION, "channel"),
    f"{ACQUISITION}.amounts": one_row(ACQUISITION, "spend_usd = null"),
    f"{ACQUISITION}.counts": one_row(ACQUISITION, "customers_acquired = -1"),
    f"{ACQUISITION}.measures": one_row(ACQUISITION, "ltv_to_cac = -1"),
    f"{ACQUISITION}.cac_is_spend_by_customer": one_row(ACQUISITION, "cac_usd = 123456"),
    f"{ACQUISITION}.all_spend": cent(ACQUISITION, "spend_usd"),
    f"{ACQUISITION}.all_customers": one_row(ACQUISITION, "customers_acquired = customers_acquired + 1"),
    f"{ACQUISITION}.months_are_complete": one_row(ACQUISITION, f"month = {THIS_MONTH}"),
    f"{ACQUISITION}.month_fresh": CLOCK_MOVES,
    **keys(CHANGES, "to_plan"),
    f"{CHANGES}.changes_have_customers": one_row(CHANGES, "customers = 0"),
    f"{CHANGES}.plans_differ": one_row(CHANGES, "to_plan = from_plan"),
    f"{CHANGES}.plans_were_subscribed": one_row(CHANGES, "from_plan = 'unheard of'"),
    f"{CHANGES}.months_are_complete": one_row(CHANGES, f"month = {THIS_MONTH}"),
    **keys(ECONOMICS, "plan"),
    f"{ECONOMICS}.amounts": one_row(ECONOMICS, "provider_cost_usd = -1"),
    f"{ECONOMICS}.plans_have_customers": one_row(ECONOMICS, "customers = 0"),
    f"{ECONOMICS}.gross_margin_is_what_is_left": one_row(ECONOMICS, "gross_margin = null"),
    f"{ECONOMICS}.same_customers": one_row(ECONOMICS, "customers = customers + 1"),
    f"{ECONOMICS}.same_mrr": cent(ECONOMICS, "mrr_usd"),
    f"{ECONOMICS}.all_costs_of_customers": cent(ECONOMICS, "provider_cost_usd"),
    f"{ECONOMICS}.months_are_complete": one_row(ECONOMICS, f"month = {THIS_MONTH}"),
    f"{ECONOMICS}.month_fresh": CLOCK_MOVES,
}
