"""What ages out counts as before, wherever it lies; and it moves in one step."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from events import DAYS, START, Generator
from harness import Event, Row, World, differences
from oracles import provider_costs as oracle

from agent_analytics import durable, packing
from agent_analytics.backup import backup, restore
from agent_analytics.errors import AnalyticsError
from agent_analytics.ingest import retract
from agent_analytics.ledger import ArchivedFile, Ledger
from agent_analytics.operations import audit
from agent_analytics.policy import Policy
from agent_analytics.privacy.erase import erase
from agent_analytics.privacy.subject import Subject
from agent_analytics.retention import retention, to_merge
from agent_analytics.storage import PROJECT_ROOT, Storage

HOT = Policy(hot_days=32)


def lake_rows(storage: Storage) -> list[tuple[object, ...]]:
    """(source, load_id, event_id, event_hash is right) of all events as ledger and archive say where they are; what the
    ledger counts holds."""
    ledger = Ledger(storage)
    entries, archive = ledger.entries(), ledger.archive()
    found: list[tuple[object, ...]] = []
    with duckdb.connect() as connection:

        def read(source: str, path: Path, where: str) -> list[tuple[object, ...]]:
            return connection.execute(
                f"select ?, load_id, event_id, event_hash = hash(event_id) from read_parquet(?) where {where}",
                [source, str(path)],
            ).fetchall()

        for file in archive.files:
            held = read(file.source, storage.archive / file.path, f"cast(occurred_at as date) = date '{file.date}'")
            assert len(held) == file.rows
            assert {row[1] for row in held} <= set(range(file.first_load, file.last_load + 1))
            found += held
        if archive.ids:
            paths = [str(storage.archive / file.path) for file in archive.ids]
            ids = "select load_id, event_id, event_hash = hash(event_id) from read_parquet(?)"
            assert sorted(connection.execute(ids, [paths]).fetchall()) == sorted(row[1:] for row in found)
        hot = {(file.source, file.path) for entry in entries for file in entry.lake if file.path}
        for source, path in hot:
            found += read(source, storage.lake / path, f"not {archive.holds()}")
    for entry in entries:
        rows = sum(row[1] == entry.load_id for row in found)
        assert rows == sum(file.rows for file in entry.lake)
    return sorted(found, key=str)


def hot_rows(storage: Storage) -> int:
    """How many rows the lake's own files hold."""
    paths = {str(storage.lake / file.path) for _, file in Ledger(storage).lake_files() if file.path}
    return sum(duckdb.execute("select count(*) from read_parquet(?)", [path]).fetchall()[0][0] for path in paths)


def tree(root: Path) -> dict[str, tuple[int, int]]:
    """Every file under a folder but for locks, with size and time of change."""
    return {
        str(path.relative_to(root)): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in root.rglob("*")
        if path.is_file() and path.suffix != ".lock" and path.name != ".lock"
    }


def ingested(world: World, loads: list[list[Event]]) -> World:
    for load in loads:
        world.land(load)
        world.ingest()
    return world


@pytest.fixture(scope="module")
def loads() -> list[list[Event]]:
    """Events of three sources over 40 days in loads without any order, with copies."""
    generator = Generator(80)
    return generator.loads(generator.events(600, "provider", "swarm", "crm"), 5)


@pytest.fixture(scope="module")
def loaded(loads: list[list[Event]], tmp_path_factory: pytest.TempPathFactory) -> World:
    """All of them loaded, without a warehouse; not to be changed."""
    return ingested(World(tmp_path_factory.mktemp("loaded") / "storage"), loads)


@pytest.fixture
def world(loaded: World, tmp_path: Path) -> World:
    return loaded.copy(tmp_path / "storage")


