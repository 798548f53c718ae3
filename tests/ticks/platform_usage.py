"""A message of a known agent and an update of it, within the last 30 days: their day, and their tenant's windows."""

from __future__ import annotations

from datetime import UTC, datetime

from events import Event, Generator
from events.platform import act

from ticks import Touched, local_date


def tick(generator: Generator) -> tuple[list[Event], Touched]:
    # 23:30 UTC on the day of a change to summer time in Berlin, and a day later there.
    at = datetime(2026, 3, 29, 23, 30, tzinfo=UTC)
    who = {"user_id": "user-1", "agent_id": "a1"}
    sent = act(
        generator, "message.sent", at, "tenant-2", who,
        conversation_id="never begun", response_time_ms=9, tokens_in=1, tokens_out=1, errored=False,
    )  # fmt: skip
    updated = act(generator, "agent.updated", at, "tenant-2", who)
    day = ("tenant-2", local_date(sent))
    return [sent, updated], {
        "agents": {("tenant-2", "a1")},
        "platform_metrics_daily": {day},
        "agent_metrics_daily": {day},
        "agent_rankings": {("tenant-2",)},
        "agent_trends_daily": {("tenant-2",)},
        "platform_overview": {("tenant-2",)},
    }


def touched(events: list[Event]) -> Touched:
    """Any platform event counts on its day, and in the windows of its tenant; a provider call adds to their cost."""
    platform = [event for event in events if event["source"] == "platform"]
    return {
        "agents": {(event["tenant_id"], event["agent_id"]) for event in platform if "agent_id" in event},
        "platform_metrics_daily": {(event["tenant_id"], local_date(event)) for event in platform},
        "platform_overview": {(event["tenant_id"],) for event in events if event["source"] in ("platform", "provider")},
    }
