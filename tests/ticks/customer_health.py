"""A search by a new user in the last minutes of a week, and an urgent ticket: the days whose windows see them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from events import DAYS, START, Event, Generator
from events.platform import act

from ticks import Touched, local_date, utc

DAY = timedelta(days=1)


def tick(generator: Generator) -> tuple[list[Event], Touched]:
    at, who = datetime(2026, 3, 15, 23, 45, tzinfo=UTC), {"user_id": "new in this tick"}
    searched = act(generator, "search.performed", at, "tenant-3", who, latency_ms=1, result_count=1)
    ticket = {"ticket_id": "new in this tick", "severity": "urgent"}
    opened = generator.event("crm", "ticket.opened", START + 30 * DAY, "tenant-3", **ticket)
    # Users that were known before have been active in all weeks, so a new one touches its own cohort only.
    return [searched, opened], {"retention_weekly": {(date(2026, 3, 9),)}}


def touched(events: list[Event]) -> Touched:
    """Windows of 28 days from a platform event or a failed payment, all later days from a ticket's event."""
    health: set[tuple[str, date]] = set()
    weeks: set[tuple[date]] = set()
    for event in events:
        seen = event["source"] == "platform" or event["event_type"] == "payment.failed"
        days = 28 if seen else 2 * DAYS if event["event_type"].startswith("ticket.") else 0
        health |= {(event["tenant_id"], local_date(event) + n * DAY) for n in range(days)}
        if event["source"] == "platform" and "user_id" in event:
            # The user's next event may be half an hour later.
            weeks |= {(monday(utc(event)),), (monday(utc(event) + timedelta(minutes=30)),)}
    return {"customer_health_daily": health, "user_paths_weekly": weeks}


def monday(moment: datetime) -> date:
    return moment.date() - timedelta(days=moment.weekday())
