"""notebooks as bare SQL. Runs are few: a tick recomputes the marts from all of them."""

from benchmarks.bare.parts import Mart, Step

EVENTS = {
    "runs": """
select
    load_id, event_id, tenant_id, user_id, notebook_id, workspace_id, blueprint_id, scope, trigger, succeeded,
    occurred_at, occurred_at::date as date
from {notebooks}""",
}

STEPS: tuple[Step, ...] = ()

RECENT = "date >= {as_of}::date - 30 and date < {as_of}::date"

MARTS = (
    Mart(
        "notebooks",
        "notebook_update_cadence_daily",
        ("tenant_id", "scope", "date"),
        """
with gaps as (
    select
        *, epoch_us(occurred_at) - epoch_us(lag(occurred_at) over (w order by occurred_at, event_id)) as gap,
        epoch_us(occurred_at) - epoch_us(lag(occurred_at) over (of_kind order by occurred_at, event_id)) as gap_of_kind
    from runs
    window w as (partition by tenant_id, notebook_id), of_kind as (partition by tenant_id, notebook_id, trigger)
)

select
    tenant_id, scope, date, count(*) as runs, count(*) filter (where trigger = 'automation') as automated_runs,
    count(*) filter (where trigger = 'manual') as manual_runs, count(*) filter (where succeeded) as successful_runs,
    count(*) filter (where succeeded) / count(*) as success_rate, avg(gap) / 60e6 as mean_minutes_between_runs,
    avg(gap_of_kind) filter (where trigger = 'automation') / 60e6 as mean_minutes_between_automated,
    avg(gap_of_kind) filter (where trigger = 'manual') / 60e6 as mean_minutes_between_manual,
    count(*) / 24 as cadence_per_hour, coalesce(any_value(min_runs_per_hour), 0.05) as min_runs_per_hour,
    count(*) / 24 < coalesce(any_value(min_runs_per_hour), 0.05) as below_policy, max(load_id) as loaded_through
from gaps left join notebook_policies using (scope)
group by tenant_id, scope, date""",
    ),
    Mart(
        "notebooks",
        "notebook_staleness",
        ("tenant_id", "notebook_id"),
        """
select
    tenant_id, notebook_id, runs, last_run_at, idle / 3600e6 as hours_since_last_run,
    span / nullif(runs - 1, 0) / 3600e6 as mean_hours_between_runs,
    runs > 1 and idle::hugeint * (runs - 1) > 3 * span as is_stale,
    automated / nullif(recent, 0) - automated_before / nullif(recent_before, 0) as automation_drift, loaded_through
from (
    select
        tenant_id, notebook_id, count(*) as runs, max(occurred_at) as last_run_at,
        epoch_us({as_of}) - epoch_us(max(occurred_at)) as idle,
        epoch_us(max(occurred_at)) - epoch_us(min(occurred_at)) as span,
        count(*) filter (where days_ago between 1 and 7) as recent,
        count(*) filter (where days_ago between 1 and 7 and trigger = 'automation') as automated,
        count(*) filter (where days_ago between 8 and 14) as recent_before,
        count(*) filter (where days_ago between 8 and 14 and trigger = 'automation') as automated_before,
        max(load_id) as loaded_through
    from (select *, {as_of}::date - date as days_ago from runs where occurred_at <= {as_of})
    group by tenant_id, notebook_id
)""",
    ),
    Mart(
        "notebooks",
        "notebook_adoption",
        ("tenant_id", "workspace_id"),
        f"""
select
    tenant_id, workspace_id, coalesce(w.blueprint_id, r.blueprint_id) as blueprint_id,
    w.workspace_id is not null as is_registered, coalesce(unique_authors, 0) as unique_authors,
    coalesce(runs, 0) as runs,
    coalesce(automated_runs, 0) as automated_runs, automated_runs / nullif(runs, 0) as automation_rate,
    case when coalesce(runs, 0) = 0 then 'inactive' when automated_runs > 0 then 'automated' else 'manual' end
        as adoption_mode,
    coalesce(loaded, 0) as loaded_through
from workspaces as w
full join (
    select
        tenant_id, workspace_id, arg_max(blueprint_id, {{'a': occurred_at, 'b': event_id}}) as blueprint_id,
        count(distinct user_id) filter (where trigger = 'manual' and {RECENT}) as unique_authors,
        count(*) filter (where {RECENT}) as runs,
        count(*) filter (where trigger = 'automation' and {RECENT}) as automated_runs, max(load_id) as loaded
    from runs group by all
) as r using (tenant_id, workspace_id)""",
    ),
    Mart(
        "notebooks",
        "notebook_adoption_by_blueprint",
        ("tenant_id", "blueprint_id"),
        f"""
select
    tenant_id, blueprint_id, count(*) as workspaces, count(*) filter (where adoption_mode = 'inactive')
        as inactive_workspaces,
    count(*) filter (where adoption_mode = 'automated') as automated_workspaces,
    count(*) filter (where adoption_mode = 'manual') as manual_workspaces,
    coalesce(any_value(authors), 0) as unique_authors,
    count(*) filter (where adoption_mode <> 'inactive') / count(*) as coverage, max(loaded_through) as loaded_through
from notebook_adoption
left join (
    select a.tenant_id, a.blueprint_id, count(distinct user_id) as authors
    from notebook_adoption as a inner join runs as r using (tenant_id, workspace_id)
    where trigger = 'manual' and {RECENT} group by all
) using (tenant_id, blueprint_id)
group by tenant_id, blueprint_id""",
    ),
)
