"""An execution that the data clock is past: its day, and the windows that it lies in."""

from __future__ import annotations

from datetime import datetime, timedelta

from events import DAYS, START, Event, Generator
from events.patterns import executions

from ticks import Touched, utc

WINDOWS = ("daily", "weekly", "monthly", "quarterly", "yearly", "all_time")


def tick(generator: Generator) -> tuple[list[Event], Touched]:
    executed, *_ = executions(generator)
    at: datetime = START + timedelta(days=DAYS) - timedelta(hours=20)
    executed |= {"tenant_id": "tenant-1", "occurred_at": at.isoformat()}
    pattern = ("tenant-1", executed["properties"]["pattern_id"])
    return [executed], {
        "pattern_metrics_daily": {(*pattern, utc(executed).date())},
        "pattern_context_distribution": {(*pattern, window_type) for window_type in WINDOWS},
    }
