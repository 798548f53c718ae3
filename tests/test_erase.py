"""After an erase nothing of a tenant, or a user, is left under the storage root, and all else is as it would have been
without them."""

from __future__ import annotations

import csv
import gzip
import json
import os
import signal
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import polars
import pytest
from events import Generator
from harness import Event, World, differences
from killed import killed_at

from agent_analytics import cli, packing
from agent_analytics.backup import backup, restore
from agent_analytics.errors import AnalyticsError
from agent_analytics.hashing import hash_key, key_check_path
from agent_analytics.ingest import ingest
from agent_analytics.ledger import Ledger
from agent_analytics.locking import writer_lock
from agent_analytics.operations import audit, database, tables
from agent_analytics.privacy import erase as erasing
from agent_analytics.privacy.erase import erase
from agent_analytics.privacy.holdings import export
from agent_analytics.privacy.subject import Kind, Subject

TENANT, USER = "ténant-zq7", "zoë.q@example.com"
REASON = "asked to be forgotten"


def events(seed: int, count: int = 300) -> list[Event]:
    """Events of several sources, some of them the tenant's or the user's, with copies of their own."""
    generator = Generator(seed)
    made = generator.events(count, "platform", "delivery", "crm")
    for number, event in enumerate(made):
        if number % 7 == 0:
            event["tenant_id"] = TENANT
        if number % 5 == 0:
            event["user_id"] = USER
    return made


def is_of(subject: Subject) -> Callable[[Event], bool]:
    return lambda event: event.get(subject.column) == subject.id


def bad_lines(event: Event) -> list[str]:
    """Rejected lines about the two."""
    text = json.dumps({**event, "tenant_id": TENANT, "user_id": USER}, ensure_ascii=False)
    lines = [text[: len(text) * 9 // 10], json.dumps([TENANT, USER]), text.replace('"source"', '"sauce"')]
    lines += [json.dumps({**event, "event_id": 7, "correlation_id": name}) for name in (TENANT, USER)]
    return lines


def fill(world: World, kept: Callable[[Event], bool] = lambda event: True) -> World:
    """Several loads, in all the forms that files have; only of the events that are `kept`."""
    for number in range(5):
        world.land(filter(kept, events(number)))
        world.ingest()
    packed = world.storage.landing / "deep" / "p.jsonl.gz"
    packed.parent.mkdir()
    packed.write_bytes(gzip.compress("".join(json.dumps(e) + "\n" for e in filter(kept, events(7))).encode()))
    world.land(filter(kept, events(8)), "source.jsonl").rename(world.root / "source.jsonl")
    with duckdb.connect() as connection:
        source, target = world.root / "source.jsonl", world.storage.landing / "rows.parquet"
        connection.execute(f"copy (from read_json('{source}', format = 'newline_delimited')) to '{target}'")
        source.unlink()
    world.ingest()
    with world.land([]).open("w") as file:
        file.writelines(f"{line}\n" for line in bad_lines(events(9)[0]))
    world.ingest()
    world.land(filter(kept, events(0)), "copies.jsonl")
    world.ingest()
    return world


def found(root: Path, *words: str) -> list[str]:
    """The files whose name or content, unpacked, holds one of the words; of the operations database all but audits."""
    holding = []
    for path in root.rglob("*"):
        name = str(path.relative_to(root))
        contents = [name.encode()]
        if path.is_file() and path.name != "operations.db":
            contents.append(path.read_bytes())
            if path.name.endswith(".gz"):
                contents.append(gzip.decompress(contents[-1]))
            if path.name.endswith(".parquet"):
                with duckdb.connect() as connection:
                    rows = connection.execute("select to_json(r)::varchar from read_parquet(?) as r", [str(path)])
                    contents.append(str(rows.fetchall()).encode())
        forms = [form.encode() for word in words for form in (word, json.dumps(word)[1:-1])]
        if any(form in content for form in forms for content in contents):
            holding.append(name)
    return holding


def lake(world: World) -> list[tuple[object, ...]]:
    """The standing events as the ledger says where they are, whose counts are right."""
    rows: list[tuple[object, ...]] = []
    with duckdb.connect() as connection:
        for entry in Ledger(world.storage).entries():
            clocks = []
            for file in entry.parquet_files():
                held = connection.execute(
                    "select event_id, tenant_id, user_id, load_id, occurred_at from read_parquet(?) where load_id = ?",
                    [str(world.storage.lake / file.path), entry.load_id],
                ).fetchall()
                assert len(held) == file.rows > 0
                if file in entry.lake:
                    rows += held
                    clocks += [row[4] for row in held]
            gone = entry.erased
            for name, files in (("accepted", entry.lake), ("duplicates", entry.duplicates)):
                read = sum(getattr(file, name) for file in entry.files)
                assert sum(file.rows for file in files) == read - (getattr(gone, name) if gone else 0)  # type: ignore[attr-defined]
            newest = datetime.fromisoformat(entry.clock).replace(tzinfo=None) if entry.clock else None
            assert newest == max(clocks, default=None)
    return sorted(rows, key=str)


def subject_of(world: World, kind: Kind) -> Subject:
    return Subject.of(world.storage, kind, TENANT if kind == "tenant" else USER)


def content(root: Path) -> dict[Path, bytes]:
    """All files but those that a refused command may write."""
    return {
        path: path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and path.name not in ("operations.db", ".lock")
    }


def small(tmp_path: Path) -> World:
    """A file of two events that is loaded, one of them the tenant's and the user's."""
    world = World(tmp_path / "storage")
    mine, other = events(1, 2)
    world.land([mine | {"tenant_id": TENANT, "user_id": USER}, other | {"tenant_id": "else", "user_id": "else"}])
    world.ingest()
    return world


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Loads, some of them packed, without a warehouse; not to be changed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing, "FANOUT", 4)
        return fill(World(tmp_path_factory.mktemp("filled") / "storage"))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["tenant", "user"])
