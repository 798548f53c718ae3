"""crc as bare SQL."""

from benchmarks.bare.parts import Mart, Step

EVENTS = {
    "crc_tasks": """
select load_id, tenant_id, blueprint_id, workspace_id, cycle_id, occurred_at, succeeded, cycle_time_ms from {crc}""",
}

STEPS: tuple[Step, ...] = ()

WORKSPACE = ("tenant_id", "blueprint_id", "workspace_id")

MARTS = (
    Mart(
        "crc",
        "crc_cycles",
        (*WORKSPACE, "cycle_id"),
        """
select
    c.* exclude (q), blueprint_name, team, q[1] as p50_cycle_time_ms, q[2] as p90_cycle_time_ms,
    q[3] as p99_cycle_time_ms
from (
    select
        tenant_id, blueprint_id, workspace_id, cycle_id, count(*) filter (where succeeded) as completions,
        count(*) filter (where not succeeded) as failures, min(occurred_at)::date as started_on,
        min(occurred_at) filter (where succeeded) as first_completed_at,
        max(occurred_at) filter (where succeeded) as last_completed_at,
        quantile_cont(cycle_time_ms, [0.5, 0.9, 0.99]) as q, max(load_id) as loaded_through
    from crc_tasks as e {only} group by all
) as c
left join blueprints using (blueprint_id)""",
        (*WORKSPACE, "cycle_id"),
        "select tenant_id, blueprint_id, workspace_id, cycle_id from new_crc_tasks",
    ),
    Mart(
        "crc",
        "crc_throughput_daily",
        (*WORKSPACE, "date"),
        # The baseline in whole completions of 7 days.
        """
with cycles as (
    select
        tenant_id, blueprint_id, workspace_id, started_on as date, count(*) as cycles,
        sum(completions)::bigint as completions, quantile_cont(completions::double, [0.5, 0.9, 0.99]) as q,
        max(loaded_through) as loaded
    from crc_cycles as e {only} group by all
),

times as (
    select
        tenant_id, blueprint_id, workspace_id, started_on as date, quantile_cont(cycle_time_ms, [0.5, 0.9, 0.99]) as t
    from (from crc_tasks as e {only})
    inner join crc_cycles using (tenant_id, blueprint_id, workspace_id, cycle_id)
    group by all
),

compared as (
    select
        *, case when date >= min(date) over g + 7 then coalesce(sum(completions) over week, 0) end as before,
        greatest(loaded, max(loaded) over week) as loaded_through
    from cycles
    window
        g as (partition by tenant_id, blueprint_id, workspace_id),
        week as (g order by date range between interval 7 days preceding and interval 1 day preceding)
)

select
    tenant_id, blueprint_id, blueprint_name, team, workspace_id, date, cycles, completions,
    completions / cycles as mean_completions_per_cycle, q[1] as p50_completions_per_cycle,
    q[2] as p90_completions_per_cycle, q[3] as p99_completions_per_cycle, t[1] as p50_cycle_time_ms,
    t[2] as p90_cycle_time_ms, t[3] as p99_cycle_time_ms, before / 7 as baseline_7d,
    100 * (7 * completions - before) / nullif(before, 0) as deviation_pct,
    coalesce(before >= 70 and 2 * abs(7 * completions - before) > before, false) as is_anomaly, loaded_through
from compared
inner join times using (tenant_id, blueprint_id, workspace_id, date)
left join blueprints using (blueprint_id)""",
        WORKSPACE,
        "select tenant_id, blueprint_id, workspace_id from new_crc_tasks",
    ),
)
