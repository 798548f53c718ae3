"""A warehouse made by hand for the gate's tests: staging by arithmetic, marts by the plainest SQL that defines them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb

from agent_analytics.storage import Storage

AS_OF = "2026-02-10 12:00:00"
START = "timestamp '2026-01-01 00:00:00'"
DAYS = 41

STAGING = f"""
create table staging.stg_provider__executions as
select
    1::bigint as load_id,
    'e' || i as event_id,
    case i % 10 when 0 then 'agent.failed' when 1 then 'agent.timed_out' else 'agent.completed' end as event_type,
    {START} + to_minutes(30 * i) as occurred_at,
    't' || (i // 10 % 2) as tenant_id,
    'p' || (i // 20 % 2) as provider,
    'm' as model,
    'k' || (i // 40 % 2) as task_type,
    100.0::double + i % 7 as duration_ms,
    5.0::double as queue_ms,
    case when i % 10 > 1 then 10 end::bigint as tokens_in,
    case when i % 10 > 1 then 3 end::bigint as tokens_out,
    case when i % 10 > 1 then 0.02 + (i // 20 % 2) * 0.01 else 0 end::decimal(18, 6) as cost_usd
from range({DAYS} * 48 - 24) as r(i);

create table staging.stg_provider__calls as
select
    1::bigint as load_id, 'c' || i as event_id, 'provider.called' as event_type,
    {START} + to_minutes(30 * i) as occurred_at,
    't' || (i // 10 % 2) as tenant_id, 'p' || (i // 20 % 2) as provider, 'm' as model,
    80.0::double + i % 5 as latency_ms, 7::bigint as tokens_in, 2::bigint as tokens_out,
    i % 10 <> 0 as succeeded, case when i % 10 <> 3 then 0.03 end::decimal(18, 6) as cost_usd
from range({DAYS} * 48 - 24) as r(i);

create table staging.stg_provider__rate_limits as
select load_id, event_id, 'provider.rate_limited' as event_type, occurred_at, tenant_id, provider, model
from staging.stg_provider__calls where latency_ms = 80;
create table staging.stg_provider__errors as
select load_id, event_id, 'provider.errored' as event_type, occurred_at, tenant_id, provider, model
from staging.stg_provider__calls where latency_ms = 81;

create table staging.stg_delivery__deployments as
select
    1::bigint as load_id, 'd' || i as event_id, 'deployment.finished' as event_type,
    {START} + to_minutes(30 * i) as occurred_at,
    't' || (i // 10 % 2) as tenant_id, 'deployment' || i as deployment_id, 's' || (i // 20 % 2) as service,
    case when i % 10 = 9 then 'staging' else 'production' end as environment, i % 10 <> 8 as succeeded,
    {START} + to_minutes(30 * i - 90) as committed_at
from range({DAYS} * 48 - 24) as r(i);

create table staging.stg_swarm__assignments as
select
    1::bigint as load_id, 'a' || i as event_id, 'swarm.task_assigned' as event_type,
    {START} + to_minutes(30 * i) as occurred_at,
    't' || (i // 10 % 2) as tenant_id, 'w' || (i // 20 % 2) as swarm_id, 'task' || i as task_id
from range({DAYS} * 48 - 24) as r(i);
create table staging.stg_swarm__resolutions as
select
    1::bigint as load_id, 'r' || i as event_id, 'swarm.task_resolved' as event_type,
    {START} + to_minutes(30 * i + 20) as occurred_at,
    't' || (i // 10 % 2) as tenant_id, 'w' || (i // 20 % 2) as swarm_id, 'task' || i as task_id, i % 3 > 0 as succeeded
from range(0, {DAYS} * 48 - 24, 2) as r(i);
create table staging.stg_swarm__escalations as
select load_id, event_id, 'swarm.task_escalated' as event_type, occurred_at, tenant_id, swarm_id, task_id
from staging.stg_swarm__assignments where task_id like '%7';
create table staging.stg_swarm__policy_checks as
select
    load_id, event_id, 'swarm.policy_checked' as event_type, occurred_at, tenant_id, swarm_id, 'policy' as policy,
    task_id not like '%5' as compliant
from staging.stg_swarm__assignments where task_id like '%5' or task_id like '%6';
"""

ROLLUP = """
    count(*) as total_executions,
    count(*) filter (where event_type = 'agent.completed') as successful_executions,
    count(*) filter (where event_type = 'agent.failed') as failed_executions,
    count(*) filter (where event_type = 'agent.timed_out') as timed_out_executions,
    count(*) filter (where event_type = 'agent.completed')::double / count(*) as success_rate,
    sum(cost_usd)::decimal(18, 6) as total_cost_usd,
    avg(duration_ms) as avg_duration_ms,
    quantile_cont(duration_ms, 0.5) as p50_duration_ms,
    quantile_cont(duration_ms, 0.95) as p95_duration_ms,
    quantile_cont(duration_ms, 0.99) as p99_duration_ms,
    avg(queue_ms) as avg_queue_ms,
    quantile_cont(queue_ms, 0.95) as p95_queue_ms,
    coalesce(sum(tokens_in + tokens_out), 0)::bigint as total_tokens,
    max(load_id) as loaded_through
from staging.stg_provider__executions
group by all
"""

MARTS = f"""
create table intermediate.int_executions_priced as
select *, occurred_at::date as date, event_type = 'agent.completed' as is_successful
from staging.stg_provider__executions;

create table provider_costs.execution_rollup_hourly as
select tenant_id, date_trunc('hour', occurred_at) as hour, provider, task_type, {ROLLUP};
create table provider_costs.execution_rollup_daily as
select tenant_id, occurred_at::date as date, provider, task_type, {ROLLUP};

create table provider_costs.provider_calls_daily as
with calls as (
    select
        tenant_id, occurred_at::date as date, provider, model,
        count(*) as calls, count(*) filter (where not succeeded) as failed_calls,
        avg(latency_ms) as avg_latency_ms,
        quantile_cont(latency_ms, 0.5) as p50_latency_ms,
        quantile_cont(latency_ms, 0.95) as p95_latency_ms,
        quantile_cont(latency_ms, 0.99) as p99_latency_ms,
        sum(tokens_in)::bigint as tokens_in, sum(tokens_out)::bigint as tokens_out,
        coalesce(sum(cost_usd), 0)::decimal(18, 6) as cost_usd,
        count(*) filter (where cost_usd is null) as unpriced_calls,
        max(load_id) as loaded_through
    from staging.stg_provider__calls group by all
),
limits as (
    select tenant_id, occurred_at::date as date, provider, model, count(*) as rate_limited
    from staging.stg_provider__rate_limits group by all
),
errors as (
    select tenant_id, occurred_at::date as date, provider, model, count(*) as errors
    from staging.stg_provider__errors group by all
)
select calls.*, coalesce(rate_limited, 0) as rate_limited, coalesce(errors, 0) as errors
from calls
left join limits using (tenant_id, date, provider, model)
left join errors using (tenant_id, date, provider, model);

create table provider_costs.routing_savings_daily as
select
    tenant_id, occurred_at::date as date, task_type, count(*) as executions,
    sum(cost_usd)::decimal(18, 6) as actual_cost_usd,
    (count(*) * 0.05)::decimal(18, 6) as alternative_cost_usd,
    (count(*) * 0.05 - sum(cost_usd))::decimal(18, 6) as savings_usd,
    100 * (count(*) * 0.05 - sum(cost_usd))::double / (count(*) * 0.05) as savings_pct,
    max(load_id) as loaded_through
from staging.stg_provider__executions where event_type = 'agent.completed' group by all;

create table provider_costs.spend_monthly as
with executions as (
    select tenant_id, date_trunc('month', date)::date as month, sum(total_executions)::bigint as executions
    from provider_costs.execution_rollup_daily group by all
),
spend as (
    select tenant_id, date_trunc('month', date)::date as month, sum(cost_usd)::decimal(18, 6) as spend_usd
    from provider_costs.provider_calls_daily group by all
)
select
    tenant_id, month, spend_usd, executions, spend_usd::double / executions as cost_per_execution_usd,
    case when tenant_id = 't0' then 5 end::decimal(18, 6) as budget_usd,
    spend_usd::double as projected_spend_usd,
    case when tenant_id = 't0' then 100 * spend_usd::double / 5 end as budget_used_pct,
    case
        when tenant_id <> 't0' then 'no_budget'
        when spend_usd > 5 then 'over'
        when spend_usd >= 4 then 'warning'
        else 'ok'
    end as budget_status,
    1::bigint as loaded_through
from spend inner join executions using (tenant_id, month);

create table provider_costs.routing_recommendations as
select
    tenant_id, task_type, 'p1' as current_provider, 'p0' as recommended_provider,
    0.03::double as current_cost_per_success_usd, 0.02::double as recommended_cost_per_success_usd,
    0.8::double as current_success_rate, 0.8::double as recommended_success_rate,
    106.0::double as current_p95_duration_ms, 106.0::double as recommended_p95_duration_ms,
    1.5::double as estimated_saving_usd
from provider_costs.execution_rollup_daily group by all;

create table delivery.deployment_frequency_daily as
with days as (
    select
        tenant_id, service,
        unnest(generate_series(min(occurred_at)::date, date '2026-02-10', interval 1 day))::date as date
    from staging.stg_delivery__deployments where environment = 'production' and succeeded group by all
),
counted as (
    select days.*, count(deployment_id) as deployments, 1::bigint as loaded_through
    from days left join staging.stg_delivery__deployments as d
        on d.tenant_id = days.tenant_id and d.service = days.service and d.occurred_at::date = days.date
        and environment = 'production' and succeeded
    group by all
),
summed as (
    select
        *,
        sum(deployments) over seven::bigint as deployments_7d,
        sum(deployments) over thirty::bigint as deployments_30d
    from counted
    window
        seven as (partition by tenant_id, service order by date rows 6 preceding),
        thirty as (partition by tenant_id, service order by date rows 29 preceding)
),
compared as (
    select
        *, deployments_7d / 7.0::double as moving_average_7d,
        deployments_7d - coalesce(lag(deployments_7d, 7) over weeks, 0) as delta_7d
    from summed
    window weeks as (partition by tenant_id, service order by date)
)
select
    *, case when delta_7d > 0 then 'accelerating' when delta_7d < 0 then 'slowing' else 'steady' end as trend
from compared;

create table delivery.delivery_performance_monthly as
select
    tenant_id, service, date_trunc('month', occurred_at)::date as month, count(*) as deployments,
    1.5::double as median_lead_time_hours, 0.1::double as change_failure_rate, 2.0::double as median_hours_to_restore,
    'high' as dora_band, max(load_id) as loaded_through
from staging.stg_delivery__deployments where environment = 'production' and succeeded group by all;

create table swarm.agent_efficiency_daily as
with tasks as (
    select
        a.tenant_id, a.swarm_id, a.occurred_at::date as date, count(*) as assignments, count(r.task_id) as resolutions,
        count(*) filter (where r.succeeded) as successful_resolutions, count(e.task_id) as escalations,
        avg(date_diff('second', a.occurred_at, r.occurred_at) / 60.0) as mttr_minutes,
        quantile_cont(date_diff('second', a.occurred_at, r.occurred_at) / 60.0, 0.9)::double as p90_resolution_minutes
    from staging.stg_swarm__assignments as a
    left join staging.stg_swarm__resolutions as r using (tenant_id, swarm_id, task_id)
    left join staging.stg_swarm__escalations as e using (tenant_id, swarm_id, task_id)
    group by all
),
checks as (
    select
        tenant_id, swarm_id, occurred_at::date as date, count(*) as policy_checks,
        count(*) filter (where compliant)::double / count(*) as governance_score
    from staging.stg_swarm__policy_checks group by all
)
select
    tenant_id, swarm_id, date, assignments, resolutions, successful_resolutions, escalations,
    successful_resolutions::double / assignments as efficiency_ratio, mttr_minutes, p90_resolution_minutes,
    coalesce(policy_checks, 0) as policy_checks, governance_score, false as is_outlier, 1::bigint as loaded_through
from tasks left join checks using (tenant_id, swarm_id, date);
"""

OPS = f"""
create table ops.run as select 'b1' as invocation_id, 1::bigint as load_id, timestamp '{AS_OF}' as as_of;
create table ops.loads as
select 1::bigint as load_id, 'load' as kind, timestamp '{AS_OF}' as started_at, timestamp '{AS_OF}' as clock,
    null::bigint as retracts;
create table ops.model_watermarks (
    model varchar primary key, token varchar, fingerprint varchar, loaded_through bigint, changed_by varchar
);
create table reference.tenants as select 't0' as tenant_id, 'UTC' as timezone;
"""


def create(root: Path) -> Storage:
    """A storage root whose build b1 is finished and good: every expectation holds."""
    root.mkdir(parents=True)
    storage = Storage(root)
    with duckdb.connect(str(storage.warehouse)) as connection:
        for schema in ("staging", "intermediate", "reference", "ops", "provider_costs", "delivery", "swarm"):
            connection.execute(f"create schema {schema}")
        connection.execute(STAGING)
        connection.execute(MARTS)
        connection.execute(OPS)
        for schema, table in tables(connection):
            connection.execute(f"comment on table {schema}.{table} is '{table}:b1'")
            connection.execute("insert into ops.model_watermarks values (?, ?, 'f', 1, 'b1')", [table, f"{table}:b1"])
        write_build(storage, "b1", [table for _, table in tables(connection)])
    return storage


def tables(connection: duckdb.DuckDBPyConnection) -> list[tuple[str, str]]:
    """(schema, table) of every model."""
    return connection.execute(
        "select schema_name, table_name from duckdb_tables() where schema_name not in ('ops', 'reference') order by all"
    ).fetchall()


def write_build(storage: Storage, build_id: str, changed: list[str], **more: Any) -> None:
    with duckdb.connect(str(storage.warehouse)) as connection:
        models = {
            table: {"status": "success" if table in changed else "unchanged", "rows_changed": table in changed}
            for _, table in tables(connection)
        }
    record = {"build_id": build_id, "status": "finished", "models": models, "failed_tests": [], "families": {}}
    storage.build_record.write_text(json.dumps(record | more))


def next_build(storage: Storage, build_id: str, *changed: str, sql: str = "", load_id: int | None = None) -> None:
    """Another build: `sql` is what it did to the rows of the `changed` models, a new load if `load_id` is given."""
    with duckdb.connect(str(storage.warehouse)) as connection:
        connection.execute(sql or "select 1")
        connection.execute("update ops.run set invocation_id = ?, load_id = coalesce(?, load_id)", [build_id, load_id])
        for model in changed:
            connection.execute("update ops.model_watermarks set changed_by = ? where model = ?", [build_id, model])
    write_build(storage, build_id, list(changed))