def test_nothing_is_left_and_nothing_is_loaded_again(filled: World, tmp_path: Path, kind: Kind) -> None:
    world = filled.copy(tmp_path / "storage")
    subject = subject_of(world, kind)
    world.land(events(10), f"of-{subject.id}/{subject.id}.jsonl")
    world.ingest()
    not_loaded = world.land(events(11))
    others = [event for event in events(11) if not is_of(subject)(event)]
    done = erase(world.storage, subject, REASON)
    assert done.lines > done.events > 100
    assert done.rejected >= 4
    assert found(world.root, *subject.words) == []
    assert [json.loads(line) for line in not_loaded.read_text().split("\n") if line] == others
    not_loaded.unlink()
    again = world.ingest()
    assert (again.load_id, again.refused, again.failed) == (None, [], {})
    without = fill(World(tmp_path / "without"), lambda event: not is_of(subject)(event))
    without.land(event for event in events(10) if not is_of(subject)(event))
    without.ingest()
    assert lake(world) == lake(without)


def test_whoever_only_has_a_longer_id_stays(tmp_path: Path) -> None:
    world = World(tmp_path / "storage")
    longer = [{**event, "tenant_id": f"{TENANT}-2", "user_id": f"a{USER}"} for event in events(1, 20)]
    path = world.land(longer)
    path.write_text(path.read_text() + f'{{"tenant_id": "{TENANT}-2", "user_id": "a{USER}\n')
    world.ingest()
    kept = [path for folder in ("landing", "lake", "quarantine") for path in (world.root / folder).rglob("*.*l*")]
    before = {path: path.read_bytes() for path in kept}
    for kind in ("tenant", "user"):
        done = erase(world.storage, subject_of(world, kind), REASON)  # type: ignore[arg-type]
        assert (done.lines, done.events, done.rejected) == (0, 0, 0)
    assert {path: path.read_bytes() for path in kept} == before


