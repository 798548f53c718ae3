"""The ledger: what stands, what the next load is called, and what a corrupt entry is told."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from agent_analytics.errors import AnalyticsError
from agent_analytics.ledger import Entry, KnownFile, Ledger
from agent_analytics.storage import Storage


def entry(load_id: int, **changes: Any) -> Entry:
    plain = {
        "load_id": load_id,
        "kind": "load",
        "started_at": "2026-01-02T03:04:05.000006Z",
        "contract": "f",
        "files": [
            {
                "path": f"{load_id}.jsonl",
                "sha256": f"s{load_id}",
                "size": 1,
                "mtime_ns": 2,
                "inode": 3,
                "lines": 1,
                "accepted": 1,
                "duplicates": 0,
                "rejected": 0,
                "rejects": {},
                "dropped_properties": {},
            }
        ],
        "lake": [
            {
                "source": "crm",
                "path": f"crm/{load_id}.parquet",
                "rows": 1,
                "newest_occurred_at": "2026-01-01T00:00:00.000000Z",
            }
        ],
        "duplicates": [],
        "quarantine": None,
        "clock": f"2026-01-{load_id:02}T00:00:00.000000Z",
        "retracts": None,
        "reason": None,
    }
    return Entry.model_validate(plain | changes)


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(tmp_path)


def test_an_empty_ledger(storage: Storage) -> None:
    ledger = Ledger(storage)
    assert (ledger.entries(), ledger.next_load_id(), ledger.as_of(), ledger.known_files()) == ([], 1, None, {})


def test_entries_come_in_number_order(storage: Storage) -> None:
    for load_id in (10, 9, 2, 11, 1):
        Ledger(storage).commit(entry(load_id))
    ledger = Ledger(storage)
    assert [each.load_id for each in ledger.entries()] == [1, 2, 9, 10, 11]
    assert ledger.next_load_id() == 12


def test_a_retracted_load_neither_stands_nor_drives_the_clock_but_its_files_stay_known(storage: Storage) -> None:
    ledger = Ledger(storage)
    for each in (
        entry(1),
        entry(5),
        entry(6, kind="retraction", retracts=5, reason="bad", files=[], lake=[], clock=None),
    ):
        ledger.commit(each)
    for read in (ledger, Ledger(storage)):
        assert [each.load_id for each in read.standing()] == [1, 6]
        assert read.as_of() == "2026-01-01T00:00:00.000000Z"
        assert [(load_id, file.path) for load_id, file in read.lake_files()] == [(1, "crm/1.parquet")]
        assert read.known_files()["5.jsonl"] == KnownFile("s5", 1, 2, 3, 5)


def test_a_replays_quarantine_is_no_landed_file(storage: Storage) -> None:
    Ledger(storage).commit(entry(1, kind="replay"))
    assert Ledger(storage).known_files() == {}


def test_an_entry_survives_the_round_trip_field_by_field(storage: Storage) -> None:
    Ledger(storage).commit(entry(1))
    assert json.loads((storage.loads / "1.json").read_text()) == entry(1).model_dump()
    assert list(json.loads((storage.loads / "1.json").read_text())) == [
        "load_id",
        "kind",
        "started_at",
        "contract",
        "files",
        "lake",
        "duplicates",
        "quarantine",
        "clock",
        "hash_probe",
        "retracts",
        "reason",
        "erased",
    ]


def test_a_taken_number_is_refused(storage: Storage) -> None:
    one, other = Ledger(storage), Ledger(storage)
    one.commit(entry(1))
    with pytest.raises(AnalyticsError, match="load 1 was committed by another process"):
        other.commit(entry(1, contract="other"))
    assert Ledger(storage).entries()[0].contract == "f"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"load_id": 1}', "\0", "null"])
def test_a_corrupt_entry_is_named(storage: Storage, text: str) -> None:
    storage.loads.mkdir(parents=True)
    (storage.loads / "1.json").write_text(text)
    with pytest.raises(AnalyticsError) as caught:
        Ledger(storage).entries()
    assert str(storage.loads / "1.json") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_entry_under_anothers_name_is_refused(storage: Storage) -> None:
    Ledger(storage).commit(entry(1))
    (storage.loads / "1.json").rename(storage.loads / "2.json")
    with pytest.raises(AnalyticsError, match="load_id 1 doesn't fit the file's name"):
        Ledger(storage).entries()


def test_unfinished_writes_are_not_entries(storage: Storage) -> None:
    storage.loads.mkdir(parents=True)
    (storage.loads / ".1.json.77.part").write_text("{")
    (storage.loads / ".2.json").write_text("{")
    assert Ledger(storage).entries() == []


def test_thousands_of_entries_are_read_in_a_second_or_two(storage: Storage) -> None:
    storage.loads.mkdir(parents=True)
    for load_id in range(1, 3001):
        (storage.loads / f"{load_id}.json").write_text(entry(load_id, clock=None).model_dump_json())
    began = time.process_time()
    assert Ledger(storage).next_load_id() == 3001
    assert time.process_time() - began < 2.0
