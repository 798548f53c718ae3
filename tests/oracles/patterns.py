"""The patterns marts in plain Python: from event dicts, as landed and accepted once, to rows by key."""

from __future__ import annotations

import hashlib
import hmac
import os
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Any

Event = dict[str, Any]
Row = dict[str, Any]
Pattern = tuple[str, str]

MICROSECOND, HOUR, DAY = timedelta(microseconds=1), timedelta(hours=1), timedelta(days=1)
WINDOWS: dict[str, timedelta | None] = {
    "hourly": HOUR,
    "daily": 24 * HOUR,
    "weekly": 7 * DAY,
    "monthly": 30 * DAY,
    "quarterly": 90 * DAY,
    "yearly": 365 * DAY,
    "all_time": None,
}


def at(event: Event) -> datetime:
    """When it happened, UTC without an offset, as the warehouse holds it."""
    return datetime.fromisoformat(event["occurred_at"]).astimezone(UTC).replace(tzinfo=None)


def executions_of(events: Iterable[Event]) -> dict[Pattern, list[Event]]:
    found: dict[Pattern, list[Event]] = defaultdict(list)
    for event in events:
        if event["source"] == "patterns" and event["event_type"] == "pattern.executed":
            found[event["tenant_id"], event["properties"]["pattern_id"]].append(event)
    return found


def values(executions: Iterable[Event], name: str) -> list[Any]:
    """What is there of a property, or of the envelope."""
    found = (event.get(name, event["properties"].get(name)) for event in executions)
    return [value for value in found if value is not None]


def mean(numbers: list[float]) -> float | None:
    return float(sum(map(Fraction, numbers)) / len(numbers)) if numbers else None


def percentile(numbers: list[float], share: Fraction) -> float:
    """Linear interpolation between order statistics of at least one number, exact."""
    ordered = sorted(map(Fraction, numbers))
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return float(ordered[below] + (place - below) * (ordered[above] - ordered[below]))


def over(numerator: float, denominator: float) -> float | None:
    return numerator / denominator if denominator else None


# pattern_metrics_daily


def pattern_metrics_daily(events: Iterable[Event], _: datetime | None = None) -> dict[tuple[str, str, date], Row]:
    days: dict[tuple[str, str, date], list[Event]] = defaultdict(list)
    for pattern, executions in executions_of(events).items():
        for event in executions:
            days[*pattern, at(event).date()].append(event)
    return {key: day_row(executions) for key, executions in days.items()}


def day_row(executions: list[Event]) -> Row:
    times = values(executions, "execution_time_ms")
    successes = sum(values(executions, "succeeded"))
    return {
        "executions": len(executions),
        "successes": successes,
        "success_rate": successes / len(executions),
        "unique_users": len(set(values(executions, "user_id"))),
        "avg_execution_time_ms": mean(times),
        "p50_execution_time_ms": percentile(times, Fraction(1, 2)),
        "p95_execution_time_ms": percentile(times, Fraction(95, 100)),
        "p99_execution_time_ms": percentile(times, Fraction(99, 100)),
        "avg_quality_score": mean(values(executions, "quality_score")),
    }


# Windows


class Window:
    """The executions of a pattern from `begin` to `end`, and where its halves and quarters lie."""

    def __init__(self, history: list[Event], end: datetime, length: timedelta | None) -> None:
        self.end = end
        self.history = history
        past = [event for event in history if at(event) <= end]
        self.begin = end - length if length is not None else min(map(at, past), default=end)
        self.is_all_time = length is None
        self.length = end - self.begin
        self.executions = [event for event in past if self.is_all_time or at(event) > self.begin]

    def between(self, first: int, last: int) -> list[Event]:
        """The executions from one quarter's beginning, excluded, to another's end; all_time begins with its first."""
        found = []
        for event in self.executions:
            place = 4 * (at(event) - self.begin)
            is_after = place > first * self.length or (first == 0 and self.is_all_time)
            if is_after and place <= last * self.length:
                found.append(event)
        return found

    @property
    def debuts(self) -> int:
        """Users whose first execution of the pattern ever lies in the window."""
        first: dict[str, datetime] = {}
        for event in self.history:
            if event.get("user_id") is not None:
                first[event["user_id"]] = min(at(event), first.get(event["user_id"], at(event)))
        lying = {at(event) for event in self.executions}
        return sum(moment in lying for moment in first.values())


def windows(events: Iterable[Event], as_of: datetime | None) -> dict[tuple[str, str, str], Window]:
    if as_of is None:
        return {}
    end = as_of.astimezone(UTC).replace(tzinfo=None)
    found = {
        (*pattern, window_type): Window(executions, end, length)
        for pattern, executions in executions_of(events).items()
        for window_type, length in WINDOWS.items()
    }
    return {key: window for key, window in found.items() if window.executions}


def pattern_analytics(events: Iterable[Event], as_of: datetime | None) -> dict[tuple[str, str, str], Row]:
    return {
        key: analytics(window, HOUR if key[2] in ("hourly", "daily") else DAY)
        for key, window in windows(events, as_of).items()
    }


