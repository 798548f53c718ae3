"""An assignment: its day is in the baseline of the 28 days after it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from events import Event, Generator

from ticks import Touched


def tick(generator: Generator) -> tuple[list[Event], Touched]:
    at, day = datetime(2026, 3, 20, 23, 30, tzinfo=UTC), date(2026, 3, 20)
    assigned = generator.event("swarm", "swarm.task_assigned", at, "tenant-1", swarm_id="alpha", task_id="new")
    return [assigned], {
        "agent_efficiency_daily": {("tenant-1", "alpha", day + timedelta(days=n)) for n in range(29)},
    }
