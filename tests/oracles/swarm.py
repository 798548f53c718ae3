"""The swarm marts in plain Python: from event dicts, as landed and accepted once, to rows by key."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from statistics import median
from typing import Any

Event = dict[str, Any]
Row = dict[str, Any]
TaskKey = tuple[str, str, str]
DayKey = tuple[str, str, date]

MINUTE = timedelta(minutes=1)


def instant(text: str) -> datetime:
    """The UTC instant of an ISO 8601 text."""
    return datetime.fromisoformat(text).astimezone(UTC)


def percentile(values: list[Fraction], fraction: Fraction) -> Fraction:
    """Linear interpolation between the order statistics of a list that isn't empty."""
    ordered = sorted(values)
    place = fraction * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def agent_efficiency_daily(events: Iterable[Event], as_of: datetime | None = None) -> dict[DayKey, Row]:
    """Rows by (tenant_id, swarm_id, date). `as_of` makes no difference to this mart."""
    assigned: dict[TaskKey, list[tuple[datetime, str]]] = defaultdict(list)
    resolved: dict[TaskKey, list[tuple[datetime, str, bool]]] = defaultdict(list)
    escalated: set[TaskKey] = set()
    checks: dict[DayKey, list[bool]] = defaultdict(list)
    for event in events:
        if event["source"] != "swarm":
            continue
        properties, at = event["properties"], instant(event["occurred_at"])
        swarm = (event["tenant_id"], properties["swarm_id"])
        if event["event_type"] == "swarm.policy_checked":
            checks[*swarm, at.date()].append(properties["compliant"])
            continue
        task = (*swarm, properties["task_id"])
        if event["event_type"] == "swarm.task_assigned":
            assigned[task].append((at, event["event_id"]))
        elif event["event_type"] == "swarm.task_resolved":
            resolved[task].append((at, event["event_id"], properties["succeeded"]))
        elif event["event_type"] == "swarm.task_escalated":
            escalated.add(task)

    tasks: dict[DayKey, list[TaskKey]] = defaultdict(list)
    for task, assignments in assigned.items():
        tasks[task[0], task[1], min(assignments)[0].date()].append(task)

    rows = {}
    for day in tasks.keys() | checks.keys():
        outcomes = {task: min(resolved[task]) for task in tasks.get(day, []) if task in resolved}
        minutes = [Fraction((at - min(assigned[task])[0]) / timedelta(microseconds=1)) / 60_000_000
                   for task, (at, _, _) in outcomes.items()]  # fmt: skip
        successes = sum(succeeded for _, _, succeeded in outcomes.values())
        assignments_of_day = len(tasks.get(day, []))
        checks_of_day = checks.get(day, [])
        rows[day] = {
            "assignments": assignments_of_day,
            "resolutions": len(outcomes),
            "successful_resolutions": successes,
            "escalations": sum(task in escalated for task in tasks.get(day, [])),
            "efficiency_ratio": successes / assignments_of_day if assignments_of_day else None,
            "mttr_minutes": float(sum(minutes) / len(minutes)) if minutes else None,
            "p90_resolution_minutes": float(percentile(minutes, Fraction(9, 10))) if minutes else None,
            "policy_checks": len(checks_of_day),
            "governance_score": sum(checks_of_day) / len(checks_of_day) if checks_of_day else None,
        }
    for day, row in rows.items():
        row["is_outlier"] = is_outlier(row, baseline(rows, day))
    return rows


def baseline(rows: dict[DayKey, Row], day: DayKey) -> list[Fraction]:
    """The known efficiency ratios of the swarm's 28 calendar days before `day`, exact."""
    tenant, swarm, on = day
    before = [rows.get((tenant, swarm, on - timedelta(days=back))) for back in range(1, 29)]
    return [exact_ratio(row) for row in before if row is not None and row["assignments"]]


def exact_ratio(row: Row) -> Fraction:
    return Fraction(row["successful_resolutions"], row["assignments"])


def is_outlier(row: Row, ratios: list[Fraction]) -> bool:
    """More than 3 x 1.4826 x MAD from the median of at least 7 known ratios."""
    if not row["assignments"] or len(ratios) < 7:
        return False
    centre = median(ratios)
    spread = median([abs(ratio - centre) for ratio in ratios])
    return spread > 0 and abs(exact_ratio(row) - centre) > 3 * Fraction("1.4826") * spread


MARTS = {"agent_efficiency_daily": agent_efficiency_daily}