def test_twice_is_once(filled: World, tmp_path: Path) -> None:
    world = filled.copy(tmp_path / "storage")
    erase(world.storage, subject_of(world, "user"), REASON)
    once = Ledger(world.storage).entries()
    done = erase(world.storage, subject_of(world, "user"), REASON)
    assert (done.lines, done.events, done.copies, done.rejected) == (0, 0, 0, 0)
    assert Ledger(world.storage).entries() == once
    erase(world.storage, subject_of(world, "tenant"), REASON)
    assert found(world.root, TENANT, *subject_of(world, "user").words) == []
    assert world.ingest().load_id is None


def test_a_copy_that_somebody_else_sent_comes_forward(tmp_path: Path) -> None:
    world = World(tmp_path / "storage")
    [one, other] = events(1)[:2]
    one |= {"tenant_id": TENANT, "event_id": "shared"}
    alone = one | {"tenant_id": "else", "event_id": "alone"}
    for batch in (
        [one],
        [one | {"tenant_id": "first"}, other | {"tenant_id": "else"}],
        [one | {"tenant_id": "second"}],
        [alone],
    ):
        world.land(batch)
        world.ingest()
    erase(world.storage, subject_of(world, "tenant"), REASON)
    held = {(row[0], row[1], row[3]) for row in lake(world)}
    assert {("shared", "first", 2), ("alone", "else", 4)} <= held
    assert len([row for row in held if row[0] == "shared"]) == 1


def test_a_file_that_was_refused_as_changed_is_rewritten_and_stays_refused(tmp_path: Path) -> None:
    world = World(tmp_path / "storage")
    path = world.land(events(1))
    world.ingest()
    path.write_text(path.read_text() + json.dumps(events(2)[0]) + "\n")
    assert world.ingest().refused == [path.name]
    erase(world.storage, subject_of(world, "tenant"), REASON)
    assert found(world.root, TENANT) == []
    assert world.ingest().refused == [path.name]


def test_rows_of_a_parquet_file_keep_their_numbers(tmp_path: Path) -> None:
    world = World(tmp_path / "storage")
    path = world.storage.landing / "rows.parquet"
    path.parent.mkdir(parents=True)
    event = events(1, 8)[3] | {"tenant_id": "else", "user_id": "nobody"}
    rows = [event | {"event_id": f"e{number}", "properties": json.dumps(event["properties"])} for number in range(6)]
    rows[1]["tenant_id"] = TENANT
    rows[2] |= {"tenant_id": TENANT, "source": "nowhere"}
    rows[4] |= {"source": "nowhere", "session_id": USER}
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    with duckdb.connect() as connection:
        connection.execute(f"copy (from read_json('{tmp_path / 'rows.json'}')) to '{path}'")
        world.ingest()
        assert erase(world.storage, subject_of(world, "tenant"), REASON).lines == 2
        assert erase(world.storage, subject_of(world, "user"), REASON).lines == 1
        left = connection.execute("select event_id from read_parquet(?)", [str(path)]).fetchall()
    assert [event_id for (event_id,) in left] == ["e0", None, None, "e3", None, "e5"]
    assert found(world.root, TENANT, *subject_of(world, "user").words) == []
    assert (world.ingest().load_id, world.ingest().refused) == (None, [])


