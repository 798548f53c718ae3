"""revenue as bare SQL; `subscriptions` are those of billing."""

from benchmarks.bare.parts import Mart, Step

EVENTS = {
    "payments": """
select load_id, event_type, date_trunc('month', occurred_at)::date as month, amount_usd from {billing}
where event_type like 'payment.%'""",
    "marketing": """
select
    load_id, date_trunc('month', occurred_at)::date as month, channel, amount_usd,
    case event_type when 'customer.acquired' then tenant_id end as customer
from {crm} where event_type in ('marketing.spent', 'customer.acquired')""",
}

STEPS = (
    Step(
        "payment_months",
        """
select
    month, coalesce(sum(amount_usd) filter (where event_type = 'payment.succeeded'), 0) as payments_usd,
    count(*) filter (where event_type = 'payment.failed') as failed_payments, max(load_id) as loaded_through
from payments as e {only} group by month""",
        ("month",),
        "select month from new_payments",
    ),
    Step(
        "channel_months",
        """
select
    channel, month, coalesce(sum(amount_usd), 0) as spend_usd, count(distinct customer) as customers_acquired,
    max(load_id) as loaded_through
from marketing as e {only} group by channel, month""",
        ("channel", "month"),
        "select channel, month from new_marketing",
    ),
    Step(
        "cost_months",
        """
select tenant_id, utc_month, coalesce(sum(cost_usd), 0) as cost_usd, max(load_id) as loaded_through
from calls as e {only} group by tenant_id, utc_month""",
        ("tenant_id", "utc_month"),
        "select tenant_id, utc_month from new_calls",
    ),
    Step(
        "subscription_months",
        """
select
    tenant_id, subscription_id, month, s.plan, lag(s.plan) over w as previous_plan,
    s.mrr_usd - lag(s.mrr_usd, 1, 0) over w as change_usd, max(loaded) over w as loaded_through
from (
    select
        tenant_id, subscription_id, month, max(load_id) as loaded,
        max({'a': occurred_at, 'b': event_id, 'plan': plan, 'mrr_usd': mrr_usd}) as s
    from subscriptions as e {only} group by tenant_id, subscription_id, month
)
window w as (partition by tenant_id, subscription_id order by month)""",
        ("tenant_id", "subscription_id"),
        "select tenant_id, subscription_id from new_subscriptions",
    ),
)

CLOCK = "date_trunc('month', {as_of})"

