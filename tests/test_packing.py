"""However many loads there are, the lake's files stay few, unseen by those who read the lake (promise 13)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from events import Generator
from harness import Event, World, differences

from agent_analytics import packing
from agent_analytics.errors import AnalyticsError
from agent_analytics.ingest import retract
from agent_analytics.ledger import Entry, LakeFile, Ledger
from agent_analytics.storage import PROJECT_ROOT, Storage

FANOUT = 4


@pytest.fixture(autouse=True)
def small_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "FANOUT", FANOUT)


def loads(seed: int, count: int) -> list[list[Event]]:
    """Events of two sources over many small loads, some of which hold copies of earlier ones' events."""
    generator = Generator(seed)
    return generator.loads(generator.events(40 * count, "delivery", "swarm"), count)


def ingest_all(world: World, batches: list[list[Event]]) -> None:
    for batch in batches:
        world.land(batch)
        world.ingest()


def lake_rows(storage: Storage) -> list[tuple[object, ...]]:
    """(load_id, event_id) of all standing events, as the ledger says where they are."""
    ledger = Ledger(storage)
    found: list[tuple[object, ...]] = []
    with duckdb.connect() as connection:
        for load_id, file in ledger.lake_files():
            rows = connection.execute(
                "select load_id, event_id from read_parquet(?) where load_id = ?",
                [str(storage.lake / file.path), load_id],
            ).fetchall()
            assert len(rows) == file.rows
            found += rows
    return sorted(found)


def files(storage: Storage) -> int:
    """How many files the lake holds besides the schemas."""
    return sum(path.is_file() and path.name != "schema.parquet" for path in storage.lake.rglob("*"))


def unit(first: int, last: int, rows: int = 1) -> list[Entry]:
    return [
        Entry(
            load_id=load_id,
            kind="load",
            started_at="2026-01-01T00:00:00.000000Z",
            contract="f",
            files=[],
            lake=[LakeFile(source="crm", path=f"crm/{load_id}.parquet", rows=rows, newest_occurred_at="2026-01-01")],
            duplicates=[],
            quarantine=None,
            clock=None,
        )
        for load_id in range(first, last + 1)
    ]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([], None),
        ([unit(1, 1), unit(2, 2), unit(3, 3)], None),
        ([unit(1, 1), unit(2, 2), unit(3, 3), unit(4, 4)], (1, 4)),
        ([unit(1, 4), unit(5, 5), unit(6, 6), unit(7, 7)], None),
        ([unit(1, 4), unit(5, 5), unit(6, 6), unit(7, 7), unit(8, 8)], (5, 8)),
        ([unit(1, 4), unit(5, 8), unit(9, 12), unit(13, 16)], (1, 16)),
        ([unit(1, 1), unit(2, 2), unit(3, 3, packing.FULL), unit(4, 4)], None),
    ],
)
def test_neighbours_of_one_size_are_due(found: list[packing.Unit], expected: tuple[int, int] | None) -> None:
    due = packing.due(found)
    assert (due and (due[0].load_id, due[-1].load_id)) == expected


@pytest.mark.slow
def test_many_tiny_loads_leave_few_files_and_every_event_where_the_ledger_says(
    world: World, another_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = loads(60, 70)
    ingest_all(world, batches)
    monkeypatch.setattr(packing, "FANOUT", 1000)
    ingest_all(another_world, batches)
    assert lake_rows(world.storage) == lake_rows(another_world.storage)
    # 64 + 4 + 1 + 1 loads, each a ledger file and two sources' events and copies; and what the last packing replaced.
    assert files(world.storage) < 40 < 70 < files(another_world.storage)
    one, other = Ledger(world.storage).entries(), Ledger(another_world.storage).entries()
    assert [(e.load_id, e.files[0].accepted, e.files[0].duplicates, e.clock) for e in one] == [
        (e.load_id, e.files[0].accepted, e.files[0].duplicates, e.clock) for e in other
    ]
    assert sum(entry.files[0].duplicates for entry in one) > 0


@pytest.mark.slow
def test_builds_between_packings_give_what_one_build_gives(world: World, another_world: World) -> None:
    batches = loads(61, 11)
    for number, batch in enumerate(batches):
        world.land(batch)
        world.ingest()
        if number in (2, 4, 10):
            world.build()
    ingest_all(another_world, batches)
    another_world.build()
    expected = another_world.marts()
    for mart, rows in world.marts().items():
        assert not differences(rows, expected[mart])[:3], mart


@pytest.mark.slow
def test_a_packed_load_can_be_taken_back_and_its_copies_come_forward(
    world: World, another_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = loads(62, 9)
    ingest_all(world, batches)
    world.build()
    retract(world.storage, 2, "wrong")
    world.build()
    monkeypatch.setattr(packing, "FANOUT", 1000)
    ingest_all(another_world, batches)
    retract(another_world.storage, 2, "wrong")
    another_world.build()
    assert lake_rows(world.storage) == lake_rows(another_world.storage)
    assert any(load_id == 10 for load_id, _ in lake_rows(world.storage))
    expected = another_world.marts()
    for mart, rows in world.marts().items():
        assert not differences(rows, expected[mart])[:3], mart
    # Copies of what was taken back are events again; copies of the rest still aren't.
    for each in (world, another_world):
        each.land([event for batch in batches for event in batch])
        each.ingest()
    assert lake_rows(world.storage) == lake_rows(another_world.storage)


@pytest.mark.slow
def test_killed_while_packing_the_next_load_ends_the_same(world: World, tmp_path: Path) -> None:
    batches = loads(63, 5)
    ingest_all(world, batches[:3])
    world.land(batches[3])
    program = "from agent_analytics import packing; packing.FANOUT = 4; from agent_analytics.cli import app; app()"

    def run(each: World, **environment: str) -> int:
        return subprocess.run(
            [sys.executable, "-c", program, "ingest"],
            cwd=PROJECT_ROOT,
            env={**os.environ, "ANALYTICS_STORAGE": str(each.root), **environment},
            capture_output=True,
            check=False,
        ).returncode

    whole, log = world.copy(tmp_path / "whole"), tmp_path / "log"
    assert run(whole, ANALYTICS_KILL_LOG=str(log)) == 0
    points = log.read_text(encoding="utf-8").splitlines()
    packed = [number for number, point in enumerate(points, 1) if "pack-1-4" in point]
    assert len(packed) >= 3
    for number in packed:
        killed = world.copy(tmp_path / str(number))
        log = tmp_path / f"{number}.log"
        assert run(killed, ANALYTICS_KILL_AT=str(number), ANALYTICS_KILL_LOG=str(log)) == -signal.SIGKILL
        assert lake_rows(killed.storage) == lake_rows(whole.storage)
        killed.land(batches[4])
        killed.ingest()
        assert sum(entry.load_id == 5 for entry in Ledger(killed.storage).entries()) == 1
        assert [row for row in lake_rows(killed.storage) if row[0] != 5] == lake_rows(whole.storage)


def test_a_pack_that_lost_a_line_is_named(world: World) -> None:
    ingest_all(world, loads(64, 4))
    pack = world.storage.loads / "pack-1-4.json"
    pack.write_text("".join(pack.read_text(encoding="utf-8").splitlines(keepends=True)[:3]), encoding="utf-8")
    with pytest.raises(AnalyticsError, match=r"pack-1-4\.json: not a ledger entry.*restore it from a backup"):
        Ledger(world.storage).entries()