def analytics(window: Window, unit: timedelta) -> Row:
    executions, length = window.executions, window.length
    total = len(executions)
    times = values(executions, "execution_time_ms")
    successes = sum(values(executions, "succeeded"))
    p50, p95, p99 = (percentile(times, Fraction(n, 100)) for n in (50, 95, 99))
    quality = mean(values(executions, "quality_score"))
    gate_failures = sum(values(executions, "quality_gate_failed"))
    idle = window.end - max(map(at, executions))
    first, second = window.between(0, 2), window.between(2, 4)
    quarters = [len(window.between(n, n + 1)) for n in range(4)]
    assert len(first) + len(second) == sum(quarters) == total
    users, seen_again = set(values(first, "user_id")), set(values(second, "user_id"))
    units = Fraction(length // MICROSECOND, unit // MICROSECOND)
    velocity = exact_velocity(len(first), len(second), units)
    first_velocity, second_velocity = (exact_velocity(quarters[n], quarters[n + 1], units / 2) for n in (0, 2))
    known = sum(len(values(executions, name)) for name in ("quality_score", "user_id", "project", "file_type"))
    retention = over(len(users & seen_again), len(users))
    return {
        "total_executions": total,
        "executions_per_day": over(total, length / DAY),
        "executions_per_week": over(total, length / (7 * DAY)),
        "executions_per_month": over(total, length / (30 * DAY)),
        "unique_contexts": len(set(values(executions, "context_type"))),
        "unique_users": len(set(values(executions, "user_id"))),
        "peak_daily_executions": max(Counter(at(event).date() for event in executions).values()),
        "hours_since_last_use": idle / HOUR,
        "success_count": successes,
        "failure_count": total - successes,
        "success_rate": successes / total,
        "error_rate": (total - successes) / total,
        "timeout_count": sum(values(executions, "timed_out")),
        "quality_gate_failures": gate_failures,
        "avg_quality_score": quality,
        "avg_execution_time_ms": mean(times),
        "p50_execution_time_ms": p50,
        "p95_execution_time_ms": p95,
        "p99_execution_time_ms": p99,
        "min_execution_time_ms": min(times),
        "max_execution_time_ms": max(times),
        "stddev_execution_time_ms": statistics.stdev(times) if total > 1 else None,
        "total_execution_time_ms": float(sum(map(Fraction, times))),
        "latency_band": "excellent" if p95 < 500 else "needs_attention" if p95 <= 1000 else "poor",
        "velocity": None if velocity is None else float(velocity),
        "acceleration": None
        if first_velocity is None or second_velocity is None
        else float(second_velocity - first_velocity),
        "growth_pct": (len(second) / len(first) - 1) * 100 if first else None,
        "adoption_rate_per_week": over(window.debuts, length / (7 * DAY)),
        "retention_rate": retention,
        "churn_rate": None if retention is None else 1 - retention,
        "trend": trend(total, len(second), velocity),
        "trend_confidence": min(1, total / 20) * min(1, length / (7 * DAY)),
        "data_quality_score": known / (4 * total),
        "health_flags": ",".join(
            name
            for name, is_so in {
                "low_success": Fraction(successes, total) < Fraction(8, 10),
                "slow": p95 > 500,
                "spread": p95 > 2 * p50,
                "idle": idle > 168 * HOUR,
                "low_quality": quality is not None and round(quality, 9) < 0.7,
                "gate_failures": gate_failures > 0,
            }.items()
            if is_so
        ),
    }


def exact_velocity(first: int, second: int, units: Fraction) -> Fraction | None:
    """Executions per unit of time in the second half of so many units, less those in the first; None where it is 0."""
    return (second - first) / (units / 2) if units else None


def trend(total: int, second: int, velocity: Fraction | None) -> str:
    if second == 0 or (velocity is not None and velocity < -2 and second < 5):
        return "abandoned"
    if total < 10:
        return "emerging"
    if velocity is not None and velocity > Fraction(1, 2):
        return "growing"
    if velocity is not None and velocity < -Fraction(1, 2):
        return "declining"
    return "stable"


def pattern_context_distribution(events: Iterable[Event], as_of: datetime | None) -> dict[tuple[str, ...], Row]:
    rows: dict[tuple[str, ...], Row] = {}
    for key, window in windows(events, as_of).items():
        counts: Counter[tuple[str, str]] = Counter()
        for event in window.executions:
            known = event["properties"]
            counts["context_type", known["context_type"]] += 1
            counts["agent", event.get("agent_id") or "unknown"] += 1
            counts["project", known.get("project") or "unknown"] += 1
            counts["file_type", known.get("file_type") or "unknown"] += 1
            counts["hour_of_day", str(at(event).hour)] += 1
            counts["day_of_week", str(at(event).weekday())] += 1
        for value, count in counts.items():
            rows[*key, *value] = {"executions": count, "share": count / len(window.executions)}
    return rows


# What is published below the marts

PUBLISHED = (
    "user_id",
    "agent_id",
    "context_type",
    "project",
    "file_type",
    "succeeded",
    "timed_out",
    "quality_gate_failed",
    "execution_time_ms",
    "quality_score",
)


def int_pattern_executions(events: Iterable[Event], _: datetime | None = None) -> dict[tuple[Any, ...], Row]:
    """The executions themselves: all columns are their key, so that only what is there or not can differ."""
    found: dict[tuple[Any, ...], Row] = {}
    for pattern, executions in executions_of(events).items():
        for event in executions:
            known = event["properties"] | {"user_id": hashed(event.get("user_id")), "agent_id": event.get("agent_id")}
            found[*pattern, at(event), *(known.get(name) for name in PUBLISHED)] = {}
    return found


def hashed(user_id: str | None) -> str | None:
    key = os.environ["ANALYTICS_HASH_KEY"].encode()
    return None if user_id is None else hmac.new(key, user_id.encode(), hashlib.sha256).hexdigest()


MARTS = {
    "int_pattern_executions": int_pattern_executions,
    "pattern_metrics_daily": pattern_metrics_daily,
    "pattern_analytics": pattern_analytics,
    "pattern_context_distribution": pattern_context_distribution,
}
