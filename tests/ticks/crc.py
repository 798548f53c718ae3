"""The first task of a new cycle: its day is in the baseline of the 7 days after it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from events import Event, Generator

from ticks import Touched


def tick(generator: Generator) -> tuple[list[Event], Touched]:
    at, day = datetime(2026, 3, 20, 23, 30, tzinfo=UTC), date(2026, 3, 20)
    group = ("tenant-1", "intake", "ws-100")
    ended = generator.event(
        "crc",
        "crc.task_completed",
        at,
        group[0],
        task_id="new",
        cycle_id="new",
        blueprint_id=group[1],
        workspace_id=group[2],
        cycle_time_ms=1000,
        succeeded=True,
    )
    return [ended], {
        "crc_cycles": {(*group, "new")},
        "crc_throughput_daily": {(*group, day + timedelta(days=n)) for n in range(8)},
    }
