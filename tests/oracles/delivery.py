"""The delivery marts in plain Python: from event dicts, as landed and accepted once, to rows by key."""

from __future__ import annotations

from calendar import monthrange
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from statistics import median
from typing import Any

Event = dict[str, Any]
Row = dict[str, Any]
Service = tuple[str, str]
Key = tuple[str, str, date]

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def instant(text: str) -> datetime:
    """The UTC instant of an ISO 8601 text."""
    return datetime.fromisoformat(text).astimezone(UTC)


def of_type(events: Iterable[Event], event_type: str) -> list[Event]:
    return [event for event in events if event["source"] == "delivery" and event["event_type"] == event_type]


def deployments_of(events: Iterable[Event]) -> list[Event]:
    """The deployments that count: production and succeeded."""
    return [
        event
        for event in of_type(events, "deployment.finished")
        if event["properties"]["environment"] == "production" and event["properties"]["succeeded"]
    ]


def deployment_frequency_daily(events: Iterable[Event], as_of: datetime | None) -> dict[Key, Row]:
    """Rows by (tenant_id, service, date); dense up to the UTC day of `as_of`, beyond it only days with a deployment."""
    counts: dict[Service, Counter[date]] = defaultdict(Counter)
    for event in deployments_of(events):
        counts[event["tenant_id"], event["properties"]["service"]][instant(event["occurred_at"]).date()] += 1

    rows = {}
    for service, by_day in counts.items():
        days = set(by_day)
        if as_of is not None:
            length = (as_of.astimezone(UTC).date() - min(by_day)).days + 1
            days |= {min(by_day) + timedelta(days=n) for n in range(length)}
        for day in days:
            week, week_before = trailing(by_day, day, 7), trailing(by_day, day - timedelta(days=7), 7)
            rows[*service, day] = {
                "deployments": by_day[day],
                "deployments_7d": week,
                "deployments_30d": trailing(by_day, day, 30),
                "moving_average_7d": week / 7,
                "delta_7d": week - week_before,
                "trend": "accelerating" if week > week_before else "slowing" if week < week_before else "steady",
            }
    return rows


def trailing(by_day: Counter[date], last: date, days: int) -> int:
    """The sum over the `days` days that end with `last`."""
    return sum(by_day[last - timedelta(days=back)] for back in range(days))


def delivery_performance_monthly(events: Iterable[Event], as_of: datetime | None = None) -> dict[Key, Row]:
    """Rows by (tenant_id, service, month). `as_of` makes no difference to this mart."""
    events = list(events)
    failed, restored = times(events, "deployment.failed_in_use"), times(events, "service.restored")
    months: dict[Key, list[Event]] = defaultdict(list)
    for event in deployments_of(events):
        month = instant(event["occurred_at"]).date().replace(day=1)
        months[event["tenant_id"], event["properties"]["service"], month].append(event)

    rows = {}
    for key, deployments in months.items():
        leads = [
            (instant(event["occurred_at"]) - instant(event["properties"]["committed_at"])) / HOUR
            for event in deployments
            if event["properties"].get("committed_at") is not None
        ]
        failures = [identity(event) for event in deployments if identity(event) in failed]
        restores = []
        for deployment in failures:
            first = min(failed[deployment])
            later = [at for at in restored.get(deployment, []) if at >= first]
            if later:
                restores.append((min(later) - first) / HOUR)
        lead, restore = (median(values) if values else None for values in (leads, restores))
        rows[key] = {
            "deployments": len(deployments),
            "median_lead_time_hours": lead,
            "change_failure_rate": len(failures) / len(deployments),
            "median_hours_to_restore": restore,
            "dora_band": dora_band(key[2], len(deployments), len(failures), lead, restore),
        }
    return rows


def identity(event: Event) -> tuple[str, str, str]:
    return event["tenant_id"], event["properties"]["service"], event["properties"]["deployment_id"]


def times(events: list[Event], event_type: str) -> dict[tuple[str, str, str], list[datetime]]:
    found = defaultdict(list)
    for event in of_type(events, event_type):
        found[identity(event)].append(instant(event["occurred_at"]))
    return found


def dora_band(month: date, deployments: int, failed: int, lead: float | None, restore: float | None) -> str:
    """The worst known measure by the clusters of the Accelerate State of DevOps report 2023."""
    days = monthrange(month.year, month.month)[1]
    per_day = deployments / days
    bands = [0 if deployments > days else 1 if per_day * 7 >= 1 else 2]
    if lead is not None:
        bands.append(0 if lead < 24 else 1 if lead <= 168 else 2 if lead <= 720 else 3)
    bands.append(sum(failed * 100 > limit * deployments for limit in (5, 10, 15)))
    if restore is not None:
        bands.append(0 if restore < 1 else 1 if restore < 24 else 2 if restore <= 168 else 3)
    return ("elite", "high", "medium", "low")[max(bands)]


MARTS = {
    "deployment_frequency_daily": deployment_frequency_daily,
    "delivery_performance_monthly": delivery_performance_monthly,
}
