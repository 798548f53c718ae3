"""The use of a feature, and a resolved conversation from before all that was known of its tenant."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from events import START, Event, Generator
from events.platform import act

from ticks import Touched, local_date

STEPS = ("user.signed_up", "agent.created", "agent.deployed", "conversation.started", "conversation.ended")


def tick(generator: Generator) -> tuple[list[Event], Touched]:
    at, tenant = datetime(2026, 3, 29, 23, 30, tzinfo=UTC), "tenant-2"
    used = act(generator, "feature.used", at, tenant, {}, feature="chat")
    resolved = act(
        generator, "conversation.ended", START - timedelta(hours=1), tenant, {},
        conversation_id="ended only", duration_ms=1, message_count=1, resolved=True, handed_off=False,
    )  # fmt: skip
    return [used, resolved], {}


def touched(events: list[Event]) -> Touched:
    """A use touches its day; a step its tenant, if it is the earliest."""
    return {
        "feature_adoption_daily": {
            (event["tenant_id"], event["properties"]["feature"], local_date(event))
            for event in events
            if event["event_type"] == "feature.used"
        },
        "time_to_value": {(event["tenant_id"],) for event in events if event["event_type"] in STEPS},
    }