def test_operations_and_dagster_forget_and_the_audit_keeps_the_hash(filled: World, tmp_path: Path) -> None:
    world = filled.copy(tmp_path / "storage")
    subject = subject_of(world, "tenant")
    now = datetime(2026, 1, 1)
    incident = {
        "kind": "kpi",
        "threshold_id": "t",
        "scope": "tenant",
        "window_type": "",
        "title": "t",
        "severity": "warning",
    }
    incident |= {"status": "open", "good_evaluations": 0, "opened_at": now, "updated_at": now}
    with database.connect(world.storage) as connection:
        for ref, details in ((TENANT, None), ("other", [{"evidence": f"seen at {TENANT}"}])):
            connection.execute(tables.incidents.insert().values(**incident, scope_ref=ref, details=details))
        for number in (1, 2):
            event = {"incident_id": number, "at": now, "event": "opened", "severity": "warning", "note": TENANT}
            connection.execute(tables.incident_events.insert().values(**event))
    audit.record(world.storage, "accept", "delivery", reason=f"{TENANT} called")
    home = world.root / "dagster"
    home.mkdir()
    with sqlite3.connect(home / "runs.db") as history:
        history.execute("create table event_logs (id integer, event text)")
        history.executemany("insert into event_logs values (?, ?)", [(1, f'{{"t": "{TENANT}"}}'), (2, "other")])
    (home / "log").write_text(TENANT)
    erase(world.storage, subject, REASON)
    for form in (TENANT, json.dumps(TENANT)[1:-1]):
        assert not [path for path in world.root.rglob("*") if path.is_file() and form.encode() in path.read_bytes()]
    with database.connect(world.storage) as connection:
        assert connection.execute(tables.incidents.select()).mappings().one()["scope_ref"] == "other"
    newest = audit.entries(world.storage, "erase")[0]
    assert (newest.subject, newest.reason) == (f"tenant {subject.hash}", REASON)
    with sqlite3.connect(home / "runs.db") as history:
        assert history.execute("select id from event_logs").fetchall() == [(2,)]


def test_what_is_refused_changes_nothing(filled: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = filled.copy(tmp_path / "storage")
    subject = subject_of(world, "tenant")

    def refused(match: str, reason: str = REASON) -> None:
        before = content(world.root)
        with pytest.raises(AnalyticsError, match=match) as caught:
            erase(world.storage, subject, reason)
        assert TENANT not in str(caught.value) and "\n" not in str(caught.value)
        assert content(world.root) == before

    refused("don't name the tenant", f"{TENANT} asked")
    (tmp_path / "seeds").mkdir()
    (tmp_path / "seeds" / "tenants.csv").write_text(f"tenant_id,plan\nother,free\n{TENANT},free\n")
    with monkeypatch.context() as patch:
        patch.setattr(erasing, "REFERENCE", tmp_path / "seeds")
        refused("seeds/tenants.csv, line 3, names this tenant: remove it there first")
    cut = world.storage.landing / "cut.jsonl.gz"
    cut.write_bytes(gzip.compress(b"{}\n" * 1000)[:-9])
    refused("landing/cut.jsonl.gz can't be read")
    cut.unlink()
    waiting = world.storage.landing / "late.jsonl.part"
    waiting.write_text(json.dumps({"tenant_id": TENANT}))
    refused("landing/late.jsonl.part is not a file that is loaded, but names the tenant")
    waiting.unlink()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "x.jsonl").write_text(json.dumps({"tenant_id": TENANT}))
    link = world.storage.landing / "deep" / f"{TENANT}.jsonl"
    link.symlink_to(elsewhere / "x.jsonl")
    refused("landing/deep/erased-.*.jsonl is a symlink: what it points to lies outside; put the file itself here")
    link.unlink()
    for name in (TENANT, ".hidden"):
        link = world.storage.landing / "deep" / name
        link.symlink_to(elsewhere)
        refused("landing/deep/.* is a symlink: what it points to lies outside; put the folder itself here")
        link.unlink()
    scandir = os.scandir

    def forbidding(path: Path | str | int) -> object:
        if str(path).endswith("/deep"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", forbidding)
        refused("the folder landing/deep can't be read .Permission denied.: let the user who runs this read it")


def test_another_key_is_refused_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    world = small(tmp_path)
    before, key = content(world.root), os.environ["ANALYTICS_HASH_KEY"]
    monkeypatch.setenv("ANALYTICS_STORAGE", str(world.root))
    world.land(events(2, 2))
    landed = content(world.storage.landing)
    out = str(tmp_path / "out")
    for other in ("another", ""):
        monkeypatch.setenv("ANALYTICS_HASH_KEY", other)
        for command in (
            ["erase", "--user", USER, "--reason", REASON],
            ["export", "user", USER, "--out", out],
            ["ingest"],
        ):
            assert cli.execute(command) == 1
            assert "users here are hashed with another key: set ANALYTICS_HASH_KEY" in capsys.readouterr().err
    assert content(world.root) == before | landed
    assert key not in key_check_path(world.storage).read_text()
    monkeypatch.setenv("ANALYTICS_HASH_KEY", key)
    assert erase(world.storage, subject_of(world, "user"), REASON).events == 1
    assert world.ingest().load_id == 2


def test_the_key_of_an_older_root_is_kept_and_goes_into_backups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, again = small(tmp_path), World(tmp_path / "again")
    check = key_check_path(world.storage)
    check.unlink()
    monkeypatch.delenv("ANALYTICS_HASH_KEY")
    with pytest.raises(AnalyticsError, match="hashed with another key"):
        hash_key(world.storage)
    assert not check.exists() and not (world.root / ".hash_key").exists()
    monkeypatch.undo()
    # Whoever loads nothing settles nothing, be it with the wrong key.
    hash_key(world.storage)
    assert not check.exists()
    world.land(events(2, 2))
    world.ingest()
    assert check.exists()
    backup(world.storage, tmp_path / "backup")
    restore(again.storage, tmp_path / "backup")
    assert key_check_path(again.storage).read_bytes() == check.read_bytes()
    assert erase(again.storage, subject_of(again, "user"), REASON).events >= 1


@pytest.mark.slow
def test_until_the_first_load_is_committed_any_key_may_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path / "storage")
    world.land(events(1, 5))
    monkeypatch.delenv("ANALYTICS_HASH_KEY")
    at_once = World(tmp_path / "at-once")
    with ThreadPoolExecutor(4) as threads:
        logs = [tmp_path / f"log-at-once-{number}" for number in range(4)]
        assert set(threads.map(lambda log: killed_at(None, log, hash_key, at_once.storage), logs)) == {0}
    log = tmp_path / "log"
    assert killed_at(None, log, ingest, world.copy(tmp_path / "whole").storage) == 0
    points = log.read_text().splitlines()
    for number in range(1, len(points) + 1):
        tried = world.copy(tmp_path / f"killed-{number}")
        monkeypatch.delenv("ANALYTICS_HASH_KEY", raising=False)
        assert killed_at(number, tmp_path / f"log-{number}", ingest, tried.storage) == -signal.SIGKILL
        monkeypatch.setenv("ANALYTICS_HASH_KEY", "another")
        assert tried.ingest().load_id == 1
        assert tried.ingest().load_id is None
        monkeypatch.delenv("ANALYTICS_HASH_KEY")
        with pytest.raises(AnalyticsError, match="hashed with another key"):
            tried.ingest()


