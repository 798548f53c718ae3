"""provider_costs as bare SQL."""

from benchmarks.bare.parts import Mart, Step

# The events that the marts count, priced, with their local day. `{provider}` reads the lake files of that source.
EVENTS = {
    "executions": """
select
    e.load_id, e.event_type, e.occurred_at, e.tenant_id, date_trunc('hour', e.occurred_at) as hour,
    local_day(e.occurred_at, t.timezone, z) as date, e.provider, e.task_type,
    e.event_type = 'agent.completed' as is_successful, e.duration_ms, e.queue_ms, e.tokens_in, e.tokens_out,
    case
        when e.cost_usd is not null then e.cost_usd
        when e.event_type <> 'agent.completed' then 0
        else dollars(
            (nanos(e.tokens_in, e.tokens_cached, e.tokens_out, e.completions, coalesce(p.price, d.price)) + 500) // 1000
        )
    end as cost_usd,
    case when e.event_type = 'agent.completed' then dollars((list_max(list_transform(
        a.prices, lambda x: nanos(e.tokens_in, e.tokens_cached, e.tokens_out, e.completions, x))) + 500) // 1000) end
        as alternative_cost_usd
from {provider} as e
left join tenants as t on e.tenant_id = t.tenant_id
left join zone_days as z on t.timezone = z.timezone and e.occurred_at::date = z.day
left join price_days as p on e.provider = p.provider and e.model = p.model and e.occurred_at::date = p.day
left join price_days as d on e.provider = d.provider and d.model = '*' and e.occurred_at::date = d.day
left join defaults as a on e.occurred_at::date = a.day
where e.event_type in ('agent.completed', 'agent.failed', 'agent.timed_out')""",
    "calls": """
select
    e.load_id, e.tenant_id, local_day(e.occurred_at, t.timezone, z) as date, e.provider, e.model, e.succeeded,
    e.latency_ms, e.tokens_in, e.tokens_out, date_trunc('month', e.occurred_at)::date as utc_month,
    coalesce(e.cost_usd, dollars(
        (nanos(e.tokens_in, e.tokens_cached, e.tokens_out, e.completions, coalesce(p.price, d.price)) + 500) // 1000
    )) as cost_usd
from {provider} as e
left join tenants as t on e.tenant_id = t.tenant_id
left join zone_days as z on t.timezone = z.timezone and e.occurred_at::date = z.day
left join price_days as p on e.provider = p.provider and e.model = p.model and e.occurred_at::date = p.day
left join price_days as d on e.provider = d.provider and d.model = '*' and e.occurred_at::date = d.day
where e.event_type = 'provider.called'""",
    "faults": """
select
    e.load_id, e.tenant_id, local_day(e.occurred_at, t.timezone, z) as date, e.provider, e.model,
    e.event_type = 'provider.rate_limited' as is_rate_limit
from {provider} as e
left join tenants as t on e.tenant_id = t.tenant_id
left join zone_days as z on t.timezone = z.timezone and e.occurred_at::date = z.day
where e.event_type in ('provider.rate_limited', 'provider.errored')""",
    "budgets": """
select
    e.load_id, e.event_id, e.tenant_id, e.occurred_at, e.monthly_budget_usd,
    date_trunc('month', local_day(e.occurred_at, t.timezone, z))::date as month
from {billing} as e
left join tenants as t on e.tenant_id = t.tenant_id
left join zone_days as z on t.timezone = z.timezone and e.occurred_at::date = z.day
where e.event_type = 'budget.set'""",
}


def _rollup(grain: str) -> str:
    return f"""
select
    tenant_id, {grain}, provider, task_type, total_executions, successful_executions, failed_executions,
    timed_out_executions, successful_executions / total_executions as success_rate, total_cost_usd, avg_duration_ms,
    q[1] as p50_duration_ms, q[2] as p95_duration_ms, q[3] as p99_duration_ms, avg_queue_ms, p95_queue_ms, total_tokens,
    loaded_through
from (
    select
        tenant_id, {grain}, provider, task_type, count(*) as total_executions,
        count(*) filter (where is_successful) as successful_executions,
        count(*) filter (where event_type = 'agent.failed') as failed_executions,
        count(*) filter (where event_type = 'agent.timed_out') as timed_out_executions,
        coalesce(sum(cost_usd), 0)::decimal(18, 6) as total_cost_usd, avg(duration_ms) as avg_duration_ms,
        quantile_cont(duration_ms, [0.5, 0.95, 0.99]) as q, avg(queue_ms) as avg_queue_ms,
        quantile_cont(queue_ms, 0.95) as p95_queue_ms,
        (coalesce(sum(tokens_in), 0) + coalesce(sum(tokens_out), 0))::bigint as total_tokens,
        max(load_id) as loaded_through
    from executions as e {{only}}
    group by tenant_id, {grain}, provider, task_type
)"""


