"""Erase: take a tenant, or a user, out of all that lies under the storage root.

First what landed, lake, archive and quarantine: files are written anew without the subject's lines, the ledger says so,
and the old ones are removed. Then all that was made from them: the warehouse, gate results, logs and every published
version are removed, and built and published again from nothing. An erase that was killed leaves a mark; until another
one has come to its end, nothing else writes.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb

from agent_analytics import durable, retention, scratch, transform, validate
from agent_analytics.errors import AnalyticsError
from agent_analytics.gate import gate
from agent_analytics.ledger import Entry, Ledger, commit_lock
from agent_analytics.load import MEMORY_LIMIT
from agent_analytics.locking import ERASE, writer_lock
from agent_analytics.operations import audit, erasing
from agent_analytics.privacy.lake import Lake
from agent_analytics.privacy.landing import Landing, remove_parts
from agent_analytics.privacy.quarantine import Quarantine
from agent_analytics.privacy.subject import Subject
from agent_analytics.publish import publish
from agent_analytics.storage import PROJECT_ROOT, Storage

REFERENCE = PROJECT_ROOT / "seeds"
# Columns of reference tables that name tenants or users.
NAMING = {"tenant": ("tenant_id", "scope_ref"), "user": ("user_id", "owner", "scope_ref")}
# Made from the lake by the steps after it, or only about them.
DERIVED = (
    "*.duckdb",
    "*.duckdb.*",
    "archive/marts",
    "gates",
    "data_docs",
    "build.json",
    "publish.json",
    "logs",
    ".*.part",
    "lake/_loads/.*.part",
)

SQLITE = b"SQLite format 3\0"

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Erasure:
    """What an erase took out: landed lines (in so many files), events and copies of the lake, quarantined lines, rows
    of the operations database; problems of the build after it."""

    lines: int
    files: int
    events: int
    copies: int
    rejected: int
    operations: int
    version: int | None
    problems: tuple[str, ...] = ()


def erase(storage: Storage, subject: Subject, reason: str, progress: Progress | None = None) -> Erasure:
    """Erase the subject and rebuild what is published. Doing it again changes nothing; it also ends a killed one.

    Audited before anything happens. Raises AnalyticsError, with nothing changed, when a reference table names the
    subject, a landed file can't be read, somebody else is writing, or another subject's erase was killed.
    """
    tell = progress or (lambda message: None)
    with writer_lock(storage, ERASE):
        _check_reference(subject)
        if subject.mentions(reason):
            raise AnalyticsError(f"the reason is kept in the audit trail: don't name the {subject.kind} in it")
        _check_scratch(storage)
        mark = _mark(storage, subject)
        with audit.audited(storage, "erase", subject.name, reason):
            with commit_lock(storage):
                counts = _erase_events(storage, subject, mark, tell)
            tell("operations")
            scrubbed = erasing.scrub(storage, subject)
            _scrub_dagster(storage.root / "dagster", subject)
            _remove_derived(storage)
            version, problems = _rebuild(storage, tell) if mark["rebuild"] else (None, [])
            storage.erasing.unlink()
    return Erasure(**counts, operations=scrubbed, version=version, problems=tuple(problems))


def _check_reference(subject: Subject) -> None:
    for path in sorted(REFERENCE.glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as text:
            rows = csv.DictReader(text)
            for row in rows:
                if any(row.get(column) == subject.id for column in NAMING[subject.kind]):
                    raise AnalyticsError(
                        f"{path.parent.name}/{path.name}, line {rows.line_num}, names this {subject.kind}: "
                        "remove it there first"
                    )


def _check_scratch(storage: Storage) -> None:
    # Queries read a version that is published: they go on reading it when it has been replaced.
    busy = [folder.name for folder in storage.work.glob("*-*") if scratch.is_held(folder)]
    busy = [name for name in busy if not name.startswith("query-")]
    if busy:
        raise AnalyticsError(f"a process is still working in {storage.work / busy[0]}: wait until it ends")


def _mark(storage: Storage, subject: Subject) -> dict[str, object]:
    """What is noted while an erase goes on, or was by a killed one: whose, and whether there are marts to rebuild."""
    if not storage.erasing.exists():
        return {"subject": subject.name, "rebuild": storage.warehouse.exists() or storage.published.is_symlink()}
    mark: dict[str, object] = json.loads(storage.erasing.read_text(encoding="utf-8"))
    if mark["subject"] != subject.name:
        raise AnalyticsError("the erase of another tenant or user did not come to its end: run that again first")
    return mark


# Landing, lake, quarantine


def _erase_events(storage: Storage, subject: Subject, mark: dict[str, object], tell: Progress) -> dict[str, int]:
    """Take the subject's lines out. Everything is read, and written beside, before the first thing changes."""
    # From here on no file of the lake holds a row that counts in the archive.
    retention.shrink(storage, 0, tell)
    ledger = Ledger(storage)
    entries = {entry.load_id: entry for entry in ledger.entries()}
    work, hold = scratch.folder(storage, "erase")
    try:
        with _connect(work) as connection:
            tell("quarantine")
            quarantine = Quarantine(storage, subject, connection)
            quarantine.write(entries.values(), work)
            tell("landing")
            landed = Landing(storage, subject, connection)
            landed.write(quarantine.rejected, ledger.known_files())
            tell("lake")
            lake = Lake(storage, subject, connection, work, resumed=storage.erasing.exists())
            lake.write(ledger)
            changed = {load_id: _changed(entry, landed, lake, quarantine) for load_id, entry in entries.items()}
            durable.write_json(storage.erasing, mark)
            lake.move_in()
            if (archive := lake.archive()) != ledger.archive():
                retention.write_archive(storage, archive)
            ledger.rewrite({load_id: entry for load_id, entry in changed.items() if entry != entries[load_id]})
            landed.move_in()
            quarantine.move_in()
    finally:
        remove_parts(storage)
        shutil.rmtree(work, ignore_errors=True)
        hold.close()
    (storage.loads / ".seen.json").unlink(missing_ok=True)
    retention.remove_unlisted(storage)
    return {
        "lines": sum(file.erased for file in landed.files),
        "files": len(landed.files),
        "events": sum(erased.accepted for erased in lake.gone.values()),
        "copies": sum(erased.duplicates for erased in lake.gone.values()),
        "rejected": sum(quarantine.gone.values()),
    }


