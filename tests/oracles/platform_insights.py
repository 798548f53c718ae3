"""Storage, what use costs, conversations by topic, and the busy hours: platform_usage marts in plain Python.

Written from docs/spec/marts.md. Money is Decimal with six decimals.
"""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from oracles import provider_costs
from oracles.platform_usage import (
    SEEDS,
    ZONES,
    Event,
    Row,
    day_of,
    grouped,
    instant,
    local_day,
    mean,
    platform,
    ratio,
    values,
)

UTC_ZONE = ZoneInfo("UTC")
DAY = timedelta(days=1)


def order(event: Event) -> tuple[datetime, str]:
    return instant(event), event["event_id"]


def prices() -> dict[str, Fraction]:
    with open(SEEDS / "resource_prices.csv", encoding="utf-8", newline="") as file:
        return {row["resource"]: Fraction(row["usd"]) for row in csv.DictReader(file)}


def storage_daily(events: Iterable[Event], as_of: datetime) -> dict[tuple[str, str, date], Row]:
    """Rows by (tenant_id, storage_class, date); dense up to the clock's day, beyond it days with a document."""
    added: Counter[tuple[str, str, date]] = Counter()
    removed: Counter[tuple[str, str, date]] = Counter()
    days: dict[tuple[str, str], set[date]] = defaultdict(set)
    for event in platform(events, "document.uploaded", "document.deleted"):
        store = (event["tenant_id"], event["properties"]["storage_class"])
        change = added if event["event_type"] == "document.uploaded" else removed
        change[*store, day_of(event)] += event["properties"]["size_bytes"]
        days[store].add(day_of(event))

    rows = {}
    for store, known in days.items():
        length = (local_day(as_of, store[0]) - min(known)).days + 1
        balance = 0
        for day in sorted(known | {min(known) + n * DAY for n in range(length)}):
            key = (*store, day)
            balance += added[key] - removed[key]
            rows[key] = {
                "bytes_added": added[key],
                "bytes_removed": removed[key],
                "stored_bytes": max(balance, 0),
            }
    return rows


def usage_cost_daily(events: Iterable[Event], as_of: datetime) -> dict[tuple[str, date], Row]:
    """Rows by (tenant_id, date), wherever one of the three exact amounts isn't 0."""
    events = list(events)
    reference, price = provider_costs.read_reference(), prices()
    llm: dict[tuple[str, date], Fraction] = defaultdict(Fraction)
    storage: dict[tuple[str, date], Fraction] = defaultdict(Fraction)
    bandwidth: dict[tuple[str, date], Fraction] = defaultdict(Fraction)
    for event in events:
        day = (event["tenant_id"], day_of(event))
        if event["event_type"] == "provider.called":
            llm[day] += Fraction(provider_costs.cost(event, reference) or 0, 10**6)
        if event["event_type"] == "api.called":
            bandwidth[day] += Fraction(event["properties"]["bytes_out"], 10**9) * price["bandwidth_gb"]
    for (tenant, _, on), row in storage_daily(events, as_of).items():
        storage[tenant, on] += Fraction(row["stored_bytes"], 10**9) * price["storage_gb_month"] / 30

    rows = {}
    for day in llm.keys() | storage.keys() | bandwidth.keys():
        amounts = (llm[day], storage[day], bandwidth[day])
        if any(amounts):
            names = ("llm_cost_usd", "storage_cost_usd", "bandwidth_cost_usd", "total_cost_usd")
            rows[day] = dict(zip(names, map(money, (*amounts, sum(amounts))), strict=True))
    return rows


def money(amount: Fraction) -> Any:
    return provider_costs.money(provider_costs.micros(amount))


def conversation_insights_daily(
    events: Iterable[Event], as_of: datetime | None = None
) -> dict[tuple[str, str, date], Row]:
    """Rows by (tenant_id, topic, date of the first start)."""
    talks: dict[tuple[str, str, date], list[list[Event]]] = defaultdict(list)
    of_conversations = [event for event in platform(events) if "conversation_id" in event["properties"]]
    conversations = grouped(
        of_conversations, lambda event: (event["tenant_id"], event["properties"]["conversation_id"])
    )
    for (tenant, _), talk in conversations.items():
        starts = sorted(platform(talk, "conversation.started"), key=order)
        if starts:
            ends = sorted(platform(talk, "conversation.ended"), key=order)
            topics = [event["properties"].get("topic") for event in starts[:1] + ends[:1]]
            topic = next((topic for topic in topics if topic is not None), "unknown")
            talks[tenant, topic, day_of(starts[0])].append(talk)

    rows = {}
    for key, found in talks.items():
        ends = [min(ended, key=order) for talk in found if (ended := platform(talk, "conversation.ended"))]
        everything = [event for talk in found for event in talk]
        sent, ratings = values(everything, "response_time_ms"), values(everything, "rating")
        rows[key] = {
            "conversations": len(found),
            "ended_conversations": len(ends),
            "avg_duration_ms": mean(values(ends, "duration_ms")),
            "avg_conversation_length": mean(values(ends, "message_count")),
            "resolution_rate": ratio(sum(values(ends, "resolved")), len(ends)),
            "handoff_rate": ratio(sum(values(ends, "handed_off")), len(ends)),
            "ratings": len(ratings),
            "avg_rating": mean(ratings),
            "messages_sent": len(sent),
            "avg_response_time_ms": mean(sent),
        }
    return rows


def usage_peaks(events: Iterable[Event], as_of: datetime) -> dict[tuple[str, str, str, str], Row]:
    """Rows by (tenant_id, metric, day_of_week, hour) over the 28 complete days where the tenant is."""
    metrics = {"message.sent": "messages", "message.received": "messages"}
    metrics |= dict.fromkeys(provider_costs.EXECUTIONS, "executions")
    counts: dict[tuple[str, str], Counter[tuple[str, str]]] = defaultdict(Counter)
    for event in events:
        tenant, metric = event["tenant_id"], metrics.get(event["event_type"])
        age = (local_day(as_of, tenant) - day_of(event)).days
        if metric and 1 <= age <= 28:
            there = instant(event).astimezone(ZONES.get(tenant, UTC_ZONE))
            counts[tenant, metric][str(there.weekday()), str(there.hour)] += 1

    return {
        (*group, *cell): {
            "events": count,
            "share": count / sum(cells.values()),
            "is_peak": count == max(cells.values()),
        }
        for group, cells in counts.items()
        for cell, count in cells.items()
    }


MARTS = {
    "storage_daily": storage_daily,
    "usage_cost_daily": usage_cost_daily,
    "conversation_insights_daily": conversation_insights_daily,
    "usage_peaks": usage_peaks,
}
