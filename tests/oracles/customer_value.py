"""Adoption of features and time to value: customer_health marts in plain Python, written from docs/spec/marts.md."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Any

from oracles.platform_usage import Event, Row, day_of, grouped, instant, local_day, people, platform, ratio, utc_of

HOUR = timedelta(hours=1)


def feature(event: Event) -> str:
    return str(event["properties"]["feature"])


def feature_adoption_daily(events: Iterable[Event], as_of: datetime | None = None) -> dict[tuple[str, str, date], Row]:
    """Rows by (tenant_id, feature, date)."""
    days = grouped(platform(events, "feature.used"), lambda event: (event["tenant_id"], feature(event), day_of(event)))
    return {day: {"uses": len(found), "users": len(people(found))} for day, found in days.items()}


def feature_adoption(events: Iterable[Event], as_of: datetime) -> dict[tuple[str], Row]:
    """Rows by (feature,), over the 28 days that are complete where each tenant is."""
    events = platform(events)

    def recent(found: Iterable[Event]) -> list[Event]:
        ages = ((event, (local_day(as_of, event["tenant_id"]) - day_of(event)).days) for event in found)
        return [event for event, age in ages if 1 <= age <= 28]

    active = {event["tenant_id"] for event in recent(events)}
    rows = {}
    for name, found in grouped(platform(events, "feature.used"), feature).items():
        tenants = {event["tenant_id"] for event in recent(found)}
        rows[name,] = {
            "tenants_28d": len(tenants),
            "users_28d": len(people(recent(found))),
            "adoption_rate_28d": ratio(len(tenants), len(active)),
            "first_used_on": min(map(day_of, found)),
        }
    return rows


def time_to_value(events: Iterable[Event], as_of: datetime | None = None) -> dict[tuple[str], Row]:
    """Rows by (tenant_id,)."""
    steps = {
        "user.signed_up": "signed_up",
        "agent.created": "first_agent",
        "agent.deployed": "first_deploy",
        "conversation.started": "first_conversation",
        "conversation.ended": "first_resolved",
    }
    taken: dict[str, dict[str, list[Event]]] = defaultdict(lambda: defaultdict(list))
    for event in platform(events, *steps):
        if event["properties"].get("resolved", True):
            taken[event["tenant_id"]][steps[event["event_type"]]].append(event)

    rows = {}
    for tenant, by_step in taken.items():
        firsts = {step: sorted(by_step[step], key=instant) for step in steps.values()}
        at = {step: utc_of(found) for step, found in firsts.items()}
        row: dict[str, Any] = {f"{step}_at": moment for step, moment in at.items()}
        for step, moment in at.items():
            if step != "signed_up":
                row[f"hours_to_{step}"] = (moment - at["signed_up"]) / HOUR if moment and at["signed_up"] else None
        rows[tenant,] = row | {"hours_to_value": row["hours_to_first_resolved"]}
    return rows


MARTS = {
    "feature_adoption_daily": feature_adoption_daily,
    "feature_adoption": feature_adoption,
    "time_to_value": time_to_value,
}
