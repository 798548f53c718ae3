"""The benchmarks compare like with like: the bare SQL makes the same mart rows as the pipeline."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import duckdb
import pytest
from harness import World

from agent_analytics.ledger import Ledger
from agent_analytics.simulate import DEFAULT_END, tick
from agent_analytics.simulate.sources import SOURCES
from agent_analytics.storage import PROJECT_ROOT
from benchmarks import bare, histories, report
from benchmarks.measure import Cost
from benchmarks.suite import Figure, Results


def lake(world: World, newest: bool = False) -> dict[str, list[Path]]:
    entries = Ledger(world.storage).standing()[-1 if newest else 0 :]
    return {
        source: [world.storage.lake / source / "schema.parquet"]
        + [world.storage.lake / file.path for entry in entries for file in entry.lake if file.source == source]
        for source in SOURCES
    }


def as_of(world: World) -> str:
    return (Ledger(world.storage).as_of() or "").replace("T", " ").rstrip("Z")


@pytest.mark.slow
def test_bare_sql_makes_the_rows_of_the_pipeline(realistic: World, tmp_path: Path) -> None:
    """After a full build, and after an hour of new events, some of them late."""
    seeds, database = PROJECT_ROOT / "seeds", tmp_path / "bare.duckdb"
    world = realistic.copy(tmp_path / "storage")
    families = list(bare.FAMILIES)
    marts = bare.family(families).marts
    same = {mart.name: 0 for mart in marts}
    bare.full(lake(world), seeds, database, as_of(world), families, keep=True)
    assert bare.differences(world.storage.warehouse, database, families) == same

    end = DEFAULT_END + timedelta(hours=1)
    tick(world.storage.landing, events=1_500, seed=4, end=end, tenants=4, late=0.2)
    world.ingest(now=DEFAULT_END + timedelta(days=1))
    world.build()
    bare.tick(lake(world, newest=True), seeds, database, as_of(world), families)
    assert bare.differences(world.storage.warehouse, database, families) == same

    with duckdb.connect(str(database)) as connection:
        for mart in marts:
            count = connection.execute(f"select count(*) from {mart.name}").fetchall()[0][0]
            assert count > 0, f"{mart.name} has no rows to compare"
        connection.execute("update provider_calls_daily set p95_latency_ms = null where p95_latency_ms is not null")
        connection.execute("delete from spend_monthly where rowid = 0")
    found = bare.differences(world.storage.warehouse, database, families)
    assert found["provider_calls_daily"] > 1, "a value that is lost is a difference"
    assert found["spend_monthly"] == 1, "a row that is lost is a difference"


@pytest.mark.parametrize(("text", "number"), [("1M", 1_000_000), ("250k", 250_000), ("5000", 5_000)])
def test_sizes_are_written_as_people_write_them(text: str, number: int) -> None:
    assert histories.parse_size(text) == number
    assert histories.parse_size(histories.short(number)) == number


def test_ten_times_the_events_are_ten_times_the_days_or_ten_times_as_many_a_day() -> None:
    small, longer, denser = (
        histories.History.of(histories.COSTS, size, shape)
        for size, shape in ((10**6, "days"), (10**7, "days"), (10**7, "density"))
    )
    assert (small.days, longer.days, denser.days) == (30, 300, 30)


def test_a_section_measured_again_leaves_the_others_as_they_are() -> None:
    def section(name: str, wall: float) -> report.Section:
        history = histories.History.of(histories.MIXES[name], 10**7, "density")
        cost, bare_cost = Cost(wall, wall, 5 * 10**9), Cost(2, 2, 10**9)
        figures = [Figure(history.name, "full build", history.events, 1, cost, bare_cost)]
        figures.append(Figure(history.name, "dbt start-up", 0, 1, Cost(3, 3, 10**8)))
        return report.Section(name, Results(figures), 0.5, [history])

    before = report.markdown([section("game", 11.5), section("costs", 6.25)])
    assert [line for line in before.splitlines() if line.startswith("## ")] == [
        "## Provider costs, billing, revenue, delivery and swarm", "## The game",
    ]  # fmt: skip
    assert "6.2 s of 2 x 2.0 + 3.0 = 7.0 s | met" in before
    assert "11.5 s of 2 x 2.0 + 3.0 = 7.0 s | missed" in before
    assert "peak memory under 6 GB | 5.0 GB | met" in before

    after = report.markdown([section("costs", 7.75)], before)
    assert "11.5 s of" in after, "a section that wasn't measured is kept"
    assert "6.2 s of" not in after
    assert "7.8 s of 2 x 2.0 + 3.0 = 7.0 s | missed" in after
    assert report.markdown([section("costs", 6.25)], after) == before


def test_a_mix_has_as_many_events_as_are_asked_for() -> None:
    assert histories.MIXED.events(10_000_001) == {
        ("platform",): 5_500_001,
        tuple(name for name in SOURCES if name != "platform"): 4_500_000,
    }
    assert sum(histories.GAME.events(1_000).values()) == 3_700
