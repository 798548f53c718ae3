"""The ledger of loads: lake/_loads/<load_id>.json. A load exists when its entry does.

The entries of loads that were packed together (see `packing`) are one file, pack-<first>-<last>.json, an entry a line.
"""

from __future__ import annotations

import fcntl
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from agent_analytics import durable
from agent_analytics.errors import AnalyticsError
from agent_analytics.storage import Storage

Kind = Literal["load", "replay", "retraction"]


class LoadedFile(BaseModel):
    """A file as a load read it: `size` in bytes; lines = accepted + duplicates + rejected.

    `sha256`, `size`, `mtime_ns` and `inode` are those of the file as it should lie in landing now; `earlier` are the
    hashes that it had before lines were erased from it, the oldest first.
    """

    model_config = ConfigDict(extra="forbid")

    path: str
    sha256: str
    size: int
    mtime_ns: int
    inode: int
    lines: int
    accepted: int
    duplicates: int
    rejected: int
    rejects: dict[str, int]
    dropped_properties: dict[str, int]
    earlier: list[str] = []


class LakeFile(BaseModel):
    """A load's accepted events of a source; `newest_occurred_at` is ISO 8601 in UTC.

    `path` is relative to lake/; a packed file holds other loads' rows too, told apart by their column load_id.
    """

    model_config = ConfigDict(extra="forbid")

    source: str
    path: str
    rows: int
    newest_occurred_at: str


class DuplicatesFile(BaseModel):
    """A load's copies of accepted events of a source; `path` as in LakeFile."""

    model_config = ConfigDict(extra="forbid")

    source: str
    path: str
    rows: int


class Erased(BaseModel):
    """By how many a load's lines are fewer than when it was loaded.

    A copy that came forward because the event before it was erased went from duplicates to accepted.
    """

    model_config = ConfigDict(extra="forbid")

    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0


class Entry(BaseModel):
    """One load. Times are ISO 8601 in UTC with microseconds; `contract` is the contract's fingerprint.

    The counts of `files` are those of the load when it was made; `erased` says what is gone since. `hash_probe` tells
    by which hash function `event_hash` was made: DuckDB's may change with its version.
    """

    model_config = ConfigDict(extra="forbid")

    load_id: int
    kind: Kind
    started_at: str
    contract: str
    files: list[LoadedFile]
    lake: list[LakeFile]
    duplicates: list[DuplicatesFile]
    quarantine: str | None
    clock: str | None
    hash_probe: int | None = None
    retracts: int | None = None
    reason: str | None = None
    erased: Erased | None = None

    def parquet_files(self) -> list[LakeFile | DuplicatesFile]:
        """The load's files in the lake: of events, and of copies."""
        return [*self.lake, *self.duplicates]


@dataclass(frozen=True)
class KnownFile:
    """What the ledger remembers of a landed file: enough to tell, mostly without reading it, whether it is the same."""

    sha256: str
    size: int
    mtime_ns: int
    inode: int
    load_id: int
    earlier: tuple[str, ...] = ()


@dataclass(frozen=True)
class LedgerFile:
    """A file of the ledger, and the loads `first` to `last` whose entries it holds."""

    path: Path
    first: int
    last: int

    @classmethod
    def of(cls, path: Path) -> LedgerFile | None:
        """None for a file that holds no entries."""
        found = re.fullmatch(r"(?:pack-(\d+)-)?(\d+)\.json", path.name)
        return cls(path, int(found[1] or found[2]), int(found[2])) if found else None

    @property
    def loads(self) -> int:
        return self.last - self.first + 1