def test_numbers_of_any_length_and_nesting_of_any_depth_are_gone_through(tmp_path: Path) -> None:
    world = small(tmp_path)
    [event] = events(3, 1)
    event |= {"tenant_id": "else", "user_id": USER}
    path = world.land([])
    for number, value in enumerate(("1" * 5000, "[" * 5000 + "]" * 5000)):
        text = json.dumps({**event, "event_id": f"long-{number}", "properties": {**event["properties"], "odd": "\\x"}})
        path.write_text(path.read_text() + text.replace('"\\\\x"', f'"\\\\x", "long": {value}') + "\n")
    assert world.ingest().lines == 2
    export(world.storage, subject_of(world, "user"), tmp_path / "out")
    assert len(json.loads((tmp_path / "out" / "landing.json").read_text())) == 3
    assert erase(world.storage, subject_of(world, "user"), REASON).lines == 3
    assert found(world.root, *subject_of(world, "user").words) == []


@pytest.mark.parametrize("name", ["x.jsonl", "x.jsonl.gz", "x.parquet"])
def test_a_file_keeps_its_mode_and_owner(tmp_path: Path, name: str) -> None:
    world = World(tmp_path / "storage")
    path = world.land([event | {"properties": "{}"} for event in events(1, 30)], name)
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(path.read_bytes()))
    elif name.endswith(".parquet"):
        path.rename(tmp_path / "rows")
        with duckdb.connect() as connection:
            connection.execute(
                f"copy (from read_json('{tmp_path / 'rows'}', format = 'newline_delimited')) to '{path}'"
            )
    owner = 1234 if os.geteuid() == 0 else os.getuid()
    os.chown(path, owner, -1)
    for mode in (0o600, 0o444):
        path.chmod(mode)
        assert erase(world.storage, subject_of(world, "tenant" if mode == 0o600 else "user"), REASON).files == 1
        assert (path.stat().st_mode & 0o777, path.stat().st_uid) == (mode, owner)


