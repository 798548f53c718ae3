"""A deployment: it counts in the windows of the 30 days from its own."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from events import Event, Generator

from ticks import Touched


def tick(generator: Generator) -> tuple[list[Event], Touched]:
    at, day = datetime(2026, 3, 20, 23, 30, tzinfo=UTC), date(2026, 3, 20)
    deployed = generator.event(
        "delivery",
        "deployment.finished",
        at,
        "tenant-1",
        deployment_id="new",
        service="gateway",
        environment="production",
        succeeded=True,
    )
    return [deployed], {
        "deployment_frequency_daily": {("tenant-1", "gateway", day + timedelta(days=n)) for n in range(30)},
        "delivery_performance_monthly": {("tenant-1", "gateway", date(2026, 3, 1))},
    }