def _changed(entry: Entry, landed: Landing, lake: Lake, quarantine: Quarantine) -> Entry:
    files = [landed.recorded(file) for file in entry.files] if entry.kind == "load" else entry.files
    entry = entry.model_copy(update={"files": files, "reason": entry.reason and landed.subject.scrubbed(entry.reason)})
    return quarantine.recorded(lake.recorded(entry))


@contextmanager
def _connect(work: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute(f"set memory_limit = '{MEMORY_LIMIT}'; set preserve_insertion_order = true")
        connection.execute(f"set temp_directory = {validate.text(str(work / 'spill'))}")
        yield connection


# What was made from them


def _remove_derived(storage: Storage) -> None:
    for pattern in DERIVED:
        for path in storage.root.glob(pattern):
            durable.point(f"erase:{path.name}")
            _remove(path)
    for path in storage.work.glob("*"):
        if not scratch.is_held(path):
            _remove(path)


def _scrub_dagster(home: Path, subject: Subject) -> None:
    """Dagster's history, if it lies here: rows that name the subject go, and so do logs."""
    for path in sorted(home.rglob("*")):
        if not path.is_file():
            continue
        with path.open("rb") as file:
            is_sqlite = file.read(len(SQLITE)) == SQLITE
        if is_sqlite:
            erasing.scrub_sqlite(path, subject)
        elif subject.mentions(path.read_bytes().decode("utf-8", "replace")):
            path.unlink()


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _rebuild(storage: Storage, tell: Progress) -> tuple[int | None, list[str]]:
    built = transform.build(storage, progress=lambda node, status: tell(f"build: {node}"))
    gate(storage, progress=lambda message: tell(f"gate: {message}"))
    publication = publish(storage, progress=lambda mart: tell(f"publish: {mart}"), fresh=True)
    stale = [f"{state.name}: {state.status}: {state.why}" for state in publication.failed]
    return publication.version, [*built.failures, *stale]
