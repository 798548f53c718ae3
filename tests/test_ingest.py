"""Promises 1, 2 and 4, and privacy at ingest: each tried by breaking it."""

from __future__ import annotations

import errno
import gzip
import hashlib
import hmac
import json
import os
import random
import re
import shutil
import stat
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from itertools import chain
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml
from killed import killed_at

from agent_analytics import landing
from agent_analytics.contract import Contract, load_contract
from agent_analytics.errors import AnalyticsError
from agent_analytics.hashing import keyed_hash, keyed_hash_sql, pads
from agent_analytics.ingest import IngestReport, ingest, prepare_lake, replay, retract
from agent_analytics.ledger import Ledger
from agent_analytics.lines import judge
from agent_analytics.stage import Stage
from agent_analytics.storage import PROJECT_ROOT, Storage

NOW = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)
KEY = "a key for tests"


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Storage:
    monkeypatch.setenv("ANALYTICS_HASH_KEY", KEY)
    (tmp_path / "landing").mkdir()
    return Storage(tmp_path)


def event(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "event_id": f"e{number}",
        "source": "platform",
        "event_type": "document.uploaded",
        "occurred_at": "2026-05-01T00:00:00Z",
        "tenant_id": "t",
        "user_id": "bob",
        "properties": {"document_id": f"d{number}", "size_bytes": number, "storage_class": "documents"},
    } | changes


def line(number: int, **changes: Any) -> bytes:
    return json.dumps(event(number, **changes)).encode()


def land(storage: Storage, name: str, *lines: bytes) -> Path:
    path = storage.landing / name
    path.parent.mkdir(parents=True, exist_ok=True)
    body = b"".join(line + b"\n" for line in lines)
    path.write_bytes(gzip.compress(body) if name.endswith(".gz") else body)
    return path


