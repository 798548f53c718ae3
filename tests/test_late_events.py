"""A late event changes the rows that it belongs to, and those that look back on it: these and no others are written."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from events import Event, Generator
from harness import Row, World

pytestmark = pytest.mark.slow

DAY = 24 * 60


def written(world: World, mart: str, events: list[Event]) -> list[Row]:
    """The rows of the mart that the events have written, in order of their date."""
    schema, name = mart.split(".")
    world.execute(f"update {mart} set loaded_through = -1")
    land(world, name, events)
    return world.query(f"from {schema}.{name} where loaded_through <> -1 order by date")


def land(world: World, mart: str, events: list[Event]) -> None:
    world.land(events)
    world.ingest()
    world.build(select=f"resource_type:seed +{mart}")


def task(g: Generator, day: int, cycle: str, workspace: str = "ws-100") -> Event:
    names = {"task_id": "t", "cycle_id": cycle, "blueprint_id": "intake", "workspace_id": workspace}
    at = datetime(2026, 3, day, 12, tzinfo=UTC)
    return g.event("crc", "crc.task_completed", at, "tenant-1", cycle_time_ms=1, succeeded=True, **names)


def run(g: Generator, day: int, trigger: str, tenant: str = "tenant-1") -> Event:
    names = {"notebook_id": "nb", "workspace_id": "ws-100", "blueprint_id": "intake", "scope": "pricing"}
    at = datetime(2026, 3, day, 12, tzinfo=UTC)
    return g.event(
        "notebooks", "notebook.executed", at, tenant, trigger=trigger, duration_ms=1, succeeded=True, **names
    )


def days(rows: list[Row]) -> list[int]:
    return [row["date"].day for row in rows]


def by_day(rows: list[Row], *names: str) -> dict[int, tuple[Any, ...]]:
    return {row["date"].day: tuple(row[name] for name in names) for row in rows}


def test_a_late_task_moves_its_cycle_and_the_baselines_that_look_back_on_it(world: World) -> None:
    g, mart = Generator(1), "crc.crc_throughput_daily"
    began = [task(g, day, f"c{day}", workspace) for day in range(8, 27) for workspace in ("ws-100", "ws-101")]
    land(world, "crc_throughput_daily", [*began, task(g, 15, "moves"), task(g, 15, "stays")])

    # The last day of a task changes only the day of its cycle, and the week after it.
    assert days(written(world, mart, [task(g, 25, "stays")])) == list(range(15, 23))

    # The first task of `moves` was on the 12th: it leaves the 15th.
    rows = written(world, mart, [task(g, 12, "moves")])
    assert days(rows) == list(range(12, 23))
    assert {row["workspace_id"] for row in rows} == {"ws-100"}
    assert by_day(rows, "cycles", "completions")[12] == (2, 3)
    assert by_day(rows, "cycles", "completions")[15] == (2, 3)
    moved = world.query("from crc.crc_cycles where cycle_id = 'moves'")
    assert [(row["started_on"], row["completions"]) for row in moved] == [(date(2026, 3, 12), 2)]

    # The group begins on the 5th instead of the 8th: days from the 12th on have a baseline, which the 15th had already.
    rows = written(world, mart, [task(g, 5, "earliest")])
    assert days(rows) == [5, *range(8, 15)]
    assert by_day(rows, "baseline_7d")[11] == (None,)
    assert by_day(rows, "baseline_7d")[12] == (5 / 7,)
    assert by_day(rows, "baseline_7d")[14] == (8 / 7,)


def test_a_late_run_splits_the_gap_that_it_falls_into(world: World) -> None:
    g, mart = Generator(1), "notebooks.notebook_update_cadence_daily"
    gaps = "mean_minutes_between_runs", "mean_minutes_between_automated", "mean_minutes_between_manual"
    others = [run(g, day, "manual", "tenant-2") for day in range(8, 27)]
    known = [run(g, 10, "automation"), run(g, 12, "manual"), run(g, 14, "automation"), run(g, 20, "manual")]
    land(world, "notebook_update_cadence_daily", others + known)

    rows = written(world, mart, [run(g, 11, "manual")])
    assert by_day(rows, *gaps) == {11: (DAY, None, None), 12: (DAY, None, DAY)}

    # The next run is automated, the next manual one comes days later: both gaps begin with the late run.
    rows = written(world, mart, [run(g, 13, "manual")])
    assert by_day(rows, *gaps) == {13: (DAY, None, DAY), 14: (DAY, 4 * DAY, None), 20: (6 * DAY, None, 7 * DAY)}

    # The first of its kind: no gap of its own, and one for the next.
    rows = written(world, mart, [run(g, 9, "automation")])
    assert by_day(rows, *gaps) == {9: (None, None, None), 10: (DAY, DAY, None)}
