"""For each family: a few events, and the partitions of its incremental marts that they touch and no others.

The events of all families arrive together. Where those of one touch marts of another, the other's module has a function
`touched` that says what all the events touch of its marts.
"""

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
