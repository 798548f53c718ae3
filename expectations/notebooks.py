"""notebooks: how often they run, which have gone stale, and which workspaces use them."""

from expectations import (
    accepted,
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
    usual_volume,
)

RUNS = "staging.stg_notebooks__runs"
RUNS_BY_DAY = f"(select *, cast(occurred_at as date) as date from {RUNS})"
RUNS_BY_NOW = f"(select runs.* from {RUNS} as runs inner join ops.run on runs.occurred_at <= run.as_of)"
RUNS_OF_WINDOW = f"""(
    select runs.* from {RUNS} as runs
    inner join ops.run
        on cast(runs.occurred_at as date) >= cast(run.as_of as date) - 30
        and cast(runs.occurred_at as date) < cast(run.as_of as date)
)"""

SUITE = suite(
    "notebooks",
    mart(
        "notebook_update_cadence_daily",
        key=["tenant_id", "scope", "date"],
        fed_by=RUNS,
        rebuilt=True,
        expect=[
            counts("runs", "automated_runs", "manual_runs", "successful_runs"),
            holds(
                "kinds_add_up",
                "runs > 0 and runs = automated_runs + manual_runs",
                "runs",
                "automated_runs",
                "manual_runs",
            ),
            measures("mean_minutes_between_runs", "mean_minutes_between_automated", "mean_minutes_between_manual"),
            holds(
                "gaps_need_runs_of_their_kind",
                """(automated_runs > 0 or mean_minutes_between_automated is null)
                    and (manual_runs > 0 or mean_minutes_between_manual is null)""",
                "mean_minutes_between_automated",
                "mean_minutes_between_manual",
            ),
            ratio("cadence_per_hour", "runs", "24"),
            ratio("success_rate", "successful_runs", "runs"),
            holds(
                "below_policy_by_cadence",
                "min_runs_per_hour >= 0 and below_policy = (cadence_per_hour < min_runs_per_hour)",
                "below_policy",
                "cadence_per_hour",
                "min_runs_per_hour",
            ),
            each_reconciles(
                "all_runs",
                {
                    "sum(runs)": "count(*)",
                    "sum(automated_runs)": "count(*) filter (where trigger = 'automation')",
                    "sum(successful_runs)": "count(*) filter (where succeeded)",
                },
                RUNS_BY_DAY,
                by=["tenant_id", "scope", "date"],
            ),
            fresh("date", hours=72),
            usual_volume("date", "runs"),
        ],
    ),
    mart(
        "notebook_staleness",
        key=["tenant_id", "notebook_id"],
        fed_by=RUNS_BY_NOW,
        rebuilt=True,
        expect=[
            counts("runs"),
            measures("hours_since_last_run", "mean_hours_between_runs"),
            nothing(
                "hours_to_the_data_clock",
                """
                    select mart.* from mart cross join ops.run
                    where coalesce(
                        abs(mart.hours_since_last_run - (epoch_us(run.as_of) - epoch_us(mart.last_run_at)) / 3600e6)
                            > 1e-6,
                        true
                    )
                """,
                "hours_since_last_run is the time from last_run_at to the data clock.",
                "hours_since_last_run",
                "last_run_at",
            ),
            holds(
                "a_gap_needs_two_runs",
                "(runs > 1) = (mean_hours_between_runs is not null)",
                "runs",
                "mean_hours_between_runs",
            ),
            holds(
                "stale_by_its_own_gap",
                """case
                    when runs = 1 then not is_stale
                    when abs(hours_since_last_run - 3 * mean_hours_between_runs) < 1e-6 then is_stale is not null
                    else is_stale = (hours_since_last_run > 3 * mean_hours_between_runs)
                end""",
                "is_stale",
                "runs",
                "mean_hours_between_runs",
            ),
            holds("drift_of_shares", "coalesce(automation_drift between -1 and 1, true)", "automation_drift"),
            reconciles("all_runs", "sum(runs)", "count(*)", RUNS_BY_NOW, by=["tenant_id", "notebook_id"]),
        ],
    ),
    mart(
        "notebook_adoption",
        key=["tenant_id", "workspace_id"],
        fed_by="reference.workspaces",
        rebuilt=True,
        expect=[
            counts("unique_authors", "runs", "automated_runs"),
            holds(
                "authors_wrote_runs",
                "automated_runs + unique_authors <= runs",
                "automated_runs",
                "unique_authors",
                "runs",
            ),
            ratio("automation_rate", "automated_runs", "runs"),
            accepted("adoption_mode", "inactive", "automated", "manual"),
            holds(
                "mode_by_runs",
                """adoption_mode = case
                    when runs = 0 then 'inactive' when automated_runs > 0 then 'automated' else 'manual'
                end""",
                "adoption_mode",
                "runs",
                "automated_runs",
            ),
            holds("blueprint_known", "blueprint_id is not null", "blueprint_id"),
            nothing(
                "all_workspaces",
                f"""
                    select tenant_id, workspace_id from reference.workspaces
                    union
                    select tenant_id, workspace_id from {RUNS}
                    except
                    select tenant_id, workspace_id from mart
                """,
                "No registered workspace is missing, and none that was ever seen.",
            ),
            nothing(
                "registered_blueprints",
                """
                    select mart.* from mart
                    full outer join reference.workspaces as register
                        on mart.tenant_id = register.tenant_id and mart.workspace_id = register.workspace_id
                    where mart.is_registered is distinct from (register.workspace_id is not null)
                        or mart.blueprint_id <> register.blueprint_id
                """,
                "A workspace has the blueprint that is registered for it.",
                "is_registered",
                "blueprint_id",
            ),
            each_reconciles(
                "all_runs",
                {
                    "sum(runs)": "count(*)",
                    "sum(automated_runs)": "count(*) filter (where trigger = 'automation')",
                    "sum(unique_authors)": "count(distinct user_id) filter (where trigger = 'manual')",
                },
                RUNS_OF_WINDOW,
                by=["tenant_id", "workspace_id"],
            ),
        ],
    ),
    mart(
        "notebook_adoption_by_blueprint",
        key=["tenant_id", "blueprint_id"],
        fed_by="reference.workspaces",
        rebuilt=True,
        expect=[
            counts("workspaces", "inactive_workspaces", "automated_workspaces", "manual_workspaces", "unique_authors"),
            holds(
                "modes_add_up",
                "workspaces > 0 and workspaces = inactive_workspaces + automated_workspaces + manual_workspaces",
                "workspaces",
                "inactive_workspaces",
                "automated_workspaces",
                "manual_workspaces",
            ),
            rates("coverage"),
            ratio("coverage", "(workspaces - inactive_workspaces)", "workspaces"),
            each_reconciles(
                "same_workspaces",
                {
                    "sum(workspaces)": "count(*)",
                    "sum(automated_workspaces)": "count(*) filter (where adoption_mode = 'automated')",
                },
                "notebooks.notebook_adoption",
                by=["tenant_id", "blueprint_id"],
            ),
            nothing(
                "authors_of_the_workspaces",
                """
                    select mart.*
                    from mart
                    left join (
                        select
                            tenant_id, blueprint_id,
                            max(unique_authors) as at_least,
                            sum(unique_authors) as at_most
                        from notebooks.notebook_adoption
                        group by tenant_id, blueprint_id
                    ) as workspaces
                        on mart.tenant_id = workspaces.tenant_id and mart.blueprint_id = workspaces.blueprint_id
                    where (mart.unique_authors between workspaces.at_least and workspaces.at_most) is not true
                """,
                "unique_authors lies between the largest of the workspaces' and their sum.",
                "unique_authors",
            ),
        ],
    ),
)
