"""revenue: recurring revenue, its movements and cohorts, what customers cost to win and to serve."""

from expectations import (
    MONEY_END,
    Expectation,
    amounts,
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
)

# Months count once the data clock has passed their end.
CLOCK_MONTH = "(select date_trunc('month', as_of) from ops.run)"
MOVEMENTS = ("opening", "new", "reactivation", "expansion", "contraction", "churned", "closing")
MRR = tuple(f"{movement}_mrr_usd" for movement in MOVEMENTS)


def complete(staging: str) -> str:
    """The staged events of complete UTC months, each with its month."""
    return f"""(
        select *, cast(date_trunc('month', occurred_at) as date) as month from {staging}
        where occurred_at < {CLOCK_MONTH}
    )"""


SUBSCRIPTIONS = complete("staging.stg_billing__subscriptions")
PAYMENTS = complete("staging.stg_billing__payments")
SPEND = complete("staging.stg_crm__marketing_spend")
ACQUISITIONS = complete("staging.stg_crm__acquisitions")
CUSTOMERS = "revenue.mrr_movements_monthly"

# The newest complete month begins up to two months before the data clock.
NEWEST_MONTH = 63 * 24


def complete_months() -> Expectation:
    return nothing(
        "months_are_complete",
        f"select month from mart where month >= {CLOCK_MONTH} or month <> date_trunc('month', month)",
        "Each month is the first day of one that the data clock has passed.",
        "month",
    )


def closing_follows() -> Expectation:
    """Sums that stopped at the end of their type need not add up."""
    return holds(
        "closing_follows",
        f"""closing_mrr_usd = opening_mrr_usd + new_mrr_usd + reactivation_mrr_usd + expansion_mrr_usd
            - contraction_mrr_usd - churned_mrr_usd
        or greatest(opening_mrr_usd, closing_mrr_usd, expansion_mrr_usd) >= {MONEY_END}""",
        *MRR,
    )