STEPS: tuple[Step, ...] = ()

MARTS = (
    Mart(
        "provider_costs",
        "execution_rollup_hourly",
        ("tenant_id", "hour", "provider", "task_type"),
        _rollup("hour"),
        ("tenant_id", "hour"),
        "select tenant_id, hour from new_executions",
        held_days=90,
    ),
    Mart(
        "provider_costs",
        "execution_rollup_daily",
        ("tenant_id", "date", "provider", "task_type"),
        _rollup("date"),
        ("tenant_id", "date"),
        "select tenant_id, date from new_executions",
    ),
    Mart(
        "provider_costs",
        "provider_calls_daily",
        ("tenant_id", "date", "provider", "model"),
        """
with called as (
    select
        tenant_id, date, provider, model, count(*) as calls, count(*) filter (where not succeeded) as failed_calls,
        avg(latency_ms) as avg_latency_ms, quantile_cont(latency_ms, [0.5, 0.95, 0.99]) as q,
        sum(tokens_in)::bigint as tokens_in, sum(tokens_out)::bigint as tokens_out,
        coalesce(sum(cost_usd), 0)::decimal(18, 6) as cost_usd,
        count(*) filter (where cost_usd is null) as unpriced_calls,
        max(load_id) as loaded_through
    from calls as e {only} group by tenant_id, date, provider, model
),

faulted as (
    select
        tenant_id, date, provider, model, count(*) filter (where is_rate_limit) as rate_limited,
        count(*) filter (where not is_rate_limit) as errors, max(load_id) as loaded_through
    from faults as e {only} group by tenant_id, date, provider, model
)

select
    tenant_id, date, provider, model, coalesce(calls, 0) as calls, coalesce(failed_calls, 0) as failed_calls,
    coalesce(rate_limited, 0) as rate_limited, coalesce(errors, 0) as errors, avg_latency_ms, q[1] as p50_latency_ms,
    q[2] as p95_latency_ms, q[3] as p99_latency_ms, coalesce(tokens_in, 0) as tokens_in,
    coalesce(tokens_out, 0) as tokens_out, coalesce(cost_usd, 0)::decimal(18, 6) as cost_usd,
    coalesce(unpriced_calls, 0) as unpriced_calls, greatest(c.loaded_through, f.loaded_through) as loaded_through
from called as c full join faulted as f using (tenant_id, date, provider, model)""",
        ("tenant_id", "date"),
        "select tenant_id, date from new_calls union all select tenant_id, date from new_faults",
    ),
    Mart(
        "provider_costs",
        "routing_savings_daily",
        ("tenant_id", "date", "task_type"),
        """
select
    *, (alternative_cost_usd - actual_cost_usd)::decimal(18, 6) as savings_usd,
    100 * (alternative_cost_usd - actual_cost_usd)::double / nullif(alternative_cost_usd, 0) as savings_pct
from (
    select
        tenant_id, date, task_type, count(*) as executions,
        coalesce(sum(cost_usd), 0)::decimal(18, 6) as actual_cost_usd,
        coalesce(sum(alternative_cost_usd), 0)::decimal(18, 6) as alternative_cost_usd, max(load_id) as loaded_through
    from executions as e {only} where is_successful group by tenant_id, date, task_type
)""",
        ("tenant_id", "date"),
        "select tenant_id, date from new_executions where is_successful",
    ),
    Mart(
        "provider_costs",
        "spend_monthly",
        ("tenant_id", "month"),
        """
with monthly as (
    select
        tenant_id, date_trunc('month', date)::date as month, coalesce(today, {as_of}::date) as today,
        sum(cost_usd)::decimal(18, 6) as spend_usd,
        coalesce(sum(cost_usd) filter (where date < coalesce(today, {as_of}::date)), 0)::decimal(18, 6) as complete_usd,
        sum(calls)::bigint as calls, sum(executions)::bigint as executions, max(loaded_through) as loaded_through
    from (
        select tenant_id, date, cost_usd, calls, 0 as executions, loaded_through
        from provider_calls_daily where calls > 0
        union all
        select tenant_id, date, 0, 0, total_executions, loaded_through from execution_rollup_daily
    )
    left join clock using (tenant_id)
    group by all
),

paced as (
    select
        m.*, b.monthly_budget_usd as budget_usd, b.load_id as budget_load_id,
        if(date_trunc('month', today) = m.month, complete_usd, spend_usd) as pace_usd,
        if(date_trunc('month', today) = m.month, day(last_day(m.month)), 1) as numerator,
        if(date_trunc('month', today) = m.month, day(today) - 1, 1) as denominator
    from monthly as m
    left join budgets as b on m.tenant_id = b.tenant_id and m.month >= b.month
    qualify row_number() over (partition by m.tenant_id, m.month order by b.occurred_at desc, b.event_id desc) = 1
)

select
    tenant_id, month, calls, spend_usd, pace_usd as paced_spend_usd, executions,
    dollars(half_up(micros(spend_usd), executions)) as cost_per_execution_usd,
    budget_usd, dollars(half_up(micros(pace_usd) * numerator, denominator)) as projected_spend_usd,
    100 * spend_usd::double / nullif(budget_usd, 0) as budget_used_pct,
    case
        when budget_usd is null then 'no_budget'
        when spend_usd > budget_usd then 'over'
        when denominator > 0 and micros(pace_usd) * numerator * 100 >= micros(budget_usd) * denominator * 80
            then 'warning'
        else 'ok'
    end as budget_status,
    greatest(loaded_through, budget_load_id) as loaded_through
from paced""",
    ),
    Mart(
        "provider_costs",
        "routing_recommendations",
        ("tenant_id", "task_type"),
        """
with eligible as (
    select
        tenant_id, task_type, provider, count(*) as n, count(*) filter (where is_successful) as s,
        micros(coalesce(sum(cost_usd), 0)) as cost, quantile_cont(duration_ms, 0.95) as p95, max(load_id) as loaded
    from executions as e {only}
    left join clock using (tenant_id)
    where date >= coalesce(today, {as_of}::date) - 30 and date < coalesce(today, {as_of}::date)
    group by tenant_id, task_type, provider
    having n >= 30 and count(cost_usd) filter (where is_successful) > 0
),

ranked as (
    select
        *, count(*) over w as providers, max(loaded) over w as loaded_through,
        row_number() over (w order by n desc, provider) as by_use,
        row_number() over (w order by 50 * s * best.n < (50 * best.s - best.n) * n,
            cost::double / nullif(s, 0) nulls last, provider) as by_cost
    from (
        select
            *, first_value({'s': s, 'n': n}) over (
                partition by tenant_id, task_type order by s / n desc, provider
            ) as best
        from eligible
    )
    window w as (partition by tenant_id, task_type)
)

select
    tenant_id, task_type, c.provider as current_provider, r.provider as recommended_provider,
    dollars(half_up(c.cost, c.s)) as current_cost_per_success_usd,
    dollars(half_up(r.cost, r.s)) as recommended_cost_per_success_usd,
    c.s / c.n as current_success_rate, r.s / r.n as recommended_success_rate,
    c.p95 as current_p95_duration_ms, r.p95 as recommended_p95_duration_ms,
    dollars(half_up(c.cost * r.s - r.cost * c.s, r.s)) as estimated_saving_usd, c.loaded_through
from ranked as c inner join ranked as r using (tenant_id, task_type)
where c.providers >= 2 and c.by_use = 1 and r.by_cost = 1""",
        ("tenant_id",),
        """
select tenant_id from new_executions left join clock using (tenant_id)
where date >= coalesce(today, {as_of}::date) - 30 and date < coalesce(today, {as_of}::date)
union all
select tenant_id from clock inner join previous.clock as before using (tenant_id) where clock.today <> before.today""",
    ),
)
