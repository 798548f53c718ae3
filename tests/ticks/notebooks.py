"""The first run of a notebook: it has no next run, so its tenant's day is all that changes."""

from __future__ import annotations

from datetime import UTC, date, datetime

from events import Event, Generator

from ticks import Touched


def tick(generator: Generator) -> tuple[list[Event], Touched]:
    run = generator.event(
        "notebooks",
        "notebook.executed",
        datetime(2026, 3, 20, 23, 30, tzinfo=UTC),
        "tenant-1",
        notebook_id="new",
        workspace_id="ws-100",
        blueprint_id="intake",
        scope="pricing",
        trigger="manual",
        duration_ms=1000,
        succeeded=True,
    )
    return [run], {"notebook_update_cadence_daily": {("tenant-1", date(2026, 3, 20))}}