class TestEvents:
    def test_events_before_the_hot_days_lie_by_date_in_the_archive_and_each_is_there_once(
        self, loaded: World, world: World
    ) -> None:
        done = retention(world.storage, HOT)
        assert done.before == (loaded.as_of.date() - timedelta(days=32)).isoformat()
        archive = Ledger(world.storage).archive()
        moved = sum(file.rows for file in archive.files)
        assert moved == sum(part.rows or 0 for part in done.moved) > 50
        assert {file.path.split("/")[1] for file in archive.files} == {file.date for file in archive.files}
        assert max(file.date for file in archive.files) < done.before
        # All of its days: each source's file of a day.
        assert len(archive.files) == len({(file.source, file.date) for file in archive.files})
        assert lake_rows(world.storage) == lake_rows(loaded.storage)
        assert hot_rows(world.storage) == hot_rows(loaded.storage) - moved
        before = tree(world.root)
        assert retention(world.storage, HOT).moved == []
        # What was replaced is gone at the next time; nothing else has changed.
        after = tree(world.root)
        assert after.items() <= before.items()
        assert {name for name in before.keys() - after.keys() if not name.startswith("lake/")} == set()

    def test_events_of_a_source_that_the_contract_has_lost_move_too_after_a_restore(
        self, loaded: World, world: World
    ) -> None:
        retention(world.storage, Policy(hot_days=37))
        (world.storage.lake / "crm" / "schema.parquet").unlink()
        assert retention(world.storage, HOT).moved != []
        assert lake_rows(world.storage) == lake_rows(loaded.storage)
        assert retention(world.storage, HOT).moved == []
        listed = {path.name for path in (world.storage.archive / "crm").rglob("*.parquet")}
        assert listed == {
            Path(path).name for path in Ledger(world.storage).archive().paths() if path.startswith("crm/")
        }

    def test_a_dry_run_says_what_would_move_and_changes_nothing(self, world: World) -> None:
        before = tree(world.root)
        planned = retention(world.storage, Policy(hot_days=32, landed_files="archive"), dry_run=True)
        assert tree(world.root) == before
        done = retention(world.storage, Policy(hot_days=32, landed_files="archive"))
        assert [(m.what, m.where, m.files, m.rows, m.first, m.last) for m in planned.moved] == [
            (m.what, m.where, m.files, m.rows, m.first, m.last) for m in done.moved
        ]
        assert planned.before == done.before
        kinds = [entry.subject for entry in audit.entries(world.storage, "retention")]
        assert kinds == ["landed files", "events"]

    def test_copies_of_archived_events_are_found_and_a_load_is_taken_back_with_them(
        self, loaded: World, world: World, loads: list[list[Event]]
    ) -> None:
        retention(world.storage, HOT)
        plain = loaded.copy(world.root.with_name("plain"))
        for each in (world, plain):
            each.land([event for load in loads for event in load], "again.jsonl")
            assert each.ingest().accepted == 0
            retract(each.storage, 2, "wrong")
        assert lake_rows(world.storage) == lake_rows(plain.storage)
        assert any(row[1] == 7 for row in lake_rows(world.storage))
        retention(world.storage, HOT)
        assert lake_rows(world.storage) == lake_rows(plain.storage)

    @pytest.mark.slow
    def test_whatever_the_policies_and_the_order_of_loads_packs_and_moves_the_same_events_count(
        self, tmp_path: Path, loads: list[list[Event]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(packing, "FANOUT", 4)
        generator = Generator(81)
        late = generator.loads(generator.events(200, "provider", "crm"), 4)
        world, plain = World(tmp_path / "moved"), World(tmp_path / "plain")
        for number, load in enumerate([*loads, *late]):
            ingested(world, [load])
            # A policy of fewer days, then one of more: what is archived stays so.
            retention(world.storage, Policy(hot_days=(34, 31, 36)[number % 3]))
        ingested(plain, [*loads, *late])
        assert lake_rows(world.storage) == lake_rows(plain.storage)
        per_day: dict[tuple[str, str], int] = {}
        for file in Ledger(world.storage).archive().files:
            per_day[file.source, file.date] = per_day.get((file.source, file.date), 0) + 1
        assert max(per_day.values()) <= 2
        assert len(Ledger(world.storage).archive().ids) <= 4

    @pytest.mark.slow
    def test_stopped_before_any_write_each_event_counts_once_and_the_next_time_ends_it(
        self, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        retention(world.storage, Policy(hot_days=36))
        ingested(world, [Generator(82).events(60, "crm")])
        expected = lake_rows(world.storage)
        passed: list[str] = []

        class Stopped(BaseException):
            pass

        def run_until(each: World, last: int) -> None:
            def point(name: str) -> None:
                passed.append(name)
                if len(passed) == last:
                    raise Stopped

            passed.clear()
            with monkeypatch.context() as patch:
                patch.setattr(durable, "point", point)
                retention(each.storage, HOT)

        whole = world.copy(tmp_path / "whole")
        run_until(whole, 0)
        points, listed = len(passed), passed.index("rename:files.json") + 1
        assert 10 < listed < points - 3
        assert lake_rows(whole.storage) == expected
        for number in (1, listed - 1, listed, *range(listed + 1, points + 1, 3), points):
            stopped = world.copy(tmp_path / str(number))
            with pytest.raises(Stopped):
                run_until(stopped, number)
            assert lake_rows(stopped.storage) == expected
            retention(stopped.storage, HOT)
            assert lake_rows(stopped.storage) == expected
            assert Ledger(stopped.storage).archive().before == Ledger(whole.storage).archive().before
            retention(stopped.storage, HOT)
            archive = stopped.storage.archive
            assert {str(path.relative_to(archive)) for path in archive.rglob("*.parquet")} == set(
                Ledger(stopped.storage).archive().paths()
            )

    @pytest.mark.slow
    def test_killed_at_the_write_that_counts_nothing_has_moved(self, world: World, tmp_path: Path) -> None:
        expected, log = lake_rows(world.storage), tmp_path / "log"
        whole = world.copy(tmp_path / "whole")
        environment = {**os.environ, "ANALYTICS_HOT_DAYS": "32", "ANALYTICS_KILL_LOG": str(log)}

        def run(each: World, **more: str) -> int:
            return subprocess.run(
                [sys.executable, "-m", "agent_analytics.cli", "retention"],
                cwd=PROJECT_ROOT,
                env={**environment, "ANALYTICS_STORAGE": str(each.root), **more},
                capture_output=True,
                check=False,
            ).returncode

        assert run(whole) == 0
        number = log.read_text(encoding="utf-8").splitlines().index("rename:files.json") + 1
        log.unlink()
        assert run(world, ANALYTICS_KILL_AT=str(number)) == -signal.SIGKILL
        assert lake_rows(world.storage) == expected
        assert Ledger(world.storage).archive().files == []
        retention(world.storage, HOT)
        assert lake_rows(world.storage) == expected
        assert Ledger(world.storage).archive() == Ledger(whole.storage).archive()

    @pytest.mark.slow
    @pytest.mark.parametrize("folder", ["occurred_at=2026-01-01/load_id=7/event_id=5", "part*"])
    def test_a_root_is_called_as_it_likes(self, loaded: World, tmp_path: Path, folder: str) -> None:
        world, plain = loaded.copy(tmp_path / folder / "storage"), loaded.copy(tmp_path / "part1/storage")
        for days in (36, 32):
            policy = Policy(hot_days=days, landed_files="archive")
            planned = [retention(each.storage, policy, dry_run=True) for each in (world, plain)]
            assert planned[0] == planned[1]
            assert retention(world.storage, policy).moved == retention(plain.storage, policy).moved != []
        # A name at which the tests' own queries don't stumble.
        world = world.copy(tmp_path / "copy")
        assert lake_rows(world.storage) == lake_rows(loaded.storage)
        assert hot_rows(world.storage) == hot_rows(plain.storage) < hot_rows(loaded.storage)

    def test_a_damaged_list_is_named(self, world: World) -> None:
        retention(world.storage, HOT)
        path = world.storage.archive / "files.json"
        path.write_text(path.read_text(encoding="utf-8")[:-20], encoding="utf-8")
        with pytest.raises(AnalyticsError, match=r"files\.json: not a list of the archive.*restore it from a backup"):
            retention(world.storage, HOT)

    def test_a_backup_brings_the_archive_back(self, world: World, tmp_path: Path) -> None:
        retention(world.storage, Policy(hot_days=32, landed_files="archive"))
        backup(world.storage, tmp_path / "backup")
        again = World(tmp_path / "again")
        restore(again.storage, tmp_path / "backup")
        assert lake_rows(again.storage) == lake_rows(world.storage)
        assert sorted(tree(again.storage.archive)) == sorted(tree(world.storage.archive))
        assert again.ingest().load_id is None


class TestMarts:
    """Marts of two sources over 140 days: hourly ones hold 90 days, events stay 30 days in the lake."""

    MARTS = ("execution_rollup_hourly", "execution_rollup_daily", "game_rollup_hourly", "game_rollup_daily")
    HOURLY = ("provider_costs.execution_rollup_hourly", "game.game_rollup_hourly")
    SELECT = f"resource_type:seed {' '.join(f'+{mart}' for mart in MARTS)} --indirect-selection empty"

    def rows(self, world: World) -> dict[str, list[Row]]:
        schemas = ("provider_costs", "game")
        return {mart: world.query(f"from {schemas[mart.startswith('game')]}.{mart}") for mart in self.MARTS}

    def all_hours(self, world: World, mart: str) -> list[Row]:
        """What an hourly mart holds and what has left it, as one."""
        files = sorted((world.storage.archive / "marts").glob(f"{mart.split('.')[1]}-*.parquet"))
        assert files
        with duckdb.connect() as connection:
            for file in files:
                days = connection.execute(
                    "select distinct cast(hour as date)::varchar from read_parquet(?)", [str(file)]
                )
                assert {day for (day,) in days.fetchall()} <= {file.stem[-10:]}
        return world.query(f"from {mart} union all by name from read_parquet({[str(file) for file in files]})")

    def loads(self) -> list[list[Event]]:
        """Events of 40 days, then 100 days later, then late ones among the first, and at last one of another source by
        which the clock goes on."""
        generator = Generator(83)
        found = []
        for days, size in ((0, 500), (100, 250), (0, 150)):
            events = generator.events(size, "provider", "game")
            for event in events:
                moved = datetime.fromisoformat(event["occurred_at"]) + timedelta(days=days)
                event["occurred_at"] = moved.isoformat()
            found.append(events)
        clock = max(datetime.fromisoformat(event["occurred_at"]) for event in found[1]) + timedelta(days=8)
        return [*found, [generator.events(1, "crm")[0] | {"occurred_at": clock.isoformat()}]]

    def state(self, world: World) -> dict[str, list[Row]]:
        """The marts, and what the hourly ones are together with what has left them."""
        found = self.rows(world) | {f"all of {mart}": self.all_hours(world, mart) for mart in self.HOURLY}
        assert all(found.values())
        return found

    def assert_same(self, one: dict[str, list[Row]], other: dict[str, list[Row]]) -> None:
        assert {mart: found for mart, rows in one.items() if (found := differences(rows, other[mart])[:3])} == {}

    @pytest.mark.slow
    def test_incremental_equals_full_and_a_rebuild_whatever_ages_out_comes_late_or_is_taken_back(
        self, tmp_path: Path
    ) -> None:
        now = datetime(2026, 9, 1, tzinfo=UTC)
        aged, full = World(tmp_path / "aged"), World(tmp_path / "full")
        for number, load in enumerate(self.loads()):
            aged.land(load)
            aged.ingest(now)
            if number == 2:
                # Late events are in the archive before a model has read them.
                retention(aged.storage, Policy())
            aged.build(select=self.SELECT)
            retention(aged.storage, Policy())
            full.land(load)
            full.ingest(now)
        assert Ledger(aged.storage).archive().files
        full.build(select=self.SELECT)
        incremental = self.state(aged)
        self.assert_same(incremental, self.state(full))
        first = full.as_of.date() - timedelta(days=90)
        for mart in self.HOURLY:
            assert min(row["hour"].date() for row in incremental[mart.split(".")[1]]) >= first
            assert min(row["hour"].date() for row in incremental[f"all of {mart}"]) < first
        expected = oracle.execution_rollup_hourly([event for load in self.loads() for event in load])
        assert len(incremental[f"all of {self.HOURLY[0]}"]) == len(expected)
        # The clock goes back by eight days, which are held again; then all is built once more, from lake and archive.
        retract(aged.storage, 4, "wrong", now=now)
        aged.build(select=self.SELECT)
        incremental = self.state(aged)
        aged.storage.warehouse.unlink()
        aged.build(select=self.SELECT)
        self.assert_same(incremental, self.state(aged))


@pytest.mark.slow
@pytest.mark.parametrize("archived", [True, False])
def test_an_erase_reaches_archive_and_packs_and_what_comes_forward_lies_there(
    tmp_path: Path, loads: list[list[Event]], monkeypatch: pytest.MonkeyPatch, archived: bool
) -> None:
    monkeypatch.setattr(packing, "FANOUT", 4)
    old, recent = (START + timedelta(days=day, hours=5) for day in (2, DAYS - 2))
    generator = Generator(84)
    ticket = {"ticket_id": "k1", "severity": "high"}
    theirs = [
        generator.event("crm", "ticket.opened", moment, "solo", **ticket)
        for moment in (old, old + timedelta(days=1), recent, recent)
    ]
    copies = [event | {"tenant_id": "tenant-1"} for event in (theirs[0], theirs[2])]
    # One load of a pack has the tenant's events; a later one the copies that somebody else sent.
    batches = [loads[0], [*loads[1], *theirs], loads[2], loads[3], [*loads[4], *copies]]
    world = ingested(World(tmp_path / "world"), batches)
    if archived:
        retention(world.storage, Policy(hot_days=32, landed_files="archive"))
    # Of four events that are gone two have a copy, which is an event now.
    done = erase(world.storage, Subject.of(world.storage, "tenant", "solo"), "asked")
    assert (done.lines, done.events, done.copies) == (4, 2, 2)
    never = ingested(World(tmp_path / "never"), [*loads[:4], [*loads[4], *copies]])
    assert lake_rows(world.storage) == lake_rows(never.storage)
    for path in world.root.rglob("*"):
        if path.suffix == ".parquet" and path.name != "schema.parquet":
            held = duckdb.execute("select to_json(r)::varchar from read_parquet(?) as r", [str(path)]).fetchall()
            assert "solo" not in str(held), path
        elif path.is_file() and path.name != "operations.db":
            assert b"solo" not in path.read_bytes(), path
    first = {file.date: file for file in Ledger(world.storage).archive().files if file.source == "crm"}
    assert archived == (old.date().isoformat() in first)
    again = erase(world.storage, Subject.of(world.storage, "tenant", "solo"), "asked")
    assert (again.lines, again.events, again.copies) == (0, 0, 0)
    assert world.ingest().load_id is None


@pytest.mark.parametrize(
    ("rows", "present", "merged"),
    [
        (5, [], []),
        (5, [80], [80]),
        (5, [81], []),
        (1, [10, 150, 5000], [10, 150]),
        (1, [17, 1], [1, 17]),
        (100_000, [1_600_001, 3], [3, 1_600_001]),
    ],
)
def test_new_rows_of_a_day_are_written_with_files_that_are_not_much_larger(
    rows: int, present: list[int], merged: list[int]
) -> None:
    files = [
        ArchivedFile(source="s", date="d", path=str(n), rows=n, first_load=1, last_load=1, hash_probe=0)
        for n in present
    ]
    assert [file.rows for file in to_merge(rows, files)] == merged


class TestLandedFiles:
    def test_kept_by_default(self, world: World) -> None:
        before = tree(world.storage.landing)
        retention(world.storage, Policy())
        assert tree(world.storage.landing) == before

    @pytest.mark.parametrize("kind", ["archive", "remove"])
    def test_what_is_loaded_goes_and_counts_as_loaded(self, world: World, loads: list[list[Event]], kind: str) -> None:
        world.land([{"not": "loaded yet"}], "waiting.jsonl")
        changed = world.storage.landing / "00003.jsonl"
        changed.write_bytes(changed.read_bytes() + b"{}\n")
        whole = {path.name: path.read_bytes() for path in world.storage.landing.iterdir()}
        done = retention(world.storage, Policy(landed_files=kind))  # type: ignore[arg-type]
        assert done.kept == ["00003.jsonl"]
        assert sorted(tree(world.storage.landing)) == ["00003.jsonl", "waiting.jsonl"]
        archived = {path.name: path.read_bytes() for path in (world.storage.archive / "landing").glob("*")}
        gone = {name: content for name, content in whole.items() if name not in ("00003.jsonl", "waiting.jsonl")}
        assert archived == (gone if kind == "archive" else {})
        assert world.ingest().refused == ["00003.jsonl"]
        # The same file once more is the same; another one of its name is refused.
        (world.storage.landing / "00001.jsonl").write_bytes(whole["00001.jsonl"])
        (world.storage.landing / "00002.jsonl").write_bytes(whole["00001.jsonl"])
        report = world.ingest()
        assert report.load_id is None
        assert report.refused == ["00002.jsonl", "00003.jsonl"]

    def test_what_can_not_be_looked_at_is_named_and_no_landed_file_goes(self, world: World, tmp_path: Path) -> None:
        before = tree(world.storage.landing)
        (world.storage.landing / "linked").symlink_to(tmp_path)
        policy = Policy(landed_files="remove")
        for dry_run in (True, False):
            with pytest.raises(AnalyticsError, match="/landing/linked: a symlink to a folder is not followed"):
                retention(world.storage, policy, dry_run)
        assert tree(world.storage.landing) == before


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ANALYTICS_HOT_DAYS", "0"),
        ("ANALYTICS_HOT_DAYS", "a week"),
        ("ANALYTICS_HOT_DAYS", "365001"),
        ("ANALYTICS_HOURLY_DAYS", "59"),
        ("ANALYTICS_LANDED_FILES", "delete"),
    ],
)
def test_a_policy_that_can_not_be_understood_is_named(name: str, text: str) -> None:
    with pytest.raises(AnalyticsError, match=name):
        Policy.from_env({name: text})


def test_the_policy_of_the_environment() -> None:
    assert Policy.from_env({}) == Policy(30, 90, "keep")
    named = {"ANALYTICS_HOT_DAYS": "7", "ANALYTICS_HOURLY_DAYS": "60", "ANALYTICS_LANDED_FILES": "archive"}
    assert Policy.from_env(named) == Policy(7, 60, "archive")