class Ledger:
    """Reads the entries once, at the first question; make a new one to see what others committed since."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self._entries: list[Entry] | None = None

    def entries(self) -> list[Entry]:
        """All entries in load_id order. Raises AnalyticsError naming the file when one can't be understood."""
        if self._entries is None:
            self._entries = [entry for file in self.ledger_files() for entry in _read(file)]
        return self._entries

    def ledger_files(self) -> list[LedgerFile]:
        """The files that hold the entries, in load_id order; not those that were packed into another."""
        found = [file for path in self.storage.loads.glob("*.json") if (file := LedgerFile.of(path))]
        files: list[LedgerFile] = []
        for file in sorted(found, key=lambda file: (file.first, -file.last)):
            if not files or file.last > files[-1].last:
                files.append(file)
        return files

    def retracted(self) -> set[int]:
        """The ids of the loads that were taken back."""
        return {entry.retracts for entry in self.entries() if entry.retracts is not None}

    def standing(self) -> list[Entry]:
        """The entries whose events count: all that no later entry takes back."""
        gone = self.retracted()
        return [entry for entry in self.entries() if entry.load_id not in gone]

    def last_load_id(self) -> int:
        """The newest load's id, 0 for none."""
        entries = self.entries()
        return entries[-1].load_id if entries else 0

    def next_load_id(self) -> int:
        """The id that the next load will have."""
        return self.last_load_id() + 1

    def as_of(self) -> str | None:
        """The data clock: the largest clock of the loads that stand, ISO 8601 in UTC; None without an event."""
        return max((entry.clock for entry in self.standing() if entry.clock), default=None)

    def lake_files(self) -> list[tuple[int, LakeFile]]:
        """(load_id, file) of every lake file of the standing loads, in load order."""
        return [(entry.load_id, file) for entry in self.standing() for file in entry.lake]

    def known_files(self) -> dict[str, KnownFile]:
        """The landed files ever loaded, by path relative to landing/; a retracted load's files stay known."""
        return {
            file.path: KnownFile(file.sha256, file.size, file.mtime_ns, file.inode, entry.load_id, tuple(file.earlier))
            for entry in self.entries()
            if entry.kind == "load"
            for file in entry.files
        }

    def commit(self, entry: Entry) -> None:
        """Make a load exist. Raises AnalyticsError when its id is taken already: another ingest was faster."""
        target = self.storage.loads / f"{entry.load_id}.json"
        if target.exists():
            raise AnalyticsError(
                f"load {entry.load_id} was committed by another process meanwhile; run the command again"
            )
        durable.write_json(target, entry.model_dump(mode="json"))
        if self._entries is not None:
            self._entries.append(entry)

    def rewrite(self, changed: dict[int, Entry]) -> None:
        """Put entries in the place of those with their ids, and remove the files that no longer count."""
        files = self.ledger_files()
        for file in files:
            if changed.keys() & set(range(file.first, file.last + 1)):
                entries = [changed.get(entry.load_id, entry) for entry in _read(file)]
                if file.path.name.startswith("pack-"):
                    durable.write_text(file.path, _lines(entries))
                else:
                    durable.write_json(file.path, entries[0].model_dump(mode="json"))
        for path in set(self.storage.loads.glob("*.json")) - {file.path for file in files}:
            path.unlink()
        self._entries = None

    def pack(self, entries: list[Entry], name: str) -> None:
        """Replace the files of these entries, which are neighbours, by one file of this name."""
        first, last = entries[0].load_id, entries[-1].load_id
        replaced = [file for file in self.ledger_files() if first <= file.first and file.last <= last]
        durable.write_text(self.storage.loads / f"{name}.json", _lines(entries))
        for file in replaced:
            file.path.unlink()
        self._entries = None


@contextmanager
def commit_lock(storage: Storage) -> Iterator[None]:
    """Held while files move into the lake: of two ingests at once the slower one fails before it touches anything."""
    storage.loads.mkdir(parents=True, exist_ok=True)
    with (storage.loads / ".commit.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _lines(entries: list[Entry]) -> str:
    return "".join(json.dumps(entry.model_dump(mode="json"), ensure_ascii=False) + "\n" for entry in entries)


def _read(file: LedgerFile) -> list[Entry]:
    path = file.path
    try:
        text = path.read_bytes()
        parts = text.splitlines() if path.name.startswith("pack-") else [text]
        entries = [Entry.model_validate_json(part) for part in parts]
    except ValidationError as problem:
        first = problem.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise AnalyticsError(
            f"{path}: not a ledger entry: {place}: {first['msg']}; restore it from a backup"
        ) from problem
    except OSError as problem:
        raise AnalyticsError(f"{path}: the ledger entry can't be read: {problem.strerror}") from problem
    if [entry.load_id for entry in entries] != list(range(file.first, file.last + 1)):
        numbers = ", ".join(str(entry.load_id) for entry in entries[:3]) or "none"
        raise AnalyticsError(
            f"{path}: not a ledger entry: load_id {numbers} doesn't fit the file's name; restore it from a backup"
        )
    return entries
