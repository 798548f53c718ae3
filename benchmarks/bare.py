"""The same work as bare DuckDB SQL: what the pipeline's seconds are compared with.

The SQL is what a good engineer would write for this job and nothing else: types given, one pass where one does, small
price tables, touched partitions only. It doesn't validate, look for duplicates, survive a crash or notice
changed definitions. Its marts have the same rows as the pipeline's; `differences` says so.

Run as a process of its own: `python -m benchmarks.bare '{"work": "full", ...}'`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from agent_analytics.storage import PROJECT_ROOT

SOURCES = ("provider", "billing", "delivery", "swarm")

ENVELOPE = {
    "event_id": "VARCHAR",
    "source": "VARCHAR",
    "event_type": "VARCHAR",
    "occurred_at": "TIMESTAMP",
    "tenant_id": "VARCHAR",
    "user_id": "VARCHAR",
    "session_id": "VARCHAR",
    "agent_id": "VARCHAR",
    "workflow_id": "VARCHAR",
    "correlation_id": "VARCHAR",
}
PROPERTIES = {
    "execution_id": "VARCHAR",
    "task_type": "VARCHAR",
    "queue_ms": "DOUBLE",
    "provider": "VARCHAR",
    "model": "VARCHAR",
    "duration_ms": "DOUBLE",
    "tokens_in": "BIGINT",
    "tokens_out": "BIGINT",
    "tokens_cached": "BIGINT",
    "completions": "BIGINT",
    "cost_usd": "DECIMAL(18,6)",
    "error_code": "VARCHAR",
    "latency_ms": "DOUBLE",
    "succeeded": "BOOLEAN",
    "subscription_id": "VARCHAR",
    "plan": "VARCHAR",
    "mrr_usd": "DECIMAL(18,6)",
    "reason": "VARCHAR",
    "invoice_id": "VARCHAR",
    "amount_usd": "DECIMAL(18,6)",
    "monthly_budget_usd": "DECIMAL(18,6)",
    "deployment_id": "VARCHAR",
    "service": "VARCHAR",
    "environment": "VARCHAR",
    "committed_at": "TIMESTAMP",
    "swarm_id": "VARCHAR",
    "task_id": "VARCHAR",
    "policy": "VARCHAR",
    "compliant": "BOOLEAN",
}


# Reference data and macros. Whole numbers (micro-dollars, billionths of a dollar) keep money exact.
REFERENCE = """
create temp macro micros(money) as (money * 1000000)::hugeint;
create temp macro half_up(n, d) as
    ((2 * n + d) // (2 * nullif(d, 0)) - ((2 * n + d) < 0 and (2 * n + d) % (2 * d) <> 0)::int);
create temp macro dollars(micros) as (micros::decimal(18, 0) * 0.000001::decimal(7, 6))::decimal(18, 6);
create temp macro nanos(tokens_in, tokens_cached, tokens_out, completions, p) as
    (tokens_in - coalesce(tokens_cached, 0)) * p.tokens_in + coalesce(tokens_cached, 0) * p.tokens_cached
    + tokens_out * p.tokens_out + completions * p.completion * 1000;

create temp table tenants as
select tenant_id, timezone from read_csv('{seeds}/tenants.csv', all_varchar = true);

create temp table days as
select unnest(range({first_day}::date::timestamp - interval 2 days, {last_day}::date::timestamp + interval 2 days,
    interval 1 day))::date as day;

create temp table zone_days as
select timezone, day, starts as offset_seconds, starts <> ends as has_transition
from (
    select
        timezone, day,
        date_diff('second', day::timestamp, timezone(timezone, timezone('UTC', day::timestamp))) as starts,
        date_diff('second', day::timestamp + interval 86399 seconds,
            timezone(timezone, timezone('UTC', day::timestamp + interval 86399 seconds))) as ends
    from days, (select distinct timezone from tenants)
);

create temp macro local_day(moment, timezone, z) as case
    when timezone is null then moment::date
    when z.has_transition then timezone(timezone, timezone('UTC', moment))::date
    else (moment + to_seconds(z.offset_seconds))::date
end;

create temp table clock as
select tenant_id, coalesce(timezone('' || timezone, timezone('UTC', {as_of})), {as_of})::date as today from tenants;

create temp table prices as
select
    provider, model, valid_from,
    lead(valid_from, 1, date '9999-12-31') over (partition by provider, model order by valid_from) as valid_to,
    {{
        'tokens_in': (usd_per_1k_tokens_in * 1000000)::bigint,
        'tokens_cached': (usd_per_1k_tokens_cached * 1000000)::bigint,
        'tokens_out': (usd_per_1k_tokens_out * 1000000)::bigint,
        'completion': (usd_per_completion * 1000000)::bigint
    }} as price
from read_csv('{seeds}/provider_prices.csv', types = {{
    'valid_from': 'date', 'usd_per_1k_tokens_in': 'decimal(18,6)', 'usd_per_1k_tokens_cached': 'decimal(18,6)',
    'usd_per_1k_tokens_out': 'decimal(18,6)', 'usd_per_completion': 'decimal(18,6)'
}});

create temp table price_days as
select day, provider, model, price from prices, days where day >= valid_from and day < valid_to;

create temp table defaults as
select day, list(price) as prices from price_days where model = '*' group by day;
"""

# The events that the marts count, priced, with their local day. `{lake}` reads the lake files of one source.
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
    e.latency_ms, e.tokens_in, e.tokens_out,
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
    "deployments": """
select
    load_id, tenant_id, service, deployment_id, occurred_at::date as date,
    epoch_us(occurred_at) - epoch_us(committed_at) as lead_time
from {delivery}
where event_type = 'deployment.finished' and environment = 'production' and succeeded""",
    "incidents": """
select load_id, tenant_id, service, deployment_id, occurred_at, event_type = 'deployment.failed_in_use' as is_failure
from {delivery}
where event_type in ('deployment.failed_in_use', 'service.restored')""",
    "task_events": """
select load_id, event_type, event_id, tenant_id, swarm_id, task_id, occurred_at, succeeded
from {swarm}
where event_type <> 'swarm.policy_checked'""",
    "checks": """
select load_id, tenant_id, swarm_id, occurred_at::date as date, compliant from {swarm}
where event_type = 'swarm.policy_checked'""",
}

# Each table made of those events: `{only}` is a join that keeps the touched partitions; nothing in a full build.
TASK_KEY = ("tenant_id", "swarm_id", "task_id")
TASKS = """
select
    tenant_id, swarm_id, task_id,
    min(occurred_at) filter (where event_type = 'swarm.task_assigned') as assigned_at,
    min(occurred_at) filter (where event_type = 'swarm.task_resolved') as resolved_at,
    arg_min(succeeded, {'a': occurred_at, 'b': event_id}) filter (where event_type = 'swarm.task_resolved')
        as succeeded,
    bool_or(event_type = 'swarm.task_escalated') as is_escalated,
    max(load_id) as loaded_through
from task_events as e {only}
group by tenant_id, swarm_id, task_id"""

SWARM_DAYS = """
with worked as (
    select
        tenant_id, swarm_id, date, count(*) as assignments, count(resolved_at) as resolutions,
        count(*) filter (where succeeded) as successful_resolutions,
        count(*) filter (where is_escalated) as escalations,
        avg(epoch_us(resolved_at) - epoch_us(assigned_at)) / 60e6 as mttr_minutes,
        quantile_cont((epoch_us(resolved_at) - epoch_us(assigned_at))::double, 0.9) / 60e6 as p90_resolution_minutes,
        max(loaded_through) as loaded_through
    from (select *, assigned_at::date as date from tasks where assigned_at is not null) as e {only}
    group by tenant_id, swarm_id, date
),

checked as (
    select
        tenant_id, swarm_id, date, count(*) as policy_checks, count(*) filter (where compliant) as compliant_checks,
        max(load_id) as loaded_through
    from checks as e {only} group by tenant_id, swarm_id, date
)

select
    tenant_id, swarm_id, date, coalesce(assignments, 0) as assignments, coalesce(resolutions, 0) as resolutions,
    coalesce(successful_resolutions, 0) as successful_resolutions, coalesce(escalations, 0) as escalations,
    successful_resolutions / nullif(assignments, 0) as efficiency_ratio, mttr_minutes, p90_resolution_minutes,
    coalesce(policy_checks, 0) as policy_checks, compliant_checks / nullif(policy_checks, 0) as governance_score,
    greatest(w.loaded_through, c.loaded_through) as loaded_through
from worked as w full join checked as c using (tenant_id, swarm_id, date)"""


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


@dataclass(frozen=True)
class Mart:
    """A mart: its family, key and SQL; if it is recomputed by partition, the partition and what touches it."""

    family: str
    name: str
    key: tuple[str, ...]
    sql: str
    partition: tuple[str, ...] = ()
    touched: str = ""


MARTS = (
    Mart(
        "provider_costs",
        "execution_rollup_hourly",
        ("tenant_id", "hour", "provider", "task_type"),
        _rollup("hour"),
        ("tenant_id", "hour"),
        "select tenant_id, hour from new_executions",
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
        sum(executions)::bigint as executions, max(loaded_through) as loaded_through
    from (
        select tenant_id, date, cost_usd, 0 as executions, loaded_through from provider_calls_daily where calls > 0
        union all
        select tenant_id, date, 0, total_executions, loaded_through from execution_rollup_daily
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
    tenant_id, month, spend_usd, executions, dollars(half_up(micros(spend_usd), executions)) as cost_per_execution_usd,
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
    Mart(
        "delivery",
        "deployment_frequency_daily",
        ("tenant_id", "service", "date"),
        """
with daily as (
    select tenant_id, service, date, count(*) as n, max(load_id) as loaded from deployments group by all
),

dense as (
    select
        tenant_id, service, unnest(range(first_day, last_day + interval 1 day, interval 1 day))::date as date,
        first_loaded
    from (
        select
            tenant_id, service, min(date)::timestamp as first_day,
            greatest(max(date), {as_of}::date)::timestamp as last_day, arg_min(loaded, date) as first_loaded
        from daily group by tenant_id, service
    )
),

windowed as (
    select
        tenant_id, service, date, coalesce(n, 0) as deployments,
        coalesce(sum(n) over seven, 0)::bigint as deployments_7d,
        coalesce(sum(n) over thirty, 0)::bigint as deployments_30d,
        coalesce(sum(n) over seven, 0)::bigint - coalesce(sum(n) over before, 0)::bigint as delta_7d,
        coalesce(max(loaded) over thirty, first_loaded) as loaded_through
    from dense left join daily using (tenant_id, service, date)
    window
        seven as (partition by tenant_id, service order by date rows 6 preceding),
        before as (partition by tenant_id, service order by date rows between 13 preceding and 7 preceding),
        thirty as (partition by tenant_id, service order by date rows 29 preceding)
)

select
    tenant_id, service, date, deployments, deployments_7d, deployments_30d, deployments_7d / 7 as moving_average_7d,
    delta_7d, case when delta_7d > 0 then 'accelerating' when delta_7d < 0 then 'slowing' else 'steady' end as trend,
    loaded_through
from windowed where deployments > 0 or date <= {as_of}::date""",
    ),
    Mart(
        "delivery",
        "delivery_performance_monthly",
        ("tenant_id", "service", "month"),
        """
with failed as (
    select
        tenant_id, service, deployment_id, min(occurred_at) filter (where is_failure) as failed_at,
        max(load_id) as loaded
    from incidents group by tenant_id, service, deployment_id having count(*) filter (where is_failure) > 0
),

restored as (
    select f.*, min(i.occurred_at) as restored_at
    from failed as f left join incidents as i
        on f.tenant_id = i.tenant_id and f.service = i.service and f.deployment_id = i.deployment_id
        and not i.is_failure and i.occurred_at >= f.failed_at
    group by all
),

measured as (
    select
        d.tenant_id, d.service, date_trunc('month', d.date)::date as month, count(*) as deployments,
        quantile_cont(d.lead_time::double, 0.5) / 3600e6 as median_lead_time_hours, count(r.failed_at) as failures,
        quantile_cont((epoch_us(r.restored_at) - epoch_us(r.failed_at))::double, 0.5) / 3600e6
            as median_hours_to_restore,
        greatest(max(d.load_id), max(r.loaded)) as loaded_through
    from deployments as d left join restored as r using (tenant_id, service, deployment_id)
    group by d.tenant_id, d.service, month
)

select
    tenant_id, service, month, deployments, median_lead_time_hours, failures / deployments as change_failure_rate,
    median_hours_to_restore,
    ['elite', 'high', 'medium', 'low'][greatest(
        case when deployments > day(last_day(month)) then 1 when 7 * deployments >= day(last_day(month)) then 2
            else 3 end,
        case when coalesce(median_lead_time_hours, 0) < 24 then 1 when median_lead_time_hours <= 168 then 2
            when median_lead_time_hours <= 720 then 3 else 4 end,
        case when 100 * failures <= 5 * deployments then 1 when 100 * failures <= 10 * deployments then 2
            when 100 * failures <= 15 * deployments then 3 else 4 end,
        case when coalesce(median_hours_to_restore, 0) < 1 then 1 when median_hours_to_restore < 24 then 2
            when median_hours_to_restore <= 168 then 3 else 4 end
    )] as dora_band,
    loaded_through
from measured""",
    ),
    Mart(
        "swarm",
        "agent_efficiency_daily",
        ("tenant_id", "swarm_id", "date"),
        """
select
    * exclude (loaded_through, known, centre, spread),
    coalesce(known >= 7 and spread > 0 and abs(efficiency_ratio - centre) > 3 * 1.4826 * spread, false) as is_outlier,
    loaded_through
from (
    select
        * replace (greatest(loaded_through, case when count(efficiency_ratio) over w >= 7
            then max(loaded_through) filter (where efficiency_ratio is not null) over w end) as loaded_through),
        count(efficiency_ratio) over w as known, median(efficiency_ratio) over w as centre,
        mad(efficiency_ratio) over w as spread
    from swarm_days
    window w as (
        partition by tenant_id, swarm_id order by date
        range between interval 28 days preceding and interval 1 day preceding
    )
)""",
    ),
)


# The work


def ingest(landed: Sequence[Path], target: Path) -> None:
    """The floor of an ingest: typed Parquet by source; nothing is checked and no copy is found."""
    with duckdb.connect() as connection:
        columns = ", ".join(f"{name}: '{kind}'" for name, kind in ENVELOPE.items())
        properties = ", ".join(f"{name} {kind}" for name, kind in PROPERTIES.items())
        connection.execute(
            f"""
            copy (
                select * exclude (properties), unnest(properties)
                from read_json({_paths(landed)}, format = 'newline_delimited',
                    columns = {{{columns}, properties: 'STRUCT({properties})'}})
            ) to '{target}' (format parquet, compression zstd, compression_level 1, partition_by (source))"""
        )


def full(lake: dict[str, list[Path]], seeds: Path, database: Path, as_of: str, keep: bool = False) -> None:
    """All marts from the lake. With `keep` the database keeps the priced events too, as `tick` needs them."""
    with duckdb.connect(str(database)) as connection:
        _prepare(connection, lake, seeds, as_of)
        kind = "table" if keep else "temp table"
        for name, sql in EVENTS.items():
            connection.execute(f"create {kind} {name} as {_filled(sql, as_of, lake)}")
        connection.execute(f"create {kind} tasks as {_filled(TASKS, as_of)}")
        connection.execute(f"create {kind} swarm_days as {_filled(SWARM_DAYS, as_of)}")
        for mart in MARTS:
            connection.execute(f"create table {mart.name} as {_filled(mart.sql, as_of)}")
        if keep:
            connection.execute("create schema previous; create table previous.clock as from temp.clock")


def tick(lake: dict[str, list[Path]], seeds: Path, database: Path, as_of: str) -> None:
    """What new lake files change in a database that `full` with `keep` made: touched partitions are recomputed."""
    with duckdb.connect(str(database)) as connection:
        _prepare(connection, lake, seeds, as_of)
        connection.execute("begin")
        for name, sql in EVENTS.items():
            connection.execute(f"create temp table new_{name} as {_filled(sql, as_of, lake)}")
            connection.execute(f"insert into {name} from new_{name}")
        key = ", ".join(TASK_KEY)
        days = f"select tenant_id, swarm_id, assigned_at::date as date from tasks semi join touched_tasks using ({key})"
        connection.execute(f"create temp table touched_tasks as select distinct {key} from new_task_events")
        connection.execute(f"create temp table touched_days as {days}")
        _recompute(connection, "tasks", TASK_KEY, "touched_tasks", TASKS, as_of)
        connection.execute(f"insert into touched_days {days}")
        connection.execute("insert into touched_days select tenant_id, swarm_id, date from new_checks")
        _recompute(connection, "swarm_days", ("tenant_id", "swarm_id", "date"), "touched_days", SWARM_DAYS, as_of)
        for mart in MARTS:
            if not mart.partition:
                connection.execute(f"create or replace table {mart.name} as {_filled(mart.sql, as_of)}")
                continue
            touched = f"touched_{mart.name}"
            connection.execute(
                f"create temp table {touched} as select distinct * from ({_filled(mart.touched, as_of)})"
            )
            _recompute(connection, mart.name, mart.partition, touched, mart.sql, as_of)
        connection.execute("create or replace table previous.clock as from temp.clock")
        connection.execute("commit")


def _recompute(
    connection: duckdb.DuckDBPyConnection, table: str, partition: Sequence[str], touched: str, sql: str, as_of: str
) -> None:
    """Replace the rows of the touched partitions."""
    same = " and ".join(f"m.{column} = t.{column}" for column in partition)
    only = f"semi join {touched} using ({', '.join(partition)})"
    connection.execute(f"delete from {table} as m using {touched} as t where {same}")
    connection.execute(f"insert into {table} by name {_filled(sql, as_of, only=only)}")


def publish(database: Path, target: Path) -> None:
    """The marts as a database of their own, sorted by key, and as Parquet files."""
    target.mkdir(parents=True)
    with duckdb.connect() as connection:
        connection.execute(f"attach '{database}' as made (read_only)")
        connection.execute(f"attach '{target / 'analytics.duckdb'}' as published")
        for mart in MARTS:
            connection.execute(
                f"create table published.{mart.name} as from made.{mart.name} order by {', '.join(mart.key)}"
            )
            connection.execute(
                f"copy published.{mart.name} to '{target / mart.name}.parquet' (format parquet, compression zstd)"
            )


def differences(warehouse: Path, database: Path) -> dict[str, int]:
    """Per mart, the rows that the pipeline's warehouse and the bare database don't have in common.

    All columns but loaded_through count; DOUBLEs may differ by 1e-9, relative or absolute.
    """
    found: dict[str, int] = {}
    with duckdb.connect() as connection:
        connection.execute(f"attach '{warehouse}' as pipeline (read_only)")
        connection.execute(f"attach '{database}' as bare (read_only)")
        for mart in MARTS:
            theirs = f"pipeline.{mart.family}.{mart.name}"
            columns = connection.execute(f"describe {theirs}").fetchall()
            same = [_same(name, kind) for name, kind, *_ in columns if name not in (*mart.key, "loaded_through")]
            keys = " and ".join(f"p.{name} is not distinct from b.{name}" for name in mart.key)
            rows = connection.execute(
                f"select count(*) from {theirs} as p full join bare.{mart.name} as b on {keys}"
                f" where p.{mart.key[0]} is null or b.{mart.key[0]} is null or not ({' and '.join(same)})"
            ).fetchall()
            found[mart.name] = int(rows[0][0])
    return found


def _same(name: str, kind: str) -> str:
    one, other = f"p.{name}", f"b.{name}"
    if kind != "DOUBLE":
        return f"{one} is not distinct from {other}"
    close = f"abs({one} - {other}) <= 1e-9 * greatest(1, abs({one}))"
    return f"coalesce({close}, coalesce({one}, {other}) is null)"


def _prepare(connection: duckdb.DuckDBPyConnection, lake: dict[str, list[Path]], seeds: Path, as_of: str) -> None:
    connection.execute("set TimeZone = 'UTC'")
    connection.execute("set preserve_insertion_order = false")
    first, last = connection.execute(
        f"select min(occurred_at), max(occurred_at) from read_parquet({_paths([*lake['provider'], *lake['billing']])})"
    ).fetchall()[0]
    connection.execute(
        REFERENCE.format(seeds=seeds, first_day=f"'{first}'", last_day=f"'{last}'", as_of=_moment(as_of))
    )


def _filled(sql: str, as_of: str, lake: dict[str, list[Path]] | None = None, only: str = "") -> str:
    # Not str.format: the SQL has braces of its own.
    for source, paths in (lake or {}).items():
        sql = sql.replace(f"{{{source}}}", f"read_parquet({_paths(paths)})")
    return sql.replace("{as_of}", _moment(as_of)).replace("{only}", only)


def _moment(as_of: str) -> str:
    return f"timestamp '{as_of}'"


def _paths(paths: Iterable[Path]) -> str:
    return "[" + ", ".join(f"'{path}'" for path in paths) + "]"


def main(request: dict[str, Any]) -> None:
    """One piece of work, its paths as text."""
    work: dict[str, Callable[[], None]] = {
        "ingest": lambda: ingest([Path(path) for path in request["landed"]], Path(request["target"])),
        "full": lambda: full(**_lake_arguments(request), keep=request["keep"]),
        "tick": lambda: tick(**_lake_arguments(request)),
        "publish": lambda: publish(Path(request["database"]), Path(request["target"])),
    }
    work[request["work"]]()


def _lake_arguments(request: dict[str, Any]) -> dict[str, Any]:
    return {
        "lake": {source: [Path(path) for path in paths] for source, paths in request["lake"].items()},
        "seeds": PROJECT_ROOT / "seeds",
        "database": Path(request["database"]),
        "as_of": request["as_of"],
    }


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
