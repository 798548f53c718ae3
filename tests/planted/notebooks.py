"""Faults of notebooks."""

from planted import CLOCK_MOVES, keys, one_row, volume_drops

CADENCE = "notebooks.notebook_update_cadence_daily"
STALENESS = "notebooks.notebook_staleness"
ADOPTION = "notebooks.notebook_adoption"
BLUEPRINTS = "notebooks.notebook_adoption_by_blueprint"

FAULTS = {
    **keys(CADENCE, "scope"),
    f"{CADENCE}.counts": one_row(CADENCE, "manual_runs = -1"),
    f"{CADENCE}.kinds_add_up": one_row(CADENCE, "manual_runs = manual_runs + 1"),
    f"{CADENCE}.measures": one_row(CADENCE, "mean_minutes_between_runs = -1"),
    f"{CADENCE}.gaps_need_runs_of_their_kind": one_row(CADENCE, "mean_minutes_between_manual = 5", "manual_runs = 0"),
    f"{CADENCE}.cadence_per_hour_is_a_ratio": one_row(CADENCE, "cadence_per_hour = cadence_per_hour + 1"),
    f"{CADENCE}.success_rate_is_a_ratio": one_row(CADENCE, "success_rate = success_rate / 2", "success_rate > 0"),
    f"{CADENCE}.below_policy_by_cadence": one_row(CADENCE, "below_policy = not below_policy"),
    f"{CADENCE}.all_runs": one_row(CADENCE, "runs = runs + 1"),
    f"{CADENCE}.all_runs/automated": one_row(CADENCE, "automated_runs = automated_runs + 1"),
    f"{CADENCE}.all_runs/successful": one_row(
        CADENCE,
        "successful_runs = successful_runs - 1, success_rate = (successful_runs - 1) / runs",
        "successful_runs > 0",
    ),
    f"{CADENCE}.date_fresh": CLOCK_MOVES,
    f"{CADENCE}.runs_usual_volume": volume_drops(CADENCE, "date", "runs"),
    **keys(STALENESS, "notebook_id"),
    f"{STALENESS}.counts": one_row(STALENESS, "runs = null"),
    f"{STALENESS}.measures": one_row(STALENESS, "mean_hours_between_runs = -1"),
    f"{STALENESS}.hours_to_the_data_clock": one_row(STALENESS, "hours_since_last_run = hours_since_last_run + 1"),
    f"{STALENESS}.a_gap_needs_two_runs": one_row(STALENESS, "mean_hours_between_runs = null", "runs > 1"),
    f"{STALENESS}.stale_by_its_own_gap": one_row(STALENESS, "is_stale = not is_stale"),
    f"{STALENESS}.drift_of_shares": one_row(STALENESS, "automation_drift = 1.5"),
    f"{STALENESS}.all_runs": one_row(STALENESS, "runs = runs + 1"),
    **keys(ADOPTION, "workspace_id"),
    f"{ADOPTION}.counts": one_row(ADOPTION, "unique_authors = -1"),
    f"{ADOPTION}.authors_wrote_runs": one_row(ADOPTION, "unique_authors = runs + 1"),
    f"{ADOPTION}.automation_rate_is_a_ratio": one_row(ADOPTION, "automation_rate = 0.123"),
    f"{ADOPTION}.adoption_mode_accepted": one_row(ADOPTION, "adoption_mode = 'keen'"),
    f"{ADOPTION}.mode_by_runs": one_row(ADOPTION, "adoption_mode = 'manual'", "automated_runs > 0"),
    f"{ADOPTION}.blueprint_known": one_row(ADOPTION, "blueprint_id = null"),
    f"{ADOPTION}.all_workspaces": f"delete from {ADOPTION} where rowid = (select max(rowid) from {ADOPTION})",
    f"{ADOPTION}.registered_blueprints": one_row(ADOPTION, "blueprint_id = 'other'", "is_registered"),
    f"{ADOPTION}.all_runs": one_row(ADOPTION, "runs = runs + 1"),
    f"{ADOPTION}.all_runs/automated": one_row(ADOPTION, "automated_runs = automated_runs + 1"),
    f"{ADOPTION}.all_runs/authors": one_row(ADOPTION, "unique_authors = unique_authors + 1"),
    **keys(BLUEPRINTS, "blueprint_id"),
    f"{BLUEPRINTS}.counts": one_row(BLUEPRINTS, "manual_workspaces = null"),
    f"{BLUEPRINTS}.modes_add_up": one_row(BLUEPRINTS, "manual_workspaces = manual_workspaces + 1"),
    f"{BLUEPRINTS}.rates": one_row(BLUEPRINTS, "coverage = 2"),
    f"{BLUEPRINTS}.coverage_is_a_ratio": one_row(BLUEPRINTS, "coverage = null"),
    f"{BLUEPRINTS}.same_workspaces": one_row(BLUEPRINTS, "workspaces = workspaces + 1"),
    f"{BLUEPRINTS}.same_workspaces/automated": one_row(BLUEPRINTS, "automated_workspaces = automated_workspaces + 1"),
    f"{BLUEPRINTS}.authors_of_the_workspaces": one_row(BLUEPRINTS, "unique_authors = unique_authors + 1000"),
}
