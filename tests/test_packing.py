"""However many loads there are, the lake's files stay few, unseen by those who read the lake (promise 13)."""

from __future__ import annotations

import math
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
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
FULL = packing.FULL


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
        ([unit(1, 1), unit(2, 2), unit(3, 3, FULL), unit(4, 4)], None),
    ],
)
def test_neighbours_of_one_size_are_due(found: list[packing.Unit], expected: tuple[int, int] | None) -> None:
    due = packing.due(found)
    assert (due and (due[0].load_id, due[-1].load_id)) == expected


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([unit(1, 1), unit(2, 2), unit(3, 3)], []),
        ([unit(1, 1), unit(2, 2, FULL), unit(3, 3), unit(4, 4)], []),
        ([unit(1, 4), unit(5, 5), unit(6, 6, FULL)], [(1, 5)]),
        ([unit(1, 1, FULL), unit(2, 2), unit(3, 3), unit(4, 4, FULL), unit(5, 5)], [(2, 3)]),
        (
            [unit(1, 1), unit(2, 2), unit(3, 3, FULL), unit(4, 4, FULL), unit(5, 8), unit(9, 9), unit(10, 10, FULL)],
            [(1, 2), (5, 9)],
        ),
    ],
)
def test_what_lies_before_a_full_unit_has_ended(found: list[packing.Unit], expected: list[tuple[int, int]]) -> None:
    assert [(run[0].load_id, run[-1].load_id) for run in packing.ended(found)] == expected


@dataclass
class Ledgers:
    """In the place of the ledger and of packing: units in memory, and how often each load was packed."""

    units: list[packing.Unit] = field(default_factory=list)
    packed: Counter[int] = field(default_factory=Counter)

    def ledger(self, storage: Storage) -> Ledger:
        made = Ledger(storage)
        made.units = lambda newest=None: self.units[-newest:] if newest else list(self.units)  # type: ignore[method-assign]
        return made

    def pack(self, storage: Storage, entries: packing.Unit) -> None:
        self.packed.update(entry.load_id for entry in entries)
        kept = [unit for unit in self.units if not entries[0].load_id <= unit[0].load_id <= entries[-1].load_id]
        self.units = sorted([*kept, entries], key=lambda unit: unit[0].load_id)


@pytest.fixture
def in_memory(monkeypatch: pytest.MonkeyPatch) -> Ledgers:
    fake = Ledgers()
    monkeypatch.setattr(packing, "Ledger", fake.ledger)
    monkeypatch.setattr(packing, "pack", fake.pack)
    monkeypatch.setattr(packing, "remove_unlisted", lambda storage: None)
    return fake


@pytest.mark.parametrize("every", [2, 5, 16, 17, 96, 1000])
def test_full_loads_between_small_ones_leave_few_units_and_each_is_packed_a_few_times(
    every: int, in_memory: Ledgers, tmp_path: Path
) -> None:
    sizes = math.ceil(math.log(every, FANOUT))
    for load_id in range(1, 1501):
        in_memory.units.append(unit(load_id, load_id, FULL if load_id % every == 0 else 10))
        packing.pack_due(Storage(tmp_path))
        # Each full load, what lies before it, and what came after the last.
        assert len(in_memory.units) <= 2 * (load_id // every) + (FANOUT - 1) * sizes + 1
    assert max(in_memory.packed.values(), default=0) <= sizes + 1
    assert [entry.load_id for each in in_memory.units for entry in each] == list(range(1, 1501))


def test_full_loads_of_a_time_before_do_not_all_wait_for_one_load(in_memory: Ledgers, tmp_path: Path) -> None:
    in_memory.units = [unit(load_id, load_id, 1 if load_id % 10 else FULL) for load_id in range(1, 401)]
    left = []
    for load_id in range(401, 431):
        in_memory.units.append(unit(load_id, load_id, 1 if load_id % 10 else FULL))
        packing.pack_due(Storage(tmp_path))
        left.append(len(packing.ended(in_memory.units)))
    assert left[0] == 40 - packing.MOST
    assert left[-1] == 0
    assert len(in_memory.units) == 2 * 43


@pytest.mark.slow
def test_packs_of_all_sizes_hold_every_event_where_the_ledger_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, another_world = World(tmp_path / "one"), World(tmp_path / "other")
    monkeypatch.setattr(packing, "FULL", 60)
    # Each seventh load is a full one.
    batches = [batch * 3 if at % 7 == 6 else batch[:10] for at, batch in enumerate(loads(65, 18))]
    ingest_all(world, batches)
    monkeypatch.setattr(packing, "FANOUT", 1000)
    monkeypatch.setattr(packing, "FULL", 1_000_000)
    ingest_all(another_world, batches)
    assert lake_rows(world.storage) == lake_rows(another_world.storage)
    names = sorted(path.name for path in world.storage.loads.glob("*.json") if not path.name.startswith("."))
    assert names == ["14.json", "7.json", "pack-1-6.json", "pack-15-18.json", "pack-8-13.json"]


@pytest.mark.slow
def test_what_the_root_is_called_says_nothing_about_the_packed_events(tmp_path: Path) -> None:
    batches = loads(66, FANOUT)
    rows = []
    for folder in ("part1", "tenant_id=site7/event_id=5/load_id=9", "part*"):
        world = World(tmp_path / folder / "storage")
        ingest_all(world, batches)
        assert (world.storage.loads / "pack-1-4.json").exists()
        # A name at which the tests' own queries don't stumble.
        copy = world.copy(tmp_path / "copy").storage
        tenants = f"select tenant_id, count(*) from '{copy.lake}/*/pack-1-4.parquet' group by all order by all"
        rows.append([*lake_rows(copy), *duckdb.sql(tenants).fetchall()])
        shutil.rmtree(copy.root)
    assert rows[0] == rows[1] == rows[2]


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
