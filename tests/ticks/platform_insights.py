"""A document, which stays stored on all later days; a conversation that begins, and an answer in it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from events import DAYS, Event, Generator
from events.platform import act

from ticks import Touched, local_date

BUSY = ("message.sent", "message.received", "agent.completed", "agent.failed", "agent.timed_out")


def tick(generator: Generator) -> tuple[list[Event], Touched]:
    # 23:30 UTC on the day of a change to summer time in Berlin, and a day later there.
    at, tenant = datetime(2026, 3, 29, 23, 30, tzinfo=UTC), "tenant-2"
    talk = {"conversation_id": "begun in this tick"}
    uploaded = act(
        generator, "document.uploaded", at, tenant, {}, document_id="d", size_bytes=10**12, storage_class="backups"
    )
    started = act(generator, "conversation.started", at, tenant, {}, topic="billing", **talk)
    sent = act(
        generator, "message.sent", at, tenant, {},
        response_time_ms=9, tokens_in=1, tokens_out=1, errored=False, **talk,
    )  # fmt: skip
    days = [local_date(uploaded) + timedelta(days=n) for n in range(DAYS)]
    return [uploaded, started, sent], {
        "storage_daily": {(tenant, "backups", day) for day in days},
        "usage_cost_daily": {(tenant, day) for day in days},
        # The week of the tenant's first sign-up, early in the history.
        "activation_funnel_weekly": {(date(2026, 3, 2),), (date(2026, 3, 9),)},
    }


def touched(events: list[Event]) -> Touched:
    """Of the conversations, those that begin: the others that ticks name never did."""
    return {
        "usage_cost_daily": {
            (event["tenant_id"], local_date(event)) for event in events if event["source"] in ("platform", "provider")
        },
        "conversation_insights_daily": {
            (event["tenant_id"], event["properties"].get("topic", "unknown"), local_date(event))
            for event in events
            if event["event_type"] == "conversation.started"
        },
        "usage_peaks": {(event["tenant_id"],) for event in events if event["event_type"] in BUSY},
    }
