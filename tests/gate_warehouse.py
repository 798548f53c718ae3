"""A warehouse of two families made by hand for the gate's tests: staging by arithmetic, marts by the plainest SQL."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb

from agent_analytics.storage import Storage

FAMILIES = ("delivery", "swarm")
AS_OF = "2026-02-10 12:00:00"
START = "timestamp '2026-01-01 00:00:00'"
DAYS = 41

STAGING = f"""
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

MARTS = """
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
create table ops.model_definitions (model varchar, schema_name varchar);
create table reference.tenants as select 't0' as tenant_id, 'UTC' as timezone;
"""


def create(root: Path) -> Storage:
    """A storage root whose build b1 is finished and good: every expectation holds."""
    root.mkdir(parents=True)
    storage = Storage(root)
    with duckdb.connect(str(storage.warehouse)) as connection:
        for schema in ("staging", "reference", "ops", *FAMILIES):
            connection.execute(f"create schema {schema}")
        connection.execute(STAGING)
        connection.execute(MARTS)
        connection.execute(OPS)
        for schema, table in tables(connection):
            connection.execute(f"comment on table {schema}.{table} is '{table}:b1'")
            connection.execute("insert into ops.model_watermarks values (?, ?, 'f', 1, 'b1')", [table, f"{table}:b1"])
            connection.execute("insert into ops.model_definitions values (?, ?)", [table, schema])
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
            connection.execute(
                "update ops.model_watermarks set changed_by = ?, loaded_through = coalesce(?, loaded_through)"
                " where model = ?",
                [build_id, load_id, model],
            )
    write_build(storage, build_id, list(changed))
