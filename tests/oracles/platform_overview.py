"""The use of the product at a glance, in plain Python: the mart of platform_usage that is made of all others."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from oracles.platform_insights import storage_daily, usage_cost_daily
from oracles.platform_usage import Event, Row, local_day, mean, people, platform, ratio, senders, values, window

NAMES = (
    "messages", "conversations", "unique_users", "active_agents", "total_tokens", "api_calls", "avg_response_time_ms",
    "error_rate", "avg_rating", "cost_usd",
)  # fmt: skip


def platform_overview(events: Iterable[Event], as_of: datetime) -> dict[tuple[str, int], Row]:
    """Rows by (tenant_id, window_days)."""
    events = list(events)
    costs, stored = usage_cost_daily(events, as_of), storage_daily(events, as_of)
    rows = {}
    for tenant in {event["tenant_id"] for event in platform(events)}:
        own = [event for event in platform(events) if event["tenant_id"] == tenant]
        today = local_day(as_of.replace(tzinfo=UTC), tenant)
        for days in (1, 7, 30, 90):
            now, before = (
                measures(own, as_of, days, back) | {"cost_usd": cost(costs, tenant, today, days, back)}
                for back in (0, 1)
            )
            row: Row = {}
            for name in NAMES:
                row |= {name: now[name], f"previous_{name}": before[name]}
                row[f"{name}_change_pct"] = change_pct(now[name], before[name])
            row["storage_bytes"] = sum(
                found["stored_bytes"]
                for (owner, _, day), found in stored.items()
                if owner == tenant and day == today - timedelta(days=1)
            )
            rows[tenant, days] = row
    return rows


def cost(costs: dict[tuple[str, date], Row], tenant: str, today: date, days: int, periods_back: int) -> Decimal:
    """The total cost of the window's days."""
    last = today - timedelta(days=1 + days * periods_back)
    within = [costs.get((tenant, last - timedelta(days=n))) for n in range(days)]
    return sum((row["total_cost_usd"] for row in within if row), Decimal(0))


def measures(events: list[Event], as_of: datetime, days: int, periods_back: int) -> dict[str, Any]:
    """What the tenant's events in one window come to, money apart."""
    within = [event for event in events if window(event, as_of, days, periods_back)]
    sent = platform(within, "message.sent")
    return {
        "messages": len(platform(within, "message.sent", "message.received")),
        "conversations": len(platform(within, "conversation.started")),
        "unique_users": len(people(within)),
        "active_agents": len(senders(within)),
        "total_tokens": sum(values(sent, "tokens_in")) + sum(values(sent, "tokens_out")),
        "api_calls": len(platform(within, "api.called")),
        "avg_response_time_ms": mean(values(sent, "response_time_ms")),
        "error_rate": ratio(sum(values(sent, "errored")), len(sent)),
        "avg_rating": mean(values(within, "rating")),
    }


def change_pct(now: Any, before: Any) -> float | None:
    return float((now - before) / before * 100) if now is not None and before else None


MARTS = {"platform_overview": platform_overview}
