"""The notebooks marts in plain Python: from event dicts, as landed and accepted once, to rows by key."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from typing import Any

from agent_analytics.storage import PROJECT_ROOT

Event = dict[str, Any]
Row = dict[str, Any]

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


def utc(moment: datetime) -> datetime:
    """The moment as the warehouse holds it: UTC, without a zone."""
    return moment.astimezone(UTC).replace(tzinfo=None)


def instant(run: Event) -> datetime:
    return utc(datetime.fromisoformat(run["occurred_at"]))


def runs_of(events: Iterable[Event]) -> list[Event]:
    """All runs, by occurred_at, then event_id."""
    runs = [event for event in events if event["source"] == "notebooks"]
    return sorted(runs, key=lambda run: (instant(run), run["event_id"]))


def by(runs: Iterable[Event], *names: str) -> dict[tuple[str, ...], list[Event]]:
    """The runs of each tenant and value of the properties."""
    found: dict[tuple[str, ...], list[Event]] = defaultdict(list)
    for run in runs:
        found[run["tenant_id"], *(run["properties"][name] for name in names)].append(run)
    return found


def automated(runs: Iterable[Event]) -> list[Event]:
    return [run for run in runs if run["properties"]["trigger"] == "automation"]


def manual(runs: Iterable[Event]) -> list[Event]:
    return [run for run in runs if run["properties"]["trigger"] == "manual"]


def within(runs: Iterable[Event], as_of: datetime, days: int, ago: int = 0) -> list[Event]:
    """Those of the window of `days` complete days that ended `ago` days before the clock's."""
    end = utc(as_of).date() - timedelta(days=ago)
    return [run for run in runs if end - timedelta(days=days) <= instant(run).date() < end]


def seed(name: str) -> Iterator[Row]:
    with (PROJECT_ROOT / "seeds" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def mean(gaps: list[timedelta]) -> float | None:
    """Minutes."""
    return (
        float(Fraction(sum(gaps, timedelta()) // timedelta(microseconds=1), len(gaps)) / 60_000_000) if gaps else None
    )


def notebook_update_cadence_daily(events: Iterable[Event], as_of: datetime | None = None) -> dict[Any, Row]:
    """Rows by (tenant_id, scope, date). `as_of` makes no difference to this mart."""
    policies = {row["scope"]: float(row["min_runs_per_hour"]) for row in seed("notebook_policies")}
    everything = runs_of(events)
    gaps: dict[str, dict[Any, list[timedelta]]] = {}
    for kind, runs in (("runs", everything), ("automated", automated(everything)), ("manual", manual(everything))):
        gaps[kind] = defaultdict(list)
        for own in by(runs, "notebook_id").values():
            for earlier, later in pairwise(own):
                gaps[kind][day(later)].append(instant(later) - instant(earlier))

    days: dict[Any, list[Event]] = defaultdict(list)
    for run in everything:
        days[day(run)].append(run)
    rows = {}
    for key, runs in days.items():
        least = policies.get(key[1], 0.05)
        rows[key] = {
            "runs": len(runs),
            "automated_runs": len(automated(runs)),
            "manual_runs": len(manual(runs)),
            "successful_runs": sum(run["properties"]["succeeded"] for run in runs),
            "success_rate": sum(run["properties"]["succeeded"] for run in runs) / len(runs),
            **{f"mean_minutes_between_{kind}": mean(gaps[kind][key]) for kind in gaps},
            "cadence_per_hour": len(runs) / 24,
            "min_runs_per_hour": least,
            "below_policy": Fraction(len(runs), 24) < Fraction(str(least)),
        }
    return rows


def day(run: Event) -> tuple[str, str, date]:
    return run["tenant_id"], run["properties"]["scope"], instant(run).date()


def notebook_staleness(events: Iterable[Event], as_of: datetime) -> dict[Any, Row]:
    """Rows by (tenant_id, notebook_id), of what had happened by `as_of`."""
    clock = utc(as_of)
    rows = {}
    for key, runs in by((run for run in runs_of(events) if instant(run) <= clock), "notebook_id").items():
        idle = clock - instant(runs[-1])
        gaps = [instant(later) - instant(earlier) for earlier, later in pairwise(runs)]
        shares = [
            Fraction(len(automated(week)), len(week)) if week else None
            for week in (within(runs, as_of, 7), within(runs, as_of, 7, ago=7))
        ]
        rows[key] = {
            "runs": len(runs),
            "last_run_at": instant(runs[-1]),
            "hours_since_last_run": idle / HOUR,
            "mean_hours_between_runs": sum(gaps, timedelta()) / HOUR / len(gaps) if gaps else None,
            "is_stale": bool(gaps) and idle * len(gaps) > 3 * sum(gaps, timedelta()),
            "automation_drift": None if None in shares else float(shares[0] - shares[1]),  # type: ignore[operator]
        }
    return rows


def blueprints_of_workspaces(runs: list[Event]) -> dict[tuple[str, ...], str]:
    """Registered, else newest seen, of every workspace registered or seen."""
    newest = {key: own[-1]["properties"]["blueprint_id"] for key, own in by(runs, "workspace_id").items()}
    return newest | {(row["tenant_id"], row["workspace_id"]): row["blueprint_id"] for row in seed("workspaces")}


def authors(runs: Iterable[Event]) -> int:
    return len({run["user_id"] for run in manual(runs) if run.get("user_id")})


def mode(runs: list[Event]) -> str:
    return "inactive" if not runs else "automated" if automated(runs) else "manual"


def notebook_adoption(events: Iterable[Event], as_of: datetime) -> dict[Any, Row]:
    """Rows by (tenant_id, workspace_id)."""
    everything = runs_of(events)
    registered = {(row["tenant_id"], row["workspace_id"]) for row in seed("workspaces")}
    recent = by(within(everything, as_of, 30), "workspace_id")
    rows = {}
    for workspace, blueprint_id in blueprints_of_workspaces(everything).items():
        runs = recent.get(workspace, [])
        rows[workspace] = {
            "blueprint_id": blueprint_id,
            "is_registered": workspace in registered,
            "unique_authors": authors(runs),
            "runs": len(runs),
            "automated_runs": len(automated(runs)),
            "automation_rate": len(automated(runs)) / len(runs) if runs else None,
            "adoption_mode": mode(runs),
        }
    return rows


def notebook_adoption_by_blueprint(events: Iterable[Event], as_of: datetime) -> dict[Any, Row]:
    """Rows by (tenant_id, blueprint_id)."""
    everything = runs_of(events)
    recent = by(within(everything, as_of, 30), "workspace_id")
    groups: dict[Any, list[list[Event]]] = defaultdict(list)
    for workspace, blueprint_id in blueprints_of_workspaces(everything).items():
        groups[workspace[0], blueprint_id].append(recent.get(workspace, []))
    rows = {}
    for key, workspaces in groups.items():
        modes = [mode(runs) for runs in workspaces]
        rows[key] = {
            "workspaces": len(workspaces),
            **{f"{each}_workspaces": modes.count(each) for each in ("inactive", "automated", "manual")},
            "unique_authors": authors(run for runs in workspaces for run in runs),
            "coverage": 1 - modes.count("inactive") / len(workspaces),
        }
    return rows


MARTS = {
    "notebook_update_cadence_daily": notebook_update_cadence_daily,
    "notebook_staleness": notebook_staleness,
    "notebook_adoption": notebook_adoption,
    "notebook_adoption_by_blueprint": notebook_adoption_by_blueprint,
}