@pytest.mark.slow
def test_nothing_in_a_path_is_a_pattern_or_a_column(tmp_path: Path) -> None:
    """Rows of `x[1].parquet` and of `x1.parquet`, in folders named as partitions are."""
    world = fill(World(tmp_path / "storage"))
    folder = world.storage.landing / "tenant_id=else" / "deep=*"
    folder.mkdir(parents=True)
    with duckdb.connect() as connection:
        for name, tenant in (("x[1]", TENANT), ("x1", "else"), ("x?", TENANT)):
            rows = f"select '{name}' as event_id, '{tenant}' as tenant_id"
            connection.execute(f"copy ({rows}) to '{folder / name}.parquet' (format parquet)")
        counts = {}
        for root in ("plain", "user_id=else/tenant_id=else/a[1]*?"):
            one = world.copy(tmp_path / root)
            subject = subject_of(one, "tenant")
            out = tmp_path / "out" / root
            held = export(one.storage, subject, out)
            landed = json.loads((out / "landing.json").read_text())
            mine = [json.loads(row["line"]) for row in landed if "=else" in row["file"]]
            assert [(row["event_id"], row["tenant_id"]) for row in mine] == [("x?", TENANT), ("x[1]", TENANT)]
            counts[root] = (held, erase(one.storage, subject, REASON), lake_of_plain(one, tmp_path / "looked-at"))
            there = one.storage.landing / "tenant_id=else" / "deep=*"
            for name, left in (("x[1]", 0), ("x1", 1), ("x?", 0)):
                with (there / f"{name}.parquet").open("rb") as file:
                    assert polars.read_parquet(file).height == left
        assert len({str(seen) for seen in counts.values()}) == 1


def lake_of_plain(world: World, at: Path) -> list[tuple[object, ...]]:
    """The standing events, looked at where no pattern is in the path."""
    world.root.rename(at)
    rows = lake(World(at))
    at.rename(world.root)
    return rows


@pytest.mark.slow
def test_killed_at_any_write_the_next_erase_ends_it(filled: World, tmp_path: Path) -> None:
    """At a third of the points: the others follow on each other."""
    subject = subject_of(filled, "user")
    whole, log = filled.copy(tmp_path / "whole"), tmp_path / "log"
    assert killed_at(None, log, erase, whole.storage, subject, REASON) == 0
    points = log.read_text().splitlines()
    assert len(points) > 10
    for number in range(1, len(points) + 1, 3):
        world, log = filled.copy(tmp_path / f"killed-{number}"), tmp_path / f"log-{number}"
        done = killed_at(number, log, erase, world.storage, subject, REASON)
        assert done == -signal.SIGKILL, points[number - 1]
        if world.storage.erasing.exists():
            with (
                pytest.raises(AnalyticsError, match="an erase did not come to its end"),
                writer_lock(world.storage, "run"),
            ):
                pass
        assert Ledger(world.storage).entries()
        erase(world.storage, subject, REASON)
        assert found(world.root, *subject.words) == [], points[number - 1]
        assert lake(world) == lake(whole)
        assert world.ingest().load_id is None and world.ingest().refused == []


