"""A sign-up before all others of its tenant: the tenant leaves the week of its first sign-up for an earlier one."""

from __future__ import annotations

from datetime import UTC, date, datetime

from events import Event, Generator

from ticks import Touched


def tick(generator: Generator) -> tuple[list[Event], Touched]:
    before = datetime(2026, 2, 20, 12, tzinfo=UTC)
    signed_up = generator.event("platform", "user.signed_up", before, "nobody", channel="organic")
    return [signed_up], {
        "activation_funnel_weekly": {(date(2026, 2, 16),), (date(2026, 2, 23),), (date(2026, 3, 2),)},
        "platform_metrics_daily": {("nobody", date(2026, 2, 20))},
        "platform_overview": {("nobody",)},
    }
