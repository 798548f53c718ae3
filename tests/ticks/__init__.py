"""For each family: a few events, and the partitions of incremental marts of any family that they touch, no others."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from events import Event

Touched = dict[str, set[tuple[Any, ...]]]

ZONES = {"tenant-1": "America/New_York", "tenant-2": "Europe/Berlin", "tenant-3": "Asia/Kolkata"}


def local_date(event: Event) -> date:
    """The calendar day of the event where its tenant is."""
    moment = datetime.fromisoformat(event["occurred_at"])
    return moment.astimezone(ZoneInfo(ZONES.get(event["tenant_id"], "UTC"))).date()


def utc(event: Event) -> datetime:
    """When the event happened, UTC, as the warehouse holds it."""
    return datetime.fromisoformat(event["occurred_at"]).astimezone(UTC).replace(tzinfo=None)