@pytest.mark.parametrize("kind", ["tenant", "user"])
def test_an_export_holds_what_an_erase_takes_away(filled: World, tmp_path: Path, kind: Kind) -> None:
    world = filled.copy(tmp_path / "storage")
    subject = subject_of(world, kind)
    with duckdb.connect() as connection:
        connection.execute(f"attach '{tmp_path / 'analytics.duckdb'}' as made")
        connection.execute("create schema made.usage")
        rows = f"(values ('{subject.stored}', 1), ('other', 2)) as rows ({subject.column}, events)"
        connection.execute(f"create table made.usage.daily as from {rows}")
    version = world.storage.versions / "1"
    version.mkdir(parents=True)
    (tmp_path / "analytics.duckdb").rename(version / "analytics.duckdb")
    (version / "manifest.json").write_text("{}")
    world.storage.published.symlink_to("versions/1")
    aged = world.storage.archive / "marts"
    aged.mkdir(parents=True)
    with duckdb.connect() as connection:
        for date, extra in (("2026-01-01", ""), ("2026-01-02", ", 5 as added")):
            rows = f"(values ('{subject.stored}', 1), ('other', 2)) as rows ({subject.column}, events)"
            target = aged / f"daily-{date}.parquet"
            connection.execute(f"copy (select * {extra} from {rows}) to '{target}' (format parquet)")
        connection.execute(f"copy (select 1 as events) to '{aged / 'other-2026-01-01.parquet'}' (format parquet)")
    (aged / "tmp_daily-2026-01-03.parquet").write_bytes(b"half written")
    out = tmp_path / "out"
    counts = export(world.storage, subject, out)
    held = {path.stem: json.loads(path.read_text()) for path in out.glob("*.json")}
    assert {name: len(rows) for name, rows in held.items()} == counts
    for name, rows in held.items():
        with (out / f"{name}.csv").open(newline="") as text:
            assert len(list(csv.DictReader(text))) == len(rows)
    assert held["mart-daily"] == [{subject.column: subject.stored, "events": 1}]
    assert held["mart-daily-archived"] == [
        {subject.column: subject.stored, "events": 1, "added": added} for added in (5, None)
    ]
    assert audit.entries(world.storage, "export")[0].subject == subject.name
    mine = {row[0] for row in lake(world) if row[1 if kind == "tenant" else 2] == subject.stored}
    assert {row["event_id"] for name in held if name.startswith("events-") for row in held[name]} == mine
    world.storage.published.unlink()
    done = erase(world.storage, subject, REASON)
    assert (len(held["landing"]), len(held["quarantine"])) == (done.lines, done.rejected)
    assert sum(len(held[name]) for name in held if name.startswith("events-")) == done.events
    assert sum(len(held[name]) for name in held if name.startswith("copies-")) == done.copies
    with pytest.raises(AnalyticsError, match=f"nothing is held on this {kind}"):
        export(world.storage, subject, tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()
    with pytest.raises(AnalyticsError, match="id is empty"):
        Subject.of(world.storage, kind, " ")
    with pytest.raises(AnalyticsError, match="is not empty"):
        export(world.storage, subject, out)


@pytest.mark.slow
def test_the_marts_are_those_of_a_warehouse_that_never_saw_the_events(
    world: World, another_world: World, tmp_path: Path
) -> None:
    subject = subject_of(world, "user")
    world.land(events(1))
    world.run()
    world.land([{**event, "occurred_at": str(event["occurred_at"])} for event in events(2)])
    world.run()
    assert found(world.storage.versions, subject.hash) or len(list(world.storage.versions.iterdir())) == 2
    done = erase(world.storage, subject, REASON)
    assert done.problems == ()
    assert [path.name for path in world.storage.versions.iterdir()] == [str(done.version)]
    assert found(world.root, *subject.words) == []
    for seed in (1, 2):
        another_world.land(event for event in events(seed) if not is_of(subject)(event))
        another_world.ingest()
    another_world.run()
    without = another_world.published_marts()
    different = {name: differences(rows, without[name]) for name, rows in world.published_marts().items()}
    assert {name: seen for name, seen in different.items() if seen} == {}
    assert world.run().ingest.load_id is None
    assert timedelta(0) <= datetime.now(UTC) - audit.entries(world.storage, "erase")[0].at.replace(tzinfo=UTC)