def query(sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with duckdb.connect() as connection:
        return connection.execute(sql, list(parameters)).fetchall()


def standing_rows(storage: Storage) -> list[tuple[Any, ...]]:
    """All that the ledger says is in the lake, but for the load that it came with."""
    rows = []
    for _, file in Ledger(storage).lake_files():
        columns = [name for name, _ in load_contract().lake_columns(file.source) if name != "load_id"]
        listed = ", ".join(f'"{name}"' for name in columns)
        found = query(f"select {listed} from read_parquet(?)", str(storage.lake / file.path))
        assert len(found) == file.rows
        rows += [(file.source, *row) for row in found]
    return rows


def ids(storage: Storage, path: str) -> list[str]:
    return [row[0] for row in query("select event_id from read_parquet(?)", str(storage.lake / path))]


def quarantine(storage: Storage, load_id: int) -> list[tuple[Any, ...]]:
    path = storage.quarantine / f"{load_id}.parquet"
    return query("select file, line_number, reason, line, raw, user_id_hashed from read_parquet(?)", str(path))


def counts(report: IngestReport) -> tuple[int, int, int, int]:
    return report.lines, report.accepted, report.duplicates, report.rejected


# Promise 1: each file once


def test_published_samples_load_whole(storage: Storage) -> None:
    shutil.copytree(PROJECT_ROOT / "samples" / "landing", storage.landing, dirs_exist_ok=True)
    report = ingest(storage)
    assert {file.path: file.accepted for file in report.files} == {
        "open-source-releases.jsonl.gz": 571,
        "swe-bench-verified-2025-11.jsonl.gz": 22163,
    }
    assert counts(report) == (22734, 22734, 0, 0)
    with gzip.open(storage.landing / "swe-bench-verified-2025-11.jsonl.gz") as handle:
        calls = [json.loads(text)["properties"] for text in handle if b'"provider.called"' in text]
    costs = [Decimal(repr(call["cost_usd"])) for call in calls if "cost_usd" in call]
    assert round(sum(costs), 6) == Decimal("224.489205")
    rounded = sum(cost.quantize(Decimal("0.000001"), ROUND_HALF_UP) for cost in costs)
    sql = "select sum(tokens_in), sum(cost_usd), count(cost_usd) from read_parquet(?) where event_type like '%.called'"
    assert query(sql, str(storage.lake / "provider/1.parquet")) == [(333_047_929, rounded, 19_584)]


def test_an_empty_landing_makes_no_load(storage: Storage) -> None:
    assert ingest(storage, now=NOW).load_id is None
    storage.landing.rmdir()
    assert ingest(storage, now=NOW).load_id is None
    assert Ledger(storage).entries() == []


def test_a_file_is_loaded_once_and_a_touched_one_is_not_loaded_again(storage: Storage) -> None:
    path = land(storage, "a.jsonl", line(1))
    assert ingest(storage, now=NOW).load_id == 1
    assert ingest(storage, now=NOW).load_id is None
    os.utime(path, ns=(1, 1))
    report = ingest(storage, now=NOW)
    assert (report.load_id, report.ok) == (None, True)


def test_a_touched_file_is_hashed_once(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    path = land(storage, "a.jsonl", line(1))
    ingest(storage, now=NOW)
    os.utime(path, ns=(1, 1))
    assert ingest(storage, now=NOW).ok
    with monkeypatch.context() as patched:
        patched.setattr("agent_analytics.landing.file_hash", lambda _: pytest.fail("hashed again"))
        assert ingest(storage, now=NOW).ok
    seen = storage.loads / ".seen.json"
    seen.write_text("[1, 2]")
    assert ingest(storage, now=NOW).ok
    path.write_bytes(line(2) + b"\n")
    assert ingest(storage, now=NOW).refused == ["a.jsonl"]


def test_a_changed_file_is_refused_by_name_and_others_load(storage: Storage) -> None:
    path = land(storage, "sub/a.jsonl", line(1))
    ingest(storage, now=NOW)
    path.write_bytes(line(2) + b"\n")
    land(storage, "b.jsonl", line(3))
    report = ingest(storage, now=NOW)
    assert (report.refused, report.ok, report.load_id, report.accepted) == (["sub/a.jsonl"], False, 2, 1)


def test_unfinished_hidden_and_foreign_files_are_left_alone(storage: Storage) -> None:
    for name in ("a.jsonl.tmp", "a.jsonl.part", ".a.jsonl", ".hidden/a.jsonl", "a.json", "a.csv", "x.part/a.jsonl"):
        land(storage, name, line(1))
    assert ingest(storage, now=NOW).load_id is None


def test_the_same_content_under_another_path_is_a_new_file_of_duplicates(storage: Storage) -> None:
    land(storage, "a.jsonl", line(1), line(2))
    ingest(storage, now=NOW)
    land(storage, "b.jsonl", line(1), line(2))
    assert counts(ingest(storage, now=NOW)) == (2, 0, 2, 0)


def test_a_damaged_file_is_named_and_others_load(storage: Storage) -> None:
    whole = land(storage, "cut.jsonl.gz", *(line(number) for number in range(1000)))
    whole.write_bytes(whole.read_bytes()[:-20])
    (storage.landing / "no.jsonl.gz").write_bytes(b"not gzip")
    (storage.landing / "no.parquet").write_bytes(b"not parquet")
    land(storage, "good.jsonl", line(1))
    report = ingest(storage, now=NOW)
    assert sorted(report.failed) == ["cut.jsonl.gz", "no.jsonl.gz", "no.parquet"]
    assert (report.ok, report.accepted, [file.path for file in report.files]) == (False, 1, ["good.jsonl"])
    land(storage, "cut.jsonl.gz", line(5))
    os.unlink(storage.landing / "no.jsonl.gz")
    os.unlink(storage.landing / "no.parquet")
    assert ingest(storage, now=NOW).accepted == 1


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """A function that makes a folder one that can't be read: to the superuser permissions say nothing."""

    def close(folder: Path) -> None:
        scan = os.scandir

        def refuse(path: Any = ".") -> Any:
            if path == str(folder):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
            return scan(path)

        monkeypatch.setattr(os, "scandir", refuse)

    return close


def test_a_folder_that_cannot_be_read_is_named_and_others_load(
    storage: Storage, closed: Callable[[Path], None]
) -> None:
    for name in ("closed/a.jsonl", "open/a.jsonl"):
        land(storage, name, line(1))
    closed(storage.landing / "closed")
    report = ingest(storage, now=NOW)
    assert report.failed == {"closed": "Permission denied"}
    assert (report.ok, [file.path for file in report.files]) == (False, ["open/a.jsonl"])
    assert landing.landed_files(storage) == ["open/a.jsonl"]
    with pytest.raises(AnalyticsError, match=r"^\S+/landing/closed: Permission denied; mend that first$"):
        landing.files_in(storage.landing)


def test_a_landing_that_cannot_be_read_is_not_an_empty_one(storage: Storage, closed: Callable[[Path], None]) -> None:
    closed(storage.landing)
    assert ingest(storage, now=NOW).failed == {".": "Permission denied"}


def test_a_symlinked_folder_is_named_and_others_load(storage: Storage, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/a.jsonl").write_bytes(line(1))
    land(storage, "b.jsonl", line(2))
    for name in ("linked", ".hidden"):
        (storage.landing / name).symlink_to(tmp_path / "elsewhere")
    # What this one leads to is found where it lies; what fsck made is nobody's.
    (storage.landing / "latest").symlink_to(storage.landing)
    (storage.landing / "lost+found").mkdir()
    (storage.landing / "lost+found/b.jsonl").write_bytes(line(3))
    # A symlink to a file is one.
    (storage.landing / "c.jsonl").symlink_to(tmp_path / "elsewhere/a.jsonl")
    report = ingest(storage, now=NOW)
    assert report.failed == {"linked": "a symlink to a folder is not followed; land the files themselves"}
    assert [file.path for file in report.files] == ["b.jsonl", "c.jsonl"]
    with pytest.raises(AnalyticsError, match="/landing/linked: a symlink to a folder is not followed"):
        landing.files_in(storage.landing)


def test_a_name_that_is_not_utf_8_is_named_is_never_new_and_others_load(storage: Storage) -> None:
    top = os.fsencode(storage.landing)
    os.mkdir(top + b"/d\xfc")
    for name in (b"/a\xff.jsonl", b"/d\xfc/a.jsonl"):
        Path(os.fsdecode(top + name)).write_bytes(line(1))
    land(storage, "é.jsonl", line(2))
    report = ingest(storage, now=NOW)
    assert report.failed == dict.fromkeys(["a\\xff.jsonl", "d\\xfc/a.jsonl"], "its name is not UTF-8: rename it")
    assert [file.path for file in report.files] == landing.landed_files(storage) == ["é.jsonl"]
    again = ingest(storage, now=NOW)
    assert (again.load_id, again.failed) == (None, report.failed)


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_what_a_folder_is_called_says_nothing_about_the_events_in_it(storage: Storage, kind: str) -> None:
    lines = [line(1, tenant_id="acme"), line(2, tenant_id="other")]
    folder = storage.landing / "tenant_id=globex/event_id=5/json=6/session_id=s"
    path = land(storage, f"{folder.relative_to(storage.landing)}/x.jsonl", *lines, *([b"bad"] * (kind == "jsonl")))
    if kind == "parquet":
        query(f"copy (from read_json('{path}', hive_partitioning = false)) to '{folder}/x.parquet'")
        path.unlink()
    report = ingest(storage, now=NOW)
    assert counts(report) == ((3, 2, 0, 1) if kind == "jsonl" else (2, 2, 0, 0))
    assert report.files[0].dropped_properties == {}
    sql = "select event_id, tenant_id, session_id from read_parquet(?)"
    assert query(sql, str(storage.lake / "platform/1.parquet")) == [("e1", "acme", None), ("e2", "other", None)]


def test_nothing_in_a_name_is_a_pattern(storage: Storage) -> None:
    names = ["part[1]", "part1", "part*", "part?", "[!p]art", "**", "a\\b", "a\\[b]", "[", "'[]", "f[o]/x", "f[o]*/x"]
    for number, name in enumerate(names):
        # A line that isn't an object makes ingest read the file by other means, too.
        land(storage, f"{name}.jsonl", line(number), *([b"bad"] * (1 - number % 2)))
    query(f"copy (from '{storage.landing}/part1.jsonl') to '{storage.landing}/z[1].parquet'")
    query(f"copy (select 'other' as event_id) to '{storage.landing}/z1.parquet'")
    report = ingest(storage, now=NOW)
    assert (report.failed, report.accepted, report.duplicates) == ({}, len(names), 1)
    assert {file.path: file.lines for file in report.files} == {
        **{f"{name}.jsonl": 2 - number % 2 for number, name in enumerate(names)},
        "z[1].parquet": 1,
        "z1.parquet": 1,
    }


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["tenant_id=site7/event_id=5/line=6/text=7", "part*"])
def test_a_root_is_called_as_it_likes(tmp_path: Path, folder: str) -> None:
    """Copies, the quarantine and its replay, and a retraction."""

    def lake(root: Path) -> list[tuple[Any, ...]]:
        storage = Storage(root)
        land(storage, "1.jsonl", line(1), line(2, tenant_id="other"), b"bad", line(3, tenant_id=""))
        first = ingest(storage, now=NOW)
        land(storage, "2.jsonl", line(2, tenant_id="late"), line(4))
        second = ingest(storage, now=NOW)
        replayed = replay(storage, now=NOW)
        retract(storage, 1, "wrong", now=NOW)
        # A name at which the tests' own queries don't stumble.
        copy = Storage(shutil.copytree(root, tmp_path / "copy"))
        found = [*map(counts, (first, second, replayed)), *standing_rows(copy), *quarantine(copy, 1)]
        shutil.rmtree(copy.root)
        return found

    expected = lake(tmp_path / "part1/storage")
    assert expected[:3] == [(4, 2, 0, 2), (2, 1, 1, 0), (2, 0, 0, 2)]
    assert lake(tmp_path / folder / "storage") == expected


# Promise 3: nothing vanishes


def test_a_file_that_changes_while_it_is_read_is_named_and_others_load(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [land(storage, f"{name}.jsonl", line(number)) for number, name in enumerate("abc")]
    read = Stage._read

    def reread(stage: Stage) -> bool:
        result = read(stage)
        if len(stage.files) == 3:
            paths[1].write_bytes(line(9))
        return result

    monkeypatch.setattr(Stage, "_read", reread)
    report = ingest(storage, now=NOW)
    assert list(report.failed) == ["b.jsonl"]
    assert "changed while it was read" in report.failed["b.jsonl"]
    assert ids(storage, "platform/1.parquet") == ["e0", "e2"]
    assert [file.path for file in ingest(storage, now=NOW).files] == ["b.jsonl"]


def test_line_numbers_are_physical_and_blank_lines_are_none(storage: Storage) -> None:
    lines = [b"", b"bad", b"  \t", line(1), b"\r", b"bad", b"\x0b", line(2) + b"\r", b"bad\r"]
    (storage.landing / "a.jsonl").write_bytes(b"\n".join(lines))
    land(storage, "empty.jsonl")
    land(storage, "blank.jsonl", b"", b" ")
    report = ingest(storage, now=NOW)
    assert counts(report) == (5, 2, 0, 3)
    assert [row[:4] for row in quarantine(storage, 1)] == [
        ("a.jsonl", number, "malformed_json", "bad") for number in (2, 6, 9)
    ]
    assert {file.path: file.lines for file in report.files} == {"a.jsonl": 5, "blank.jsonl": 0, "empty.jsonl": 0}
    assert ingest(storage, now=NOW).load_id is None


def test_hostile_lines_are_ordinary_bad_lines(storage: Storage) -> None:
    huge = line(1, padding="x" * 10_000_000)
    lines = [
        huge,
        line(2, event_id="y" * 10_000_000),
        b"[" * 100_000,
        b"\xff" * 1000,
        b"\0" * 1000,
        line(3)[:-1] + b"\0}",
        line(4),
    ]
    land(storage, "a.jsonl", *lines)
    report = ingest(storage, now=NOW)
    assert counts(report) == (7, 2, 0, 5)
    assert [(row[1], row[2]) for row in quarantine(storage, 1)] == [
        (2, "invalid:event_id"),
        (3, "malformed_json"),
        (4, "malformed_json"),
        (5, "malformed_json"),
        (6, "malformed_json"),
    ]
    assert quarantine(storage, 1)[2][4] == b"\xff" * 1000
    assert ids(storage, "platform/1.parquet") == ["e1", "e4"]


def test_a_deep_line_is_judged_by_its_json(storage: Storage) -> None:
    deep = b"[" * 50_000 + b"]" * 50_000
    land(
        storage,
        "a.jsonl",
        line(1)[:-1] + b', "deep": ' + deep + b"}",
        line(2)[:-1] + b', "deep": ' + deep[:-1] + b",]}",
    )
    assert counts(ingest(storage, now=NOW)) == (2, 1, 0, 1)
    assert judge(b'{"a": ' + deep + b"}") is None
    assert judge(deep) == "not_an_object"
    assert judge(deep + b"]") == judge(b'{"a"' + deep + b"}") == judge(deep[:-2] + b",]]") == "malformed_json"


def test_undeclared_properties_are_dropped_and_counted(storage: Storage) -> None:
    properties = event(1)["properties"]
    land(
        storage,
        "a.jsonl",
        line(1, properties=properties | {"note": "secret"}),
        line(2, email="secret"),
        line(3),
        b"bad secret",
    )
    land(storage, "b.jsonl", line(1, properties=properties | {"note": "secret", "rating": 1}))
    report = ingest(storage, now=NOW)
    assert {file.path: file.dropped_properties for file in report.files} == {
        "a.jsonl": {"document.uploaded.note": 1, "document.uploaded.email": 1},
        "b.jsonl": {"document.uploaded.note": 1, "document.uploaded.rating": 1},
    }
    assert b"secret" not in (storage.lake / "platform/1.parquet").read_bytes()
    assert query("select count(rating) from read_parquet(?)", str(storage.lake / "_duplicates/platform/1.parquet")) == [
        (0,)
    ]


def test_gzip_and_parquet_give_the_same_lake_as_plain_lines(storage: Storage, tmp_path: Path) -> None:
    lines = [line(number, session_id=None if number % 2 else "s") for number in range(50)]
    land(storage, "a.jsonl", *lines)
    ingest(storage, now=NOW)
    expected = standing_rows(storage)
    kinds = json.dumps({"document_id": "VARCHAR", "size_bytes": "BIGINT", "storage_class": "VARCHAR"})
    shapes = {
        "text": "properties::varchar",
        "json": "properties",
        "struct": f"json_transform(properties, '{kinds}')",
    }
    for name, shape in shapes.items():
        other = Storage(tmp_path / name)
        other.landing.mkdir(parents=True)
        names = ("event_id", "source", "event_type", "occurred_at", "tenant_id", "user_id", "session_id")
        columns = "".join(f"{field}: 'varchar', " for field in names) + "properties: 'json'"
        query(
            f"""
            copy (
                select * replace ({shape} as properties, occurred_at::timestamptz as occurred_at)
                from read_json('{storage.landing}/a.jsonl', columns = {{{columns}}})
            ) to '{other.landing}/a.parquet'"""
        )
        assert counts(ingest(other, now=NOW)) == (50, 50, 0, 0)
        assert standing_rows(other) == expected
    zipped = Storage(tmp_path / "zip")
    zipped.landing.mkdir(parents=True)
    body = [b"".join(part + b"\n" for part in lines[:20]), b"".join(part + b"\n" for part in lines[20:])]
    (zipped.landing / "a.jsonl.gz").write_bytes(gzip.compress(body[0]) + gzip.compress(body[1]))
    ingest(zipped, now=NOW)
    assert standing_rows(zipped) == expected


def test_a_parquet_row_is_the_line_that_a_producer_would_write(tmp_path: Path) -> None:
    """No member for NULL, times in UTC, JSON text as what it says, repeated names too, on one line."""
    path, copy = tmp_path / "a.parquet", tmp_path / "a.jsonl"
    query(
        f"""
        copy (
            select * from (values
                (
                    'a''b"c', timestamp '2026-01-02 03:04:05.123456',
                    {{'x': 1, 'at': timestamptz '2026-01-01 00:00:00+02', 'properties': '{{}}', 'n': null::varchar}},
                    '{{"a":1,' || chr(10) || '"a":2}}', 5, [1, null]
                ),
                (null, null, null, 'not json', null, null)
            ) as rows (event_id, occurred_at, undeclared, properties, "odd ""name", list)
        ) to '{path}'"""
    )
    landing.scan(path, copy)
    assert copy.read_text().splitlines() == [
        r"""{"event_id":"a'b\"c","occurred_at":"2026-01-02T03:04:05.123456Z","""
        r""""undeclared":{"x":1,"at":"2025-12-31T22:00:00.000000Z","properties":"{}"},"""
        r""""properties":{"a":1,"a":2},"odd \"name":5,"list":[1,null]}""",
        '{"properties":"not json"}',
    ]


def test_what_the_reader_refuses_for_no_known_reason_is_judged_line_by_line(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Copies are found all the same: in the file, in another of the same load, in an earlier load."""
    land(storage, "a.jsonl", line(1), line(2), line(1), b"bad")
    ingest(storage, now=NOW)
    try_read = Stage._try_read
    monkeypatch.setattr(
        Stage, "_try_read", lambda stage, paths: stage.files[0].input.label != "b.jsonl" and try_read(stage, paths)
    )
    monkeypatch.setattr("agent_analytics.load.BATCH_BYTES", 1)
    land(storage, "b.jsonl", line(3), line(2), line(3, extra=1), line(4, tenant_id=5), b"bad")
    land(storage, "c.jsonl", line(3), line(5))
    file, later = ingest(storage, now=NOW).files
    assert (later.accepted, later.duplicates) == (1, 1)
    assert (file.accepted, file.duplicates, file.rejects) == (1, 2, {"invalid:tenant_id": 1, "malformed_json": 1})
    assert file.dropped_properties == {"document.uploaded.extra": 1}


@pytest.mark.slow
def test_rows_stay_in_load_order(storage: Storage) -> None:
    for part in range(4):
        land(storage, f"{part}.jsonl", *(line(part * 60_000 + number) for number in range(60_000)))
    ingest(storage, now=NOW)
    assert ids(storage, "platform/1.parquet") == [f"e{number}" for number in range(240_000)]


@pytest.mark.parametrize("split", [100_000, 5_000])
def test_rows_of_scattered_sources_stay_in_load_order(
    storage: Storage, monkeypatch: pytest.MonkeyPatch, split: int
) -> None:
    """Some in each of DuckDB's chunks, many in one and few in the next; in one file, or in two that are halves."""
    monkeypatch.setattr("agent_analytics.load.SPLIT_ROWS", split)
    rng = random.Random(1)
    sources: list[str] = []
    while len(sources) < 60_000:
        share = rng.choice((0.01, 0.03, 0.5))
        sources += ["crm" if rng.random() < share else "platform" for _ in range(2048)]
    customer = {"source": "crm", "event_type": "customer.acquired", "properties": {"channel": "x"}}
    lines = [line(number, **(customer if source == "crm" else {})) for number, source in enumerate(sources)]
    # Copies of every 20th event, behind all the others.
    land(storage, "a.jsonl", *lines, *lines[::20])
    ingest(storage, now=NOW)
    for source in ("crm", "platform"):
        expected = [f"e{number}" for number, found in enumerate(sources) if found == source]
        halves = [f"{source}/1-2.parquet"] if split < len(expected) else []
        found = [ids(storage, path) for path in (f"{source}/1.parquet", *halves)]
        assert list(chain(*found)) == expected
        assert all(found)
        copied = [name for name in expected if int(name[1:]) % 20 == 0]
        assert ids(storage, f"_duplicates/{source}/1.parquet") == copied


@pytest.mark.slow
def test_a_large_file_is_read_in_pieces_and_written_in_halves(
    storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [line(number) for number in range(4000)]
    lines[10:10] = [b"", b"  ", lines[3], line(9001, tenant_id=""), b"{broken", line(9002, extra=1)]
    lines[3500:3500] = [lines[4], b"", line(9003, tenant_id=5), b"[]", line(9004, extra=1)]
    results = []
    for name in ("a.jsonl", "a.jsonl.gz"):
        for piece, split, parts in (
            (2_000_000, 100_000, 1),
            (300_000, 100_000, 3),
            (2_000_000, 1_000, 2),
            (300_000, 1_000, 6),
        ):
            monkeypatch.setattr("agent_analytics.landing.PIECE", piece)
            monkeypatch.setattr("agent_analytics.landing.CHUNK", piece // 7)
            monkeypatch.setattr("agent_analytics.load.BATCH_BYTES", piece // 2)
            monkeypatch.setattr("agent_analytics.load.SPLIT_ROWS", split)
            other = Storage(tmp_path / f"{name}-{piece}-{split}")
            other.landing.mkdir(parents=True)
            land(other, name, *lines)
            report = ingest(other, now=NOW)
            (file,) = report.files
            assert file.sha256 == hashlib.sha256((other.landing / name).read_bytes()).hexdigest()
            found = (counts(report), file.rejects, file.dropped_properties, sorted(standing_rows(other), key=repr))
            results.append((*found, [row[1:] for row in quarantine(other, 1)]))
            assert len(list((other.lake / "platform").glob("1*.parquet"))) == parts
    assert results[0][:3] == ((4008, 4002, 2, 4), results[0][1], {"document.uploaded.extra": 2})
    assert results[0][1] == {"invalid:tenant_id": 2, "malformed_json": 1, "not_an_object": 1}
    assert [row[:2] for row in results[0][4]] == [
        (14, "invalid:tenant_id"),
        (15, "malformed_json"),
        (3503, "invalid:tenant_id"),
        (3504, "not_an_object"),
    ]
    assert all(result == results[0] for result in results[1:])


@pytest.mark.parametrize("split", [2, 10, 15])
def test_lines_that_lie_together_are_written_in_halves_too(
    storage: Storage, monkeypatch: pytest.MonkeyPatch, split: int
) -> None:
    """A source's lines, or all copies, may lie in one half of the file; a second batch goes on with the numbers."""
    monkeypatch.setattr("agent_analytics.load.SPLIT_ROWS", split)
    monkeypatch.setattr("agent_analytics.load.BATCH_BYTES", 1)
    customer = {"source": "crm", "event_type": "customer.acquired", "properties": {"channel": "x"}}
    sources = {"platform": range(20), "crm": range(20, 50)}
    first = [line(number) for number in sources["platform"]]
    land(storage, "a.jsonl", *first, *(line(number, **customer) for number in sources["crm"]), *first, *first)
    land(storage, "b.jsonl", *(line(number) for number in range(50, 60)))
    report = ingest(storage, now=NOW)
    assert counts(report) == (100, 60, 40, 0)
    for source, numbers in (("platform", [*range(20), *range(50, 60)]), ("crm", range(20, 50))):
        files = [file.path for _, file in Ledger(storage).lake_files() if file.source == source]
        assert len(set(files)) == len(files)
        assert [name for path in files for name in ids(storage, path)] == [f"e{number}" for number in numbers]


# Promise 4: duplicates count once


def test_the_first_copy_wins_within_a_file_across_files_and_across_loads(storage: Storage) -> None:
    land(storage, "b.jsonl", line(1, tenant_id="late"), line(2, tenant_id="first"), line(2, tenant_id="second"))
    land(storage, "a.jsonl", line(1, tenant_id="bad", occurred_at="no"), line(1, tenant_id="first"))
    land(storage, "c.jsonl", line(1, source="crm", event_type="customer.acquired", properties={"channel": "x"}))
    assert counts(ingest(storage, now=NOW)) == (6, 3, 2, 1)
    assert query("select event_id, tenant_id from read_parquet(?)", str(storage.lake / "platform/1.parquet")) == [
        ("e1", "first"),
        ("e2", "first"),
    ]
    land(storage, "d.jsonl", line(2, tenant_id="third"), line(3), line(3))
    assert counts(ingest(storage, now=NOW)) == (3, 1, 2, 0)
    assert ids(storage, "_duplicates/platform/2.parquet") == ["e2", "e3"]


# Privacy


def test_user_ids_are_keyed_hashes_by_rfc_2104(storage: Storage) -> None:
    land(storage, "a.jsonl", line(1, user_id="bøb"), line(2, user_id=None))
    ingest(storage, now=NOW)
    expected = hmac.new(KEY.encode(), "bøb".encode(), hashlib.sha256).hexdigest()
    assert query("select user_id from read_parquet(?)", str(storage.lake / "platform/1.parquet")) == [
        (expected,),
        (None,),
    ]


@pytest.mark.parametrize("key", [b"k", b"k" * 64, b"k" * 65, bytes(range(256))])
def test_the_sql_hash_equals_hmac(key: bytes) -> None:
    inner, outer = pads(key)
    for value in ("", "x", "ü" * 128):
        with duckdb.connect() as connection:
            found = connection.execute(
                f"select {keyed_hash_sql('$value')} from (select $inner as _inner, $outer as _outer)",
                {"inner": inner.hex(), "outer": outer.hex(), "value": value},
            ).fetchone()
        assert found == (hmac.new(key, value.encode(), hashlib.sha256).hexdigest(),)
        assert keyed_hash(key, value) == found[0]


def test_a_development_key_is_made_once_with_a_warning(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANALYTICS_HASH_KEY")
    land(storage, "a.jsonl", line(1))
    report = ingest(storage, now=NOW)
    assert len(report.warnings) == 1
    path = storage.root / ".hash_key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    key = path.read_bytes()
    land(storage, "b.jsonl", line(2))
    ingest(storage, now=NOW)
    assert path.read_bytes() == key
    assert (
        len(
            {
                row[0]
                for load in (1, 2)
                for row in query("select user_id from read_parquet(?)", str(storage.lake / f"platform/{load}.parquet"))
            }
        )
        == 1
    )


def test_no_user_id_reaches_the_quarantine_in_the_clear(storage: Storage) -> None:
    name = "robert@example.com"
    plain = line(1, user_id=name)
    land(
        storage,
        "a.jsonl",
        line(1, user_id=name, tenant_id=""),
        plain[:-1],
        plain[:-1] + b"\xff}",
        plain.replace(b'"user_id"', b'"us\\u0065r_id"')[:-1] + b', "event_id": 5}',
        line(1, user_id=[name]),
        line(1, user_id={"x": name}),
        line(1, user_id=name * 20),
        line(1, properties={"user_id": name}),
        b'{"user_id": "' + name.encode(),
        line(1, user_id=12345678, tenant_id=5),
    )
    report = ingest(storage, now=NOW)
    assert report.rejected == 10
    kept = b"".join((row[3].encode() + (row[4] or b"")) for row in quarantine(storage, 1))
    assert name.encode() not in kept
    assert b"12345678" not in kept
    assert hmac.new(KEY.encode(), name.encode(), hashlib.sha256).hexdigest().encode() in kept


# Replay


def test_a_replay_enters_what_became_good_and_keeps_what_did_not(storage: Storage, tmp_path: Path) -> None:
    new_type = line(2, event_type="document.shredded", properties={"document_id": "d"})
    land(storage, "a.jsonl", b"", line(1), new_type, b"bad", line(1, user_id=5), new_type)
    assert counts(ingest(storage, now=NOW)) == (5, 1, 0, 4)
    assert replay(storage, now=NOW).load_id is None
    text = (
        (PROJECT_ROOT / "contracts/events.yml")
        .read_text()
        .replace("    document.deleted:", "    document.shredded: {document_id: string}\n    document.deleted:")
    )
    (tmp_path / "new.yml").write_text(text)
    contract = load_contract(tmp_path / "new.yml")
    report = replay(storage, contract, now=NOW)
    assert (report.load_id, *counts(report)) == (2, 4, 1, 1, 2)
    assert [row[:3] for row in quarantine(storage, 2)] == [
        ("a.jsonl", 4, "malformed_json"),
        ("a.jsonl", 5, "invalid:user_id"),
    ]
    expected = hmac.new(KEY.encode(), b"bob", hashlib.sha256).hexdigest()
    assert query("select event_id, user_id from read_parquet(?)", str(storage.lake / "platform/2.parquet")) == [
        ("e2", expected)
    ]
    again = replay(storage, contract, now=NOW)
    assert (again.load_id, again.lines, again.rejected) == (None, 2, 2)
    assert Ledger(storage).entries()[1].kind == "replay"

    told = "load 2 replayed lines that load 1 rejected, and counts on: agent-analytics loads retract 2"
    assert [warning for warning in retract(storage, 1, "wrong file", now=NOW).warnings if told in warning]
    assert not [warning for warning in retract(storage, 2, "so is this", now=NOW).warnings if "replayed" in warning]


# Retraction


def tenants(storage: Storage) -> list[tuple[Any, ...]]:
    columns = [name for name, _ in load_contract().lake_columns("platform") if name != "load_id"]
    return sorted(
        (row[1 + columns.index("event_id")], row[1 + columns.index("tenant_id")]) for row in standing_rows(storage)
    )


def test_a_retraction_brings_the_next_copy_forward(storage: Storage) -> None:
    for load, numbers in enumerate([(1, 2, 3), (1, 2, 2), (1, 4)], 1):
        land(storage, f"{load}.jsonl", *(line(number, tenant_id=f"load{load}") for number in numbers))
        ingest(storage, now=NOW)
    report = retract(storage, 1, "bad clock", now=NOW)
    assert report.load_id == 4
    assert tenants(storage) == [("e1", "load2"), ("e2", "load2"), ("e4", "load3")]
    entry = Ledger(storage).entries()[-1]
    assert (entry.kind, entry.retracts, entry.reason, entry.clock) == (
        "retraction",
        1,
        "bad clock",
        "2026-05-01T00:00:00.000000Z",
    )
    retract(storage, 2, "bad too", now=NOW)
    assert tenants(storage) == [("e1", "load3"), ("e4", "load3")]
    retract(storage, 3, "all bad", now=NOW)
    assert tenants(storage) == []
    land(storage, "5.jsonl", line(1, tenant_id="new"))
    assert ingest(storage, now=NOW).accepted == 1
    assert ingest(storage, now=NOW).load_id is None


def test_a_source_that_the_contract_lost_is_retracted_all_the_same(storage: Storage, tmp_path: Path) -> None:
    for name, numbers in (("a.jsonl", (1, 2)), ("b.jsonl", (2, 3))):
        land(storage, name, *(line(number, tenant_id=name) for number in numbers))
        ingest(storage, now=NOW)
    rules = yaml.safe_load((PROJECT_ROOT / "contracts/events.yml").read_text())
    for part in ("sources", "requires"):
        rules[part].pop("platform", None)
    (tmp_path / "new.yml").write_text(yaml.safe_dump(rules, sort_keys=False))
    retract(storage, 1, "wrong file", load_contract(tmp_path / "new.yml"), now=NOW)
    assert tenants(storage) == [("e2", "b.jsonl"), ("e3", "b.jsonl")]


def test_what_cannot_be_retracted_is_refused(storage: Storage) -> None:
    land(storage, "a.jsonl", line(1))
    ingest(storage, now=NOW)
    with pytest.raises(AnalyticsError, match="load 7 doesn't exist; the newest is 1"):
        retract(storage, 7, "x")
    with pytest.raises(AnalyticsError, match="without a reason"):
        retract(storage, 1, " ")
    retract(storage, 1, "x")
    with pytest.raises(AnalyticsError, match="load 1 is retracted already"):
        retract(storage, 1, "x")
    with pytest.raises(AnalyticsError, match="load 2 is itself a retraction"):
        retract(storage, 2, "x")


# Promise 2: all or nothing


@pytest.mark.slow
def test_killed_at_any_point_the_next_run_makes_the_same_lake(storage: Storage, tmp_path: Path) -> None:
    land(storage, "a.jsonl", line(1), line(1), b"bad")
    land(storage, "b.jsonl", line(2, source="crm", event_type="customer.acquired", properties={"channel": "x"}))
    prepare_lake(storage, load_contract())
    expected = None
    for at in range(1, 50):
        root = tmp_path / f"try{at}"
        shutil.copytree(storage.landing, root / "landing")
        shutil.copytree(storage.lake, root / "lake")
        tried = Storage(root)
        code = killed_at(at, tmp_path / f"log{at}", ingest, tried, None, None, NOW)
        finished = code == 0
        assert finished or code == -9
        if not finished:
            passed = (tmp_path / f"log{at}").read_text().splitlines()
            assert len(passed) == at
            assert Ledger(tried).entries() == []
            ingest(tried, now=NOW)
        assert [entry.load_id for entry in Ledger(tried).entries()] == [1]
        result = (
            standing_rows(tried),
            quarantine(tried, 1),
            sorted(path.relative_to(root).as_posix() for path in tried.lake.rglob("*.parquet")),
        )
        expected = expected or result
        assert result == expected
        assert not list(tried.work.glob("*"))
        if finished:
            break
    points = (tmp_path / f"log{at}").read_text().splitlines()
    assert points == ["rename:.key_check"] + ["rename:1.parquet"] * 4 + ["rename:1.json"]
    assert at == len(points) + 1


@pytest.mark.slow
def test_killed_at_any_point_of_the_first_run_the_next_makes_the_same_lake(
    storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANALYTICS_HASH_KEY")
    land(storage, "a.jsonl", line(1))
    sources = len(load_contract().sources)
    points = ["link:.hash_key"] + ["rename:schema.parquet"] * sources
    points += ["rename:.key_check", "rename:1.parquet", "rename:1.json"]
    for at in (1, 2, 3, sources + 1, sources + 2, sources + 3, sources + 4, sources + 5):
        tried = Storage(tmp_path / f"try{at}")
        shutil.copytree(storage.landing, tried.landing)
        finished = at > len(points)
        assert killed_at(at, tmp_path / f"log{at}", ingest, tried, None, None, NOW) == (0 if finished else -9)
        assert (tmp_path / f"log{at}").read_text().splitlines() == points[:at]
        assert [entry.load_id for entry in Ledger(tried).entries()] == ([1] if finished else [])
        ingest(tried, now=NOW)
        assert [entry.load_id for entry in Ledger(tried).entries()] == [1]
        assert stat.S_IMODE((tried.root / ".hash_key").stat().st_mode) == 0o600
        assert ids(tried, "platform/1.parquet") == ["e1"]
        assert len(list(tried.lake.glob("*/schema.parquet"))) == sources
        assert not list(tried.work.glob("*"))


def test_leftovers_of_a_load_that_never_was_are_removed(storage: Storage) -> None:
    for path in (
        storage.lake / "game/1.parquet",
        storage.lake / "_duplicates/game/1.parquet",
        storage.quarantine / "1.parquet",
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"left over")
    land(storage, "a.jsonl", line(1))
    ingest(storage, now=NOW)
    assert not (storage.lake / "game/1.parquet").exists()
    assert not (storage.lake / "_duplicates/game/1.parquet").exists()
    assert not (storage.quarantine / "1.parquet").exists()


def test_of_two_ingests_at_once_the_slower_one_fails_and_changes_nothing(storage: Storage) -> None:
    land(storage, "a.jsonl", line(1))

    def other(message: str, fraction: float) -> None:
        if fraction == 1.0:
            ingest(storage, now=NOW)

    with pytest.raises(AnalyticsError, match="load 1 was committed by another process"):
        ingest(storage, progress=other, now=NOW)
    assert ids(storage, "platform/1.parquet") == ["e1"]
    assert len(Ledger(storage).entries()) == 1


def test_the_schema_file_follows_the_contract(storage: Storage, tmp_path: Path) -> None:
    prepare_lake(storage, load_contract())
    path = storage.lake / "patterns/schema.parquet"
    before = path.stat().st_mtime_ns
    prepare_lake(storage, load_contract())
    assert path.stat().st_mtime_ns == before
    text = (PROJECT_ROOT / "contracts/events.yml").read_text()
    (tmp_path / "new.yml").write_text(
        re.sub(r"file_type: optional string\}", "file_type: optional string, size: count}", text)
    )
    prepare_lake(storage, load_contract(tmp_path / "new.yml"))
    columns = [(row[0], row[1]) for row in query("describe from read_parquet(?)", str(path))]
    assert columns == load_contract(tmp_path / "new.yml").lake_columns("patterns")
    assert columns[-2] == ("size", "BIGINT")


def test_a_property_keeps_its_type_once_there_are_events(storage: Storage, tmp_path: Path) -> None:
    text = (PROJECT_ROOT / "contracts/events.yml").read_text()

    def contract(old: str, new: str) -> Contract:
        assert old in text
        (tmp_path / "new.yml").write_text(text.replace(old, new))
        return load_contract(tmp_path / "new.yml")

    # Nobody has sent anything yet.
    prepare_lake(storage, contract("size_bytes: count", "size_bytes: number"))
    land(storage, "a.jsonl", line(1))
    ingest(storage, now=NOW)
    before = sorted(storage.lake.rglob("*"))
    told = r"platform\.size_bytes is stored as DOUBLE now, and was stored as BIGINT.*another name"
    land(storage, "b.jsonl", line(2))
    with pytest.raises(AnalyticsError, match=told):
        ingest(storage, contract("size_bytes: count", "size_bytes: number"), now=NOW)
    assert sorted(storage.lake.rglob("*")) == before
    # Taken out for a while, it is known all the same; what nobody has sent, and what is stored the same, may change.
    prepare_lake(storage, contract("size_bytes: count", "bytes: count"))
    with pytest.raises(AnalyticsError, match=told):
        prepare_lake(storage, contract("size_bytes: count", "size_bytes: number"))
    prepare_lake(storage, contract("queue_ms: optional number", "queue_ms: optional count"))
    assert (
        ingest(
            storage, contract("storage_class: [documents, uploads, backups]", "storage_class: string"), now=NOW
        ).accepted
        == 1
    )


@pytest.mark.parametrize("text", ["", "[]", '{"platform": 1}', "\x00"])
def test_a_damaged_record_of_columns_is_a_clear_error(storage: Storage, text: str) -> None:
    land(storage, "a.jsonl", line(1))
    ingest(storage, now=NOW)
    path = storage.loads / ".gone_columns.json"
    path.write_text(text)
    land(storage, "b.jsonl", line(2))
    with pytest.raises(AnalyticsError, match=r"\.gone_columns\.json can't be read: restore it from a backup"):
        ingest(storage, now=NOW)
    path.unlink()
    assert ingest(storage, now=NOW).accepted == 1


def test_progress_ends_at_one(storage: Storage) -> None:
    land(storage, "a.jsonl", line(1))
    heard: list[float] = []
    ingest(storage, progress=lambda _, fraction: heard.append(fraction), now=NOW)
    assert heard == sorted(heard)
    assert heard[-1] == 1.0
