"""The crc marts in plain Python: from event dicts, as landed and accepted once, to rows by key."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Any

import numpy as np

from agent_analytics.storage import PROJECT_ROOT

Event = dict[str, Any]
Row = dict[str, Any]
CycleKey = tuple[str, str, str, str]
DayKey = tuple[str, str, str, date]

PERCENTS = (50, 90, 99)


def instant(event: Event) -> datetime:
    """When the event happened: UTC, as the warehouse holds it."""
    return datetime.fromisoformat(event["occurred_at"]).astimezone(UTC).replace(tzinfo=None)


def cycles_of(events: Iterable[Event]) -> dict[CycleKey, list[Event]]:
    """The tasks of each cycle, in order."""
    found: dict[CycleKey, list[Event]] = defaultdict(list)
    for event in events:
        if event["source"] == "crc":
            names = event["properties"]
            key = event["tenant_id"], names["blueprint_id"], names["workspace_id"], names["cycle_id"]
            found[key].append(event)
    return {key: sorted(tasks, key=lambda task: (instant(task), task["event_id"])) for key, tasks in found.items()}


def blueprint(blueprint_id: str) -> Row:
    with (PROJECT_ROOT / "seeds" / "blueprints.csv").open(encoding="utf-8", newline="") as file:
        known = {row["blueprint_id"]: row for row in csv.DictReader(file)}
    row = known.get(blueprint_id, {})
    return {"blueprint_name": row.get("blueprint_name"), "team": row.get("team")}


def percentiles(name: str, values: Sequence[float]) -> Row:
    return {f"p{percent}_{name}": float(np.percentile(values, percent)) for percent in PERCENTS}


def times(tasks: Iterable[Event]) -> list[float]:
    return [task["properties"]["cycle_time_ms"] for task in tasks]


def crc_cycles(events: Iterable[Event], as_of: datetime | None = None) -> dict[CycleKey, Row]:
    """Rows by (tenant_id, blueprint_id, workspace_id, cycle_id). `as_of` makes no difference to this mart."""
    rows = {}
    for key, tasks in cycles_of(events).items():
        completed = [instant(task) for task in tasks if task["properties"]["succeeded"]]
        rows[key] = {
            **blueprint(key[1]),
            "completions": len(completed),
            "failures": len(tasks) - len(completed),
            "started_on": instant(tasks[0]).date(),
            "first_completed_at": completed[0] if completed else None,
            "last_completed_at": completed[-1] if completed else None,
            **percentiles("cycle_time_ms", times(tasks)),
        }
    return rows


def crc_throughput_daily(events: Iterable[Event], as_of: datetime | None = None) -> dict[DayKey, Row]:
    """Rows by (tenant_id, blueprint_id, workspace_id, date). `as_of` makes no difference to this mart."""
    days: dict[DayKey, list[list[Event]]] = defaultdict(list)
    for (tenant, blueprint_id, workspace, _), tasks in cycles_of(events).items():
        days[tenant, blueprint_id, workspace, instant(tasks[0]).date()].append(tasks)

    completions = {day: [sum(t["properties"]["succeeded"] for t in cycle) for cycle in days[day]] for day in days}
    rows = {}
    for (*group, on), cycles in days.items():
        day = group[0], group[1], group[2], on
        first = min(other[3] for other in days if other[:3] == day[:3])
        baseline = None
        if (on - first).days >= 7:
            before = [(*day[:3], on - timedelta(days=back)) for back in range(1, 8)]
            baseline = Fraction(sum(sum(completions.get(each, [])) for each in before), 7)
        deviation = (sum(completions[day]) - baseline) / baseline * 100 if baseline else None
        rows[day] = {
            **blueprint(day[1]),
            "cycles": len(cycles),
            "completions": sum(completions[day]),
            "mean_completions_per_cycle": sum(completions[day]) / len(cycles),
            **percentiles("completions_per_cycle", completions[day]),
            **percentiles("cycle_time_ms", [time for tasks in cycles for time in times(tasks)]),
            "baseline_7d": None if baseline is None else float(baseline),
            "deviation_pct": None if deviation is None else float(deviation),
            "is_anomaly": bool(deviation is not None and baseline and abs(deviation) > 50 and baseline >= 10),
        }
    return rows


MARTS = {"crc_cycles": crc_cycles, "crc_throughput_daily": crc_throughput_daily}
