"""The benchmarks compare like with like: the bare SQL makes the same mart rows as the pipeline."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import duckdb
import pytest
from harness import World

from agent_analytics.ledger import Ledger
from agent_analytics.simulate import DEFAULT_END, tick
from agent_analytics.storage import PROJECT_ROOT
from benchmarks import bare, histories


def lake(world: World, newest: bool = False) -> dict[str, list[Path]]:
    entries = Ledger(world.storage).standing()[-1 if newest else 0 :]
    return {
        source: [world.storage.lake / source / "schema.parquet"]
        + [world.storage.lake / file.path for entry in entries for file in entry.lake if file.source == source]
        for source in bare.SOURCES
    }


def as_of(world: World) -> str:
    return (Ledger(world.storage).as_of() or "").replace("T", " ").rstrip("Z")


@pytest.mark.slow
def test_bare_sql_makes_the_rows_of_the_pipeline(realistic: World, tmp_path: Path) -> None:
    """After a full build, and after an hour of new events, some of them late."""
    seeds, database = PROJECT_ROOT / "seeds", tmp_path / "bare.duckdb"
    world = realistic.copy(tmp_path / "storage")
    bare.full(lake(world), seeds, database, as_of(world), keep=True)
    assert bare.differences(world.storage.warehouse, database) == {mart.name: 0 for mart in bare.MARTS}

    end = DEFAULT_END + timedelta(hours=1)
    tick(world.storage.landing, events=500, seed=4, end=end, tenants=4, late=0.2, sources=bare.SOURCES)
    world.ingest(now=DEFAULT_END + timedelta(days=1))
    world.build()
    bare.tick(lake(world, newest=True), seeds, database, as_of(world))
    assert bare.differences(world.storage.warehouse, database) == {mart.name: 0 for mart in bare.MARTS}

    with duckdb.connect(str(database)) as connection:
        for mart in bare.MARTS:
            count = connection.execute(f"select count(*) from {mart.name}").fetchall()[0][0]
            assert count > 0, f"{mart.name} has no rows to compare"
        connection.execute("update provider_calls_daily set p95_latency_ms = null where p95_latency_ms is not null")
        connection.execute("delete from spend_monthly where rowid = 0")
    found = bare.differences(world.storage.warehouse, database)
    assert found["provider_calls_daily"] > 1, "a value that is lost is a difference"
    assert found["spend_monthly"] == 1, "a row that is lost is a difference"


@pytest.mark.parametrize(("text", "number"), [("1M", 1_000_000), ("250k", 250_000), ("5000", 5_000)])
def test_sizes_are_written_as_people_write_them(text: str, number: int) -> None:
    assert histories.parse_size(text) == number
    assert histories.parse_size(histories.short(number)) == number


def test_ten_times_the_events_are_ten_times_the_days_or_ten_times_as_many_a_day() -> None:
    small, longer, denser = (
        histories.History.of(size, shape) for size, shape in ((10**6, "days"), (10**7, "days"), (10**7, "density"))
    )
    assert (small.days, longer.days, denser.days) == (30, 300, 30)
