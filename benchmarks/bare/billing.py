"""billing as bare SQL."""

from benchmarks.bare.parts import Mart, Step

EVENTS = {
    "subscriptions": """
select
    e.load_id, e.event_type, e.event_id, e.tenant_id, e.subscription_id, e.occurred_at, e.plan,
    coalesce(e.mrr_usd, 0) as mrr_usd,
    date_trunc('month', e.occurred_at)::date as month,
    date_trunc('month', local_day(e.occurred_at, t.timezone, z))::date as local_month
from {billing} as e
left join tenants as t on e.tenant_id = t.tenant_id
left join zone_days as z on t.timezone = z.timezone and e.occurred_at::date = z.day
where e.event_type like 'subscription.%'""",
}

STEPS: tuple[Step, ...] = ()

MARTS = (
    Mart(
        "billing",
        "plan_usage_monthly",
        ("tenant_id", "month"),
        """
with monthly as (
    select
        tenant_id, date_trunc('month', date)::date as month, coalesce(today, {as_of}::date) as today,
        sum(total_executions)::bigint as executions, sum(total_tokens)::bigint as tokens,
        sum(total_executions) filter (where date < today or date_trunc('month', today) <> date_trunc('month', date))
            as pace_executions,
        sum(total_tokens) filter (where date < today or date_trunc('month', today) <> date_trunc('month', date))
            as pace_tokens,
        max(loaded_through) as loaded_through
    from (
        select r.*, coalesce(c.today, {as_of}::date) as today
        from execution_rollup_daily as r left join clock as c using (tenant_id)
    )
    group by all
),

plans as (
    select
        tenant_id, local_month, s.plan, loaded_through,
        lead(local_month, 1, date '9999-12-31') over (partition by tenant_id order by local_month) as until
    from (
        select
            tenant_id, local_month, max({'a': occurred_at, 'b': event_id, 'plan': plan}) as s,
            max(load_id) as loaded_through
        from subscriptions where plan is not null group by all
    )
),

paced as (
    select
        m.* exclude (loaded_through), coalesce(p.plan, t.plan) as plan, greatest(m.loaded_through, p.loaded_through)
            as loaded_through,
        if(date_trunc('month', today) = m.month, day(today) - 1, 1) as d,
        coalesce(pace_executions, 0) * if(date_trunc('month', today) = m.month, day(last_day(m.month)), 1) as e,
        coalesce(pace_tokens, 0) * if(date_trunc('month', today) = m.month, day(last_day(m.month)), 1) as n
    from monthly as m
    left join plans as p on m.tenant_id = p.tenant_id and m.month >= p.local_month and m.month < p.until
    left join tenants as t on m.tenant_id = t.tenant_id
),

-- Billionths of a dollar x d.
billed as (
    select
        b.*, t.plan as on_plan, rank, included_executions as ie, included_tokens as it, per_execution, per_1k,
        greatest(e - ie * d, 0) * per_execution * 1000 + greatest(n - it * d, 0) * per_1k as over,
        price * 1000 * d + over as bill
    from paced as b cross join plan_tiers as t
),

best as (
    select tenant_id, month, min({'bill': bill, 'rank': rank, 'plan': on_plan}) as best
    from billed where d > 0 group by all
)

select
    b.tenant_id, b.month, b.plan, b.executions, b.tokens, ie as included_executions, it as included_tokens,
    100 * b.executions / nullif(ie, 0) as executions_used_pct, 100 * b.tokens / nullif(it, 0) as tokens_used_pct,
    greatest(b.executions - ie, if(ie is null, null, 0)) as overage_executions,
    greatest(b.tokens - it, if(it is null, null, 0)) as overage_tokens,
    dollars(half_up(
        greatest(b.executions - ie, 0)::hugeint * per_execution * 1000 + greatest(b.tokens - it, 0)::hugeint * per_1k,
        1000
    )) as overage_usd,
    b.e / nullif(b.d, 0) as projected_executions, b.n / nullif(b.d, 0) as projected_tokens,
    over / nullif(1e9 * b.d, 0) as projected_overage_usd,
    case
        when ie is null then null
        when b.executions > ie or b.tokens > it then 'exceeded'
        when 100 * b.executions >= 80 * ie or 100 * b.tokens >= 80 * it then 'warning'
        else 'ok'
    end as limit_status,
    best.plan as recommended_plan, dollars(half_up(bill - best.bill, 1000 * b.d)) as recommended_saving_usd,
    b.loaded_through
from paced as b
left join billed as on_own on b.tenant_id = on_own.tenant_id and b.month = on_own.month and b.plan = on_own.on_plan
left join best on b.tenant_id = best.tenant_id and b.month = best.month""",
    ),
)