MARTS = (
    Mart(
        "revenue",
        "mrr_movements_monthly",
        ("tenant_id", "month"),
        f"""
with changes as (
    select tenant_id, month, sum(change_usd) as change_usd, max(loaded_through) as loaded
    from subscription_months where month < {CLOCK} group by tenant_id, month
),

closed as (
    select
        tenant_id, month, sum(coalesce(change_usd, 0)) over w::decimal(18, 6) as closing,
        max(loaded) over w as loaded_through
    from (
        select tenant_id, unnest(generate_series(min(month), {CLOCK} - interval 1 day, interval 1 month))::date as month
        from changes group by tenant_id
    )
    left join changes using (tenant_id, month)
    window w as (partition by tenant_id order by month)
),

opened as (
    select
        *, lag(closing, 1, 0) over w as opening,
        coalesce(max(closing) over (w rows between unbounded preceding and 1 preceding), 0) > 0 as known
    from closed
    window w as (partition by tenant_id order by month)
)

select
    tenant_id, month, opening as opening_mrr_usd, if(opening = 0 and not known, closing, 0) as new_mrr_usd,
    if(opening = 0 and known, closing, 0) as reactivation_mrr_usd,
    if(opening > 0 and closing > opening, closing - opening, 0) as expansion_mrr_usd,
    if(closing > 0 and closing < opening, opening - closing, 0) as contraction_mrr_usd,
    if(closing = 0, opening, 0) as churned_mrr_usd, closing as closing_mrr_usd, loaded_through
from opened
qualify month <= coalesce(
    max(month) filter (where opening > 0 or closing > 0) over (partition by tenant_id),
    min(month) over (partition by tenant_id)
)""",
    ),
    Mart(
        "revenue",
        "revenue_monthly",
        ("month",),
        f"""
with moved as (
    select
        month, sum(columns('(.*_mrr_usd)'))::decimal(18, 6) as '\\1',
        count(*) filter (where closing_mrr_usd > 0) as customers,
        count(*) filter (where opening_mrr_usd > 0) as opening_customers,
        count(*) filter (where new_mrr_usd > 0) as new_customers,
        count(*) filter (where churned_mrr_usd > 0) as churned_customers, max(loaded_through) as loaded_through
    from mrr_movements_monthly group by month
),

monthly as (
    select
        month, coalesce(columns(m.* exclude (month, loaded_through)), 0),
        coalesce(payments_usd, 0) as payments_usd, coalesce(failed_payments, 0) as failed_payments,
        max(greatest(m.loaded_through, p.loaded_through)) over (order by month) as loaded_through
    from (
        select unnest(generate_series(min(month), {CLOCK} - interval 1 day, interval 1 month))::date as month
        from (
            select month from moved union all select month from payment_months where month < {CLOCK}
        )
    )
    left join moved as m using (month)
    left join payment_months as p using (month)
)

select
    *, 12 * closing_mrr_usd as arr_usd, dollars(half_up(micros(closing_mrr_usd), customers)) as arpa_usd,
    (opening_mrr_usd + expansion_mrr_usd - contraction_mrr_usd - churned_mrr_usd)::double / nullif(opening_mrr_usd, 0)
        as net_revenue_retention,
    (opening_mrr_usd - contraction_mrr_usd - churned_mrr_usd)::double / nullif(opening_mrr_usd, 0)
        as gross_revenue_retention,
    churned_customers / nullif(opening_customers, 0) as customer_churn_rate,
    dollars(half_up(micros(closing_mrr_usd) * opening_customers, customers * churned_customers)) as ltv_usd,
    (new_mrr_usd + reactivation_mrr_usd + expansion_mrr_usd)::double
        / nullif(contraction_mrr_usd + churned_mrr_usd, 0) as quick_ratio
from monthly""",
    ),
    Mart(
        "revenue",
        "revenue_cohorts_monthly",
        ("cohort_month", "months_since_start"),
        f"""
with moved as (
    select *, min(month) over (partition by tenant_id) as cohort_month from mrr_movements_monthly
),

cohorts as (
    select
        cohort_month, count(distinct tenant_id) as customers,
        unnest(generate_series(cohort_month, {CLOCK} - interval 1 day, interval 1 month))::date as month
    from moved group by cohort_month
)

select
    cohort_month, date_diff('month', cohort_month, month) as months_since_start, customers,
    count(*) filter (where closing_mrr_usd > 0) as active_customers,
    coalesce(sum(closing_mrr_usd), 0)::decimal(18, 6) as mrr_usd, active_customers / customers as customer_retention,
    mrr_usd::double / nullif(first(mrr_usd) over (partition by cohort_month order by month), 0) as revenue_retention,
    max(max(loaded_through)) over (partition by cohort_month order by month) as loaded_through
from cohorts left join moved using (cohort_month, month)
group by cohort_month, month, customers""",
    ),
    Mart(
        "revenue",
        "acquisition_monthly",
        ("channel", "month"),
        f"""
select
    channel, month, spend_usd::decimal(18, 6) as spend_usd, customers_acquired,
    dollars(half_up(micros(spend_usd), customers_acquired)) as cac_usd,
    (micros(closing_mrr_usd) * opening_customers * nullif(customers_acquired, 0))::double
        / nullif(customers * churned_customers * micros(spend_usd), 0) as ltv_to_cac,
    greatest(c.loaded_through, r.loaded_through) as loaded_through
from channel_months as c left join revenue_monthly as r using (month)
where month < {CLOCK}""",
    ),
    Mart(
        "revenue",
        "plan_changes_monthly",
        ("month", "from_plan", "to_plan"),
        f"""
select
    month, previous_plan as from_plan, plan as to_plan, count(distinct tenant_id) as customers,
    sum(change_usd)::decimal(18, 6) as mrr_delta_usd, max(loaded_through) as loaded_through
from subscription_months where previous_plan <> plan and month < {CLOCK}
group by all""",
    ),
    Mart(
        "revenue",
        "unit_economics_monthly",
        ("plan", "month"),
        """
with chosen as (
    select
        tenant_id, month, max({'a': occurred_at, 'b': event_id, 'plan': plan}) as s, max(load_id) as loaded_through
    from subscriptions where plan is not null group by all
)

select
    s.plan as plan, m.month, count(*) as customers, sum(closing_mrr_usd)::decimal(18, 6) as mrr_usd,
    coalesce(sum(cost_usd), 0)::decimal(18, 6) as provider_cost_usd,
    1 - provider_cost_usd::double / mrr_usd as gross_margin,
    max(greatest(m.loaded_through, p.loaded_through, c.loaded_through)) as loaded_through
from mrr_movements_monthly as m
asof join chosen as p on m.tenant_id = p.tenant_id and m.month >= p.month
left join cost_months as c on m.tenant_id = c.tenant_id and m.month = c.utc_month
where closing_mrr_usd > 0
group by all""",
    ),
)
