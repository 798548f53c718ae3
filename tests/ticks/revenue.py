"""A subscription that began two months ago: all months of its customer, and no other customer's."""

from __future__ import annotations

from datetime import UTC, datetime

from events import Event, Generator

from ticks import Touched


def tick(generator: Generator) -> tuple[list[Event], Touched]:
    at = datetime(2026, 2, 10, tzinfo=UTC)
    created = generator.event(
        "billing", "subscription.created", at, "tenant-2", subscription_id="new", plan="team", mrr_usd=10
    )
    return [created], {"mrr_movements_monthly": {("tenant-2",)}}