SUITE = suite(
    "revenue",
    mart(
        "mrr_movements_monthly",
        key=["tenant_id", "month"],
        fed_by=SUBSCRIPTIONS,
        rebuilt=True,
        expect=[
            amounts(*MRR),
            closing_follows(),
            holds(
                "one_movement_a_month",
                " + ".join(f"cast({column} > 0 as integer)" for column in MRR[1:-1]) + " <= 1",
                *MRR[1:-1],
            ),
            nothing(
                "opens_as_the_month_before_closed",
                """
                select * from (
                    select
                        tenant_id,
                        month,
                        opening_mrr_usd,
                        lag(closing_mrr_usd, 1, 0) over history as closed_before,
                        lag(month) over history as month_before
                    from mart
                    window history as (partition by tenant_id order by month)
                )
                where opening_mrr_usd <> closed_before or date_diff('month', month_before, month) <> 1
                """,
                "A customer's months follow one another without a gap; each opens with what the last one closed with.",
                "tenant_id",
                "month",
                "opening_mrr_usd",
                "closing_mrr_usd",
            ),
            reconciles(
                "same_mrr_as_subscriptions",
                f"sum(closing_mrr_usd) filter (where month = {CLOCK_MONTH} - interval 1 month)",
                "sum(mrr_usd)",
                f"""(
                    select
                        tenant_id, subscription_id,
                        arg_max(coalesce(mrr_usd, 0), struct_pack(at := occurred_at, id := event_id)) as mrr_usd
                    from {SUBSCRIPTIONS}
                    group by all
                )""",
                by=["tenant_id"],
                below=MONEY_END,
            ),
            complete_months(),
            fresh("month", hours=NEWEST_MONTH),
        ],
    ),
    mart(
        "revenue_monthly",
        key=["month"],
        fed_by=SUBSCRIPTIONS,
        rebuilt=True,
        expect=[
            amounts(*MRR, "arr_usd", "payments_usd"),
            counts("customers", "opening_customers", "new_customers", "churned_customers", "failed_payments"),
            measures("arpa_usd", "ltv_usd"),
            closing_follows(),
            each_reconciles(
                "same_mrr",
                {f"sum({column})": f"sum({column})" for column in MRR},
                CUSTOMERS,
                by=["month"],
                below=MONEY_END,
            ),
            each_reconciles(
                "same_customers",
                {
                    "sum(customers)": "count(*) filter (where closing_mrr_usd > 0)",
                    "sum(new_customers)": "count(*) filter (where new_mrr_usd > 0)",
                    "sum(churned_customers)": "count(*) filter (where churned_mrr_usd > 0)",
                },
                CUSTOMERS,
                by=["month"],
            ),
            holds(
                "arr_is_twelve_months", f"arr_usd = least(12 * closing_mrr_usd::decimal(38, 6), {MONEY_END})", "arr_usd"
            ),
            ratio(
                "net_revenue_retention",
                "(opening_mrr_usd + expansion_mrr_usd - contraction_mrr_usd - churned_mrr_usd)",
                "opening_mrr_usd",
            ),
            ratio(
                "gross_revenue_retention",
                "(opening_mrr_usd - contraction_mrr_usd - churned_mrr_usd)",
                "opening_mrr_usd",
            ),
            ratio("customer_churn_rate", "churned_customers", "opening_customers"),
            ratio(
                "quick_ratio",
                "(new_mrr_usd + reactivation_mrr_usd + expansion_mrr_usd)",
                "(contraction_mrr_usd + churned_mrr_usd)",
            ),
            reconciles(
                "all_payments",
                "sum(payments_usd)",
                "sum(amount_usd)",
                f"{PAYMENTS} where event_type = 'payment.succeeded'",
                by=["month"],
                below=MONEY_END,
            ),
            reconciles(
                "all_failed_payments",
                "sum(failed_payments)",
                "count(*)",
                f"{PAYMENTS} where event_type = 'payment.failed'",
                by=["month"],
            ),
            nothing(
                "dense",
                f"""
                select min(month) as first_month, max(month) as last_month, count(*) as months
                from mart
                having count(*) <> date_diff('month', min(month), cast({CLOCK_MONTH} as date))
                """,
                "No month is missing, up to the last complete one.",
                "month",
            ),
            complete_months(),
            fresh("month", hours=NEWEST_MONTH),
        ],
    ),
    mart(
        "revenue_cohorts_monthly",
        key=["cohort_month", "months_since_start"],
        fed_by=SUBSCRIPTIONS,
        rebuilt=True,
        expect=[
            counts("months_since_start", "customers", "active_customers"),
            amounts("mrr_usd"),
            ratio("customer_retention", "active_customers", "customers"),
            rates("customer_retention"),
            measures("revenue_retention"),
            reconciles(
                "all_customers",
                "sum(customers) filter (where months_since_start = 0)",
                "count(*)",
                f"""(
                    select tenant_id, cast(date_trunc('month', min(occurred_at)) as date) as cohort_month
                    from {SUBSCRIPTIONS} group by tenant_id
                )""",
                by=["cohort_month"],
            ),
            nothing(
                "same_mrr_as_movements",
                f"""
                select month, sum(in_cohorts) as in_cohorts, sum(in_movements) as in_movements
                from (
                    select cohort_month + to_months(months_since_start::integer) as month, mrr_usd as in_cohorts,
                        0 as in_movements
                    from mart
                    union all
                    select month, 0 as in_cohorts, closing_mrr_usd as in_movements from {CUSTOMERS}
                )
                group by month
                having sum(in_cohorts) <> sum(in_movements) and sum(in_movements) < {MONEY_END}
                """,
                "The cohorts' MRR of a month is the customers' closing MRR.",
                "mrr_usd",
            ),
            nothing(
                "dense",
                f"""
                select cohort_month, max(months_since_start) as last, count(*) as months
                from mart
                group by cohort_month
                having count(*) <> date_diff('month', cohort_month, cast({CLOCK_MONTH} as date))
                    or max(months_since_start) <> count(*) - 1
                """,
                "For each cohort: no month is missing, from 0 to the last complete one.",
                "cohort_month",
                "months_since_start",
            ),
        ],
    ),
    mart(
        "acquisition_monthly",
        key=["channel", "month"],
        fed_by=f"(select month from {SPEND} union all select month from {ACQUISITIONS})",
        rebuilt=True,
        expect=[
            amounts("spend_usd"),
            counts("customers_acquired"),
            measures("cac_usd", "ltv_to_cac"),
            holds(
                "cac_is_spend_by_customer",
                """case
                    when customers_acquired = 0 then cac_usd is null
                    else abs(cac_usd * customers_acquired - spend_usd) <= 0.0000005 * customers_acquired
                end""",
                "cac_usd",
                "spend_usd",
                "customers_acquired",
            ),
            reconciles(
                "all_spend", "sum(spend_usd)", "sum(amount_usd)", SPEND, by=["channel", "month"], below=MONEY_END
            ),
            reconciles(
                "all_customers",
                "sum(customers_acquired)",
                "count(distinct tenant_id)",
                ACQUISITIONS,
                by=["channel", "month"],
            ),
            complete_months(),
            fresh("month", hours=NEWEST_MONTH),
        ],
    ),
    mart(
        "plan_changes_monthly",
        key=["month", "from_plan", "to_plan"],
        # Changes are fewer than subscriptions: nobody need change a plan.
        fed_by=f"intermediate.int_subscription_months where previous_plan <> plan and month < {CLOCK_MONTH}",
        rebuilt=True,
        expect=[
            holds(
                "changes_have_customers", "customers > 0 and mrr_delta_usd is not null", "customers", "mrr_delta_usd"
            ),
            holds("plans_differ", "from_plan <> to_plan", "from_plan", "to_plan"),
            nothing(
                "plans_were_subscribed",
                f"""
                select month, from_plan, to_plan
                from mart
                where (to_plan, month) not in (select (plan, month) from {SUBSCRIPTIONS} where plan is not null)
                    or from_plan not in (select plan from {SUBSCRIPTIONS} where plan is not null)
                """,
                "Somebody chose the new plan in the month, and the old one at some time.",
                "from_plan",
                "to_plan",
            ),
            complete_months(),
        ],
    ),
    mart(
        "unit_economics_monthly",
        key=["plan", "month"],
        fed_by=f"{CUSTOMERS} where closing_mrr_usd > 0",
        rebuilt=True,
        expect=[
            amounts("mrr_usd", "provider_cost_usd"),
            holds("plans_have_customers", "customers > 0 and mrr_usd > 0", "customers", "mrr_usd"),
            holds(
                "gross_margin_is_what_is_left",
                "abs(1 - gross_margin - cast(provider_cost_usd as double) / mrr_usd) <= 1e-9 * (1 + abs(gross_margin))",
                "gross_margin",
                "provider_cost_usd",
                "mrr_usd",
            ),
            reconciles("same_customers", "sum(customers)", "sum(customers)", "revenue.revenue_monthly", by=["month"]),
            reconciles(
                "same_mrr",
                "sum(mrr_usd)",
                "sum(closing_mrr_usd)",
                "revenue.revenue_monthly",
                by=["month"],
                below=MONEY_END,
            ),
            reconciles(
                "all_costs_of_customers",
                "sum(provider_cost_usd)",
                "sum(cost_usd)",
                f"""(
                    select month, cost_usd
                    from (
                        select tenant_id, cast(date_trunc('month', day) as date) as month, sum(cost_usd) as cost_usd
                        from (
                            -- Days first: telling each call's month takes longer than all the rest.
                            select tenant_id, cast(occurred_at as date) as day, sum(cost_usd) as cost_usd
                            from intermediate.int_provider_calls_priced
                            group by all
                        )
                        group by all
                    )
                    semi join (select * from {CUSTOMERS} where closing_mrr_usd > 0) using (tenant_id, month)
                )""",
                by=["month"],
                below=MONEY_END,
            ),
            complete_months(),
            fresh("month", hours=NEWEST_MONTH),
        ],
    ),
)
