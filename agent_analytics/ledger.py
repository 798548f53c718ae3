"""The ledger of loads: lake/_loads/<load_id>.json. A load exists when its entry does.

The entries of loads that were packed together (see `packing`) are one file, pack-<first>-<last>.json, an entry a line.
Which of their events lie in the archive, and where, says archive/files.json (see `retention`).
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

    `path` is relative to lake/, or None when no event is left there; a packed file holds other loads' rows too, told
    apart by their column load_id. `rows` counts those that lie in the archive too.
    """

    model_config = ConfigDict(extra="forbid")

    source: str
    path: str | None
    rows: int
    newest_occurred_at: str


class DuplicatesFile(BaseModel):
    """A load's copies of accepted events of a source; `path` as in LakeFile."""

    model_config = ConfigDict(extra="forbid")

    source: str
    path: str
    rows: int


class ArchivedFile(BaseModel):
    """Events of one UTC day of a source, of loads between two; `path` is relative to archive/."""

    model_config = ConfigDict(extra="forbid")

    source: str
    date: str
    path: str
    rows: int
    first_load: int
    last_load: int
    hash_probe: int


class ArchivedIds(BaseModel):
    """The ids of archived events of a source, with their hashes and loads: what tells a copy, in few files."""

    model_config = ConfigDict(extra="forbid")

    source: str
    path: str
    rows: int
    hash_probe: int


class Archive(BaseModel):
    """Which events lie in the archive: those of the loads up to `through` that occurred before the day `before`.

    A file of the lake may still hold such events: there they don't count. `revision` grows with each change.
    """

    model_config = ConfigDict(extra="forbid")

    before: str | None = None
    through: int = 0
    revision: int = 0
    files: list[ArchivedFile] = []
    ids: list[ArchivedIds] = []

    def paths(self) -> list[str]:
        """All its files, relative to archive/."""
        return [*(file.path for file in self.files), *(file.path for file in self.ids)]

    def holds(self) -> str:
        """SQL: whether a row of the lake is one of those that lie in the archive."""
        if self.before is None:
            return "false"
        return f"(load_id <= {self.through} and occurred_at < timestamp '{self.before}')"


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

    def lake_paths(self) -> list[str]:
        """Where in the lake its events and copies lie."""
        return [file.path for file in self.parquet_files() if file.path is not None]


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
        self._archive: Archive | None = None

    def entries(self) -> list[Entry]:
        """All entries in load_id order. Raises AnalyticsError naming the file when one can't be understood."""
        if self._entries is None:
            self._entries = [entry for file in self.ledger_files() for entry in _read(file)]
        return self._entries

    def archive(self) -> Archive:
        """What lies in the archive. Raises AnalyticsError naming the file when its list can't be understood."""
        # Read after the entries: events leave the lake's files only after they are in the archive.
        self.entries()
        if self._archive is None:
            self._archive = _read_archive(archive_list(self.storage))
        return self._archive

    def event_files(self, entry: Entry, source: str) -> list[Path]:
        """The files that hold a load's events of a source, some of them perhaps twice, and other loads' too."""
        hot = [self.storage.lake / file.path for file in entry.lake if file.source == source and file.path]
        cold = [
            self.storage.archive / file.path
            for file in self.archive().files
            if file.source == source and file.first_load <= entry.load_id <= file.last_load
        ]
        return list(dict.fromkeys([*hot, *cold]))

    def ledger_files(self) -> list[LedgerFile]:
        """The files that hold the entries, in load_id order; not those that were packed into another."""
        found = [file for path in self.storage.loads.glob("*.json") if (file := LedgerFile.of(path))]
        files: list[LedgerFile] = []
        # Of a load that was packed by itself, and killed before its own file went, the pack counts.
        for file in sorted(found, key=lambda file: (file.first, -file.last, not file.path.name.startswith("pack-"))):
            if not files or file.last > files[-1].last:
                files.append(file)
        return files

    def units(self, newest: int | None = None) -> list[list[Entry]]:
        """The entries file by file, those of a pack together, in load_id order; of the newest files only."""
        files = self.ledger_files()
        return [_read(file) for file in (files if newest is None else files[-newest:])]

    def retracted(self) -> set[int]:
        """The ids of the loads that were taken back."""
        return {entry.retracts for entry in self.entries() if entry.retracts is not None}

    def standing(self) -> list[Entry]:
        """The entries whose events count: all that no later entry takes back."""
        gone = self.retracted()
        return [entry for entry in self.entries() if entry.load_id not in gone]

    def last_load_id(self) -> int:
        """The newest load's id, 0 for none; the entries need not be read for that, their files' names tell."""
        if self._entries is not None:
            return self._entries[-1].load_id if self._entries else 0
        files = self.ledger_files()
        return files[-1].last if files else 0

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
        target = self.storage.loads / f"{name}.json"
        durable.write_text(target, _lines(entries))
        for file in replaced:
            if file.path != target:
                file.path.unlink()
        self._entries = None


def archive_list(storage: Storage) -> Path:
    """The file that says what lies in the archive."""
    return storage.archive / "files.json"


@contextmanager
def commit_lock(storage: Storage) -> Iterator[None]:
    """Held while files move into the lake: of two ingests at once the slower one fails before it touches anything."""
    storage.loads.mkdir(parents=True, exist_ok=True)
    with (storage.loads / ".commit.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _lines(entries: list[Entry]) -> str:
    return "".join(json.dumps(entry.model_dump(mode="json"), ensure_ascii=False) + "\n" for entry in entries)


def _read_archive(path: Path) -> Archive:
    try:
        return Archive.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return Archive()
    except ValidationError as problem:
        place = ".".join(map(str, problem.errors()[0]["loc"])) or "the file"
        why = problem.errors()[0]["msg"]
        raise AnalyticsError(
            f"{path}: not a list of the archive: {place}: {why}; restore it from a backup"
        ) from problem
    except OSError as problem:
        raise AnalyticsError(f"{path}: the archive's list can't be read: {problem.strerror}") from problem


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
