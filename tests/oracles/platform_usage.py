"""The platform_usage marts in plain Python: from event dicts, as landed and accepted once, to rows by key.

Written from docs/spec/marts.md. Counts are int; rates, means and percentiles are float or None; times are UTC without a
zone; dates are days in the tenant's time zone.
"""

from __future__ import annotations

import csv
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import numpy as np

Event = dict[str, Any]
Row = dict[str, Any]
Key = TypeVar("Key", bound=Hashable)

SEEDS = Path(__file__).resolve().parents[2] / "seeds"


def zones() -> dict[str, ZoneInfo]:
    with open(SEEDS / "tenants.csv", encoding="utf-8", newline="") as file:
        return {row["tenant_id"]: ZoneInfo(row["timezone"]) for row in csv.DictReader(file)}


ZONES = zones()


def instant(event: Event) -> datetime:
    return datetime.fromisoformat(event["occurred_at"]).astimezone(UTC)


def local_day(moment: datetime, tenant: str) -> date:
    return moment.astimezone(ZONES.get(tenant, UTC)).date()


def day_of(event: Event) -> date:
    return local_day(instant(event), event["tenant_id"])


def platform(events: Iterable[Event], *event_types: str) -> list[Event]:
    """The platform events, or those of some types."""
    return [
        event
        for event in events
        if event["source"] == "platform" and (not event_types or event["event_type"] in event_types)
    ]


def grouped(events: Iterable[Event], key: Callable[[Event], Key]) -> dict[Key, list[Event]]:
    found: dict[Key, list[Event]] = defaultdict(list)
    for event in events:
        found[key(event)].append(event)
    return found


def values(events: Iterable[Event], name: str) -> list[Any]:
    """A property of the events that have it."""
    return [event["properties"][name] for event in events if event["properties"].get(name) is not None]


def people(events: Iterable[Event]) -> set[str]:
    return {event["user_id"] for event in events if event.get("user_id") is not None}


def senders(events: Iterable[Event]) -> set[str]:
    """The agents that sent a message."""
    return {event["agent_id"] for event in platform(events, "message.sent") if event.get("agent_id") is not None}


def ratio(numerator: float, denominator: float) -> float | None:
    return numerator / denominator if denominator else None


def mean(numbers: Sequence[float]) -> float | None:
    return math.fsum(numbers) / len(numbers) if numbers else None


def percentile(numbers: Sequence[float], q: float) -> float | None:
    return float(np.percentile(numbers, q)) if numbers else None


# Marts


def agents(events: Iterable[Event], as_of: datetime | None = None) -> dict[tuple[str, str], Row]:
    """Rows by (tenant_id, agent_id)."""
    kinds = ("agent.created", "agent.updated", "agent.deployed", "agent.deleted")
    known = [event for event in platform(events, *kinds) if event.get("agent_id") is not None]
    rows = {}
    for agent, life in grouped(known, lambda event: (event["tenant_id"], event["agent_id"])).items():
        life.sort(key=lambda event: (instant(event), event["event_id"]))
        created, updated, deployed, deleted = (platform(life, kind) for kind in kinds)
        rows[agent] = {
            "agent_name": created[-1]["properties"]["agent_name"] if created else None,
            "created_at": utc_of(created[:1]),
            "updated_at": utc_of(updated[-1:]),
            "deployed_at": utc_of(deployed[-1:]),
            "deleted_at": utc_of(deleted[-1:]),
            "version": deployed[-1]["properties"]["version"] if deployed else None,
        }
    return rows


def utc_of(events: list[Event]) -> datetime | None:
    return instant(events[0]).replace(tzinfo=None) if events else None


def platform_metrics_daily(events: Iterable[Event], as_of: datetime | None = None) -> dict[tuple[str, date], Row]:
    """Rows by (tenant_id, date)."""
    rows = {}
    for day, found in grouped(platform(events), lambda event: (event["tenant_id"], day_of(event))).items():
        count = Counter(event["event_type"] for event in found)
        sent = platform(found, "message.sent")
        times, ratings = values(sent, "response_time_ms"), values(found, "rating")
        tokens_in, tokens_out = sum(values(sent, "tokens_in")), sum(values(sent, "tokens_out"))
        calls = platform(found, "api.called")
        rows[day] = {
            "messages": count["message.sent"] + count["message.received"],
            "messages_sent": len(sent),
            "conversations": count["conversation.started"],
            "unique_users": len(people(found)),
            "active_agents": len(senders(found)),
            "tokens_in": tokens_in,
            "tokens_out": tokens_out,
            "total_tokens": tokens_in + tokens_out,
            "avg_response_time_ms": mean(times),
            "p50_response_time_ms": percentile(times, 50),
            "p95_response_time_ms": percentile(times, 95),
            "p99_response_time_ms": percentile(times, 99),
            "errors": sum(values(sent, "errored")),
            "error_rate": ratio(sum(values(sent, "errored")), len(sent)),
            "avg_rating": mean(ratings),
            "ratings": len(ratings),
            "workflow_executions": count["workflow.executed"] + count["workflow.failed"],
            "workflow_failures": count["workflow.failed"],
            "api_calls": len(calls),
            "api_errors": sum(status >= 500 for status in values(calls, "status_code")),
            "bytes_out": sum(values(calls, "bytes_out")),
            "searches": count["search.performed"],
            "signups": count["user.signed_up"],
            "logins": count["user.logged_in"],
            "invites": count["user.invited"],
            "documents_uploaded": count["document.uploaded"],
        }
    return rows


MARTS = {"agents": agents, "platform_metrics_daily": platform_metrics_daily}
