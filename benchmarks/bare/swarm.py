"""swarm as bare SQL."""

from benchmarks.bare.parts import Mart, Step

EVENTS = {
    "task_events": """
select load_id, event_type, event_id, tenant_id, swarm_id, task_id, occurred_at, succeeded
from {swarm}
where event_type <> 'swarm.policy_checked'""",
    "checks": """
select load_id, tenant_id, swarm_id, occurred_at::date as date, compliant from {swarm}
where event_type = 'swarm.policy_checked'""",
}

# `{only}` is a join that keeps the touched partitions; nothing in a full build.
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

STEPS = (
    Step("tasks", TASKS, TASK_KEY, "select tenant_id, swarm_id, task_id from new_task_events"),
    Step(
        "swarm_days",
        SWARM_DAYS,
        ("tenant_id", "swarm_id", "date"),
        """
select tenant_id, swarm_id, assigned_at::date as date
from tasks semi join touched_tasks using (tenant_id, swarm_id, task_id)
union all select tenant_id, swarm_id, date from new_checks""",
    ),
)

MARTS = (
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
