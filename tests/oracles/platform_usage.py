"""The platform_usage marts in plain Python: from event dicts, as landed and accepted once, to rows by key.

Written from docs/spec/marts.md. Counts are int; rates, means and percentiles are float or None; times are UTC without a
zone; dates are days in the tenant's time zone.
"""

from __future__ import annotations

import csv
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
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


def of_agents(events: Iterable[Event]) -> list[Event]:
    """The conversation, message and feedback events that carry an agent_id."""
    kinds = (
        "conversation.started",
        "conversation.ended",
        "message.received",
        "message.sent",
        "feedback.submitted",
    )
    return [event for event in platform(events, *kinds) if event.get("agent_id") is not None]


def agent_of(event: Event) -> tuple[str, str]:
    return event["tenant_id"], event["agent_id"]


def agent_metrics_daily(events: Iterable[Event], as_of: datetime | None = None) -> dict[tuple[str, str, date], Row]:
    """Rows by (tenant_id, agent_id, date)."""
    rows = {}
    for day, found in grouped(of_agents(events), lambda event: (*agent_of(event), day_of(event))).items():
        sent, ended = platform(found, "message.sent"), platform(found, "conversation.ended")
        times, errors = values(sent, "response_time_ms"), sum(values(sent, "errored"))
        resolved, handoffs = sum(values(ended, "resolved")), sum(values(ended, "handed_off"))
        rows[day] = {
            "conversations": len(platform(found, "conversation.started")),
            "messages_sent": len(sent),
            "unique_users": len(people(found)),
            "avg_response_time_ms": mean(times),
            "p95_response_time_ms": percentile(times, 95),
            "errors": errors,
            "error_rate": ratio(errors, len(sent)),
            "total_tokens": sum(values(sent, "tokens_in")) + sum(values(sent, "tokens_out")),
            "avg_rating": mean(values(found, "rating")),
            "ended_conversations": len(ended),
            "resolved_conversations": resolved,
            "resolution_rate": ratio(resolved, len(ended)),
            "handoffs": handoffs,
            "handoff_rate": ratio(handoffs, len(ended)),
            "avg_conversation_length": mean(values(ended, "message_count")),
        }
    return rows


def window(event: Event, as_of: datetime, days: int, periods_back: int = 0) -> bool:
    """Whether the event lies in the window of complete days, or so many windows before it."""
    today = local_day(as_of.replace(tzinfo=UTC), event["tenant_id"])
    end = today - timedelta(days=days * periods_back)
    return end - timedelta(days=days) <= day_of(event) < end


def agent_rankings(events: Iterable[Event], as_of: datetime) -> dict[tuple[str, int, str], Row]:
    """Rows by (tenant_id, window_days, agent_id)."""
    counted = [event for event in of_agents(events) if event["event_type"] != "message.received"]
    rows: dict[tuple[str, int, str], Row] = {}
    for days in (7, 30):
        within = [event for event in counted if window(event, as_of, days)]
        for tenant, of_tenant in grouped(within, lambda event: str(event["tenant_id"])).items():
            measured = {
                agent: window_measures(found)
                for agent, found in grouped(of_tenant, lambda event: str(event["agent_id"])).items()
            }
            for agent, row in measured.items():
                for rank, column, best in (
                    ("rank_by_messages", "messages_sent", -1),
                    ("rank_by_rating", "avg_rating", -1),
                    ("rank_by_response_time", "avg_response_time_ms", 1),
                    ("rank_by_resolution_rate", "resolution_rate", -1),
                ):
                    others = [other[column] for other in measured.values()]
                    row[rank] = 1 + sum(better(other, row[column], best) for other in others)
                rows[tenant, days, agent] = row
    return rows


def window_measures(found: list[Event]) -> Row:
    sent, ended = platform(found, "message.sent"), platform(found, "conversation.ended")
    return {
        "conversations": len(platform(found, "conversation.started")),
        "messages_sent": len(sent),
        "avg_response_time_ms": mean(values(sent, "response_time_ms")),
        "avg_rating": mean(values(found, "rating")),
        "resolution_rate": ratio(sum(values(ended, "resolved")), len(ended)),
        "error_rate": ratio(sum(values(sent, "errored")), len(sent)),
    }


def better(one: float | None, other: float | None, best: int) -> bool:
    """Whether one value ranks before another: the smaller (best 1) or the larger (best -1), NULL after all."""
    if one is None or other is None:
        return one is not None and other is None
    return best * one < best * other and not math.isclose(one, other, rel_tol=1e-12)


def agent_trends_daily(events: Iterable[Event], as_of: datetime) -> dict[tuple[str, str, date], Row]:
    """Rows by (tenant_id, agent_id, date)."""
    counted = platform(of_agents(events), "conversation.started", "message.sent", "feedback.submitted")
    rows = {}
    for (tenant, agent), found in grouped(counted, agent_of).items():
        by_day = grouped(found, day_of)
        today = local_day(as_of.replace(tzinfo=UTC), tenant)
        for back in range(1, 8):
            day = today - timedelta(days=back)
            if day >= min(by_day):
                of_day = by_day.get(day, [])
                rows[tenant, agent, day] = {
                    "conversations": len(platform(of_day, "conversation.started")),
                    "avg_response_time_ms": mean(values(of_day, "response_time_ms")),
                    "avg_rating": mean(values(of_day, "rating")),
                }
    return rows


MARTS = {
    "agents": agents,
    "platform_metrics_daily": platform_metrics_daily,
    "agent_metrics_daily": agent_metrics_daily,
    "agent_rankings": agent_rankings,
    "agent_trends_daily": agent_trends_daily,
}
