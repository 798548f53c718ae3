"""No event of its own: any that a watched metric counts touches its day, and that weekday in the 8 weeks after it."""

from __future__ import annotations

from datetime import date, timedelta

from events import Event, Generator

from ticks import Touched, local_date, utc

Entity = tuple[str, str, str]


def tick(_: Generator) -> tuple[list[Event], Touched]:
    return [], {}


def touched(events: list[Event]) -> Touched:
    days = [day for event in events for day in days_of(event)]
    return {"metric_anomalies": {(*entity, day + timedelta(weeks=weeks)) for entity, day in days for weeks in range(9)}}


def days_of(event: Event) -> list[tuple[Entity, date]]:
    tenant, kind, about = event["tenant_id"], event["event_type"], event["properties"]
    if event["source"] == "patterns":
        return [(("pattern_executions", tenant, about["pattern_id"]), utc(event).date())]
    if event["source"] == "crc":
        entity = f"{about['blueprint_id']}/{about['workspace_id']}"
        # Days in whose baseline that day is are written anew, and so have news.
        return [(("crc_completions", tenant, entity), utc(event).date() + timedelta(days=n)) for n in range(8)]
    if event["source"] == "platform":
        return [(("messages", tenant, tenant), local_date(event))]
    if kind in ("agent.completed", "agent.failed", "agent.timed_out"):
        return [(("agent_executions", tenant, about["task_type"]), local_date(event))]
    if kind.startswith("provider."):
        return [(("provider_cost_usd", tenant, about["provider"]), local_date(event))]
    return []
