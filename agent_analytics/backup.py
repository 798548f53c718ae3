"""Backup: all that can't be rebuilt, as it was at one moment, in a folder whose every file is proved by its hash.

Nothing waits for a backup but the commit of a load, for as long as it takes to pin files: lake, ledger, quarantine and
versions hold files that are never changed, so that hard links keep what a backup copies afterwards. The warehouse is
not part of it: the first run after a restore builds it from the lake.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from agent_analytics import durable, landing, scratch, versions
from agent_analytics.errors import AnalyticsError
from agent_analytics.hashing import check_of, development_key_path, hash_key, key_check, key_check_path
from agent_analytics.ledger import Ledger, archive_list, commit_lock
from agent_analytics.locking import ERASE, holder, writer_lock
from agent_analytics.operations import database
from agent_analytics.storage import Storage

FORMAT = 1
RECORD = "backup.json"
# Where a restore puts files together, and what may lie in a root that counts as empty.
HALF_RESTORED = ".restore"
NOTHING = (".lock",)
# The landing comes last: until it is there, a run finds nothing to load.
ORDER = (".hash_key", "operations.db", "quarantine", "archive", "lake", "versions", "landing")
PIECE = 1 << 20

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Backup:
    """What a backup holds: `files` by path, each with its SHA-256 and size; `version` is the published one."""

    made_at: str
    load_id: int
    version: int | None
    key_check: str | None
    files: dict[str, dict[str, Any]]
    format: int = FORMAT
    warnings: list[str] = field(default_factory=list)

    @property
    def bytes(self) -> int:
        return sum(file["size"] for file in self.files.values())


def backup(storage: Storage, folder: Path, with_landing: bool = True, progress: Progress | None = None) -> Backup:
    """Copy the root's present state into `folder`, new or empty, while others may be writing.

    Raises AnalyticsError when the folder holds something or lies in the storage root, when an erase is going on, and
    when a file can't be read or written; without its backup.json, which is written last, a folder is no backup.
    """
    if folder.resolve().is_relative_to(storage.root):
        raise AnalyticsError(f"{folder} lies in the storage root {storage.root}: name a folder elsewhere")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise AnalyticsError(f"{folder} is not empty: a backup needs a folder of its own")
    landed = [storage.landing, storage.archive / "landing"] if with_landing else []
    for top in landed:
        landing.files_in(top)  # What can't be read there is told before all else is copied.
    work, hold = scratch.folder(storage, "backup")
    try:
        _check_no_erase(storage)
        warnings = []
        if not _pin_operations(storage, work):
            warnings.append("the operations database is not in the storage root: back it up with its own tools")
        if os.environ.get("ANALYTICS_HASH_KEY"):
            warnings.append("ANALYTICS_HASH_KEY is not in the backup: without it users can't be told to be the same")
        load_id, version = _pin(storage, work)
        pinned = [(path.relative_to(work).as_posix(), path) for path in _files(work) if path.name != "held"]
        copied = _copy_all(pinned, folder, progress)
        # After the ledger: what it doesn't name has landed, and is loaded by the next run.
        for top in landed:
            where = top.relative_to(storage.root).as_posix()
            copied |= _copy_all([(f"{where}/{name}", top / name) for name in landing.files_in(top)], folder, progress)
        made = Backup(_now(), load_id, version, _key_check(storage), copied, warnings=warnings)
        durable.write_json(folder / RECORD, vars(made))
        return made
    except OSError as problem:
        raise AnalyticsError(f"the backup failed: {problem}: empty {folder}, then try again") from problem
    finally:
        shutil.rmtree(work, ignore_errors=True)
        hold.close()


def restore(storage: Storage, folder: Path, progress: Progress | None = None) -> Backup:
    """Bring a backup back into an empty storage root. The next run builds the warehouse and loads nothing twice.

    Raises AnalyticsError, with nothing restored, when the root holds something, when a file of the backup is missing
    or isn't what was backed up, and when the users of this backup were hashed with another key than the present one.
    """
    record = _read(folder)
    with writer_lock(storage, "agent-analytics restore"):
        if left := next((path for path in _files(storage.root) if path.name not in NOTHING), None):
            raise AnalyticsError(
                f"{storage.root} is not empty ({left.relative_to(storage.root)}): restore needs a new root"
            )
        half = storage.root / HALF_RESTORED
        try:
            _check_key(folder, record)
            copied = _copy_all([(name, folder / name) for name in record.files], half, progress, record.files)
            if damaged := next((name for name in copied if copied[name] != record.files[name]), None):
                raise AnalyticsError(f"{folder / damaged} is damaged: its content is not what was backed up")
            _move_in(storage, half, record)
        except OSError as problem:
            raise AnalyticsError(f"the restore failed: {problem}: empty {storage.root}, then try again") from problem
        finally:
            shutil.rmtree(half, ignore_errors=True)
    return record


# Taking


def _check_no_erase(storage: Storage) -> None:
    if storage.erasing.exists() or (holder(storage) or {}).get("command") == ERASE:
        raise AnalyticsError("an erase is going on, or did not come to its end: back up when it has")


def _pin_operations(storage: Storage, work: Path) -> bool:
    """A consistent copy of the operations database; False if it isn't the one in the storage root."""
    if database.url(storage) != f"sqlite:///{storage.operations_db}":
        return False
    if storage.operations_db.exists():
        with (
            closing(sqlite3.connect(storage.operations_db)) as source,
            closing(sqlite3.connect(work / storage.operations_db.name)) as target,
        ):
            source.backup(target)
    return True


def _pin(storage: Storage, work: Path) -> tuple[int, int | None]:
    """Hard links to the files of one moment; the newest load of that moment, and the published version."""
    with commit_lock(storage):
        ledger = Ledger(storage)
        entries = ledger.entries()
        paths = {file.path for file in ledger.ledger_files()}
        paths |= {storage.lake / path for entry in entries for path in entry.lake_paths()}
        paths |= {storage.archive / path for path in ledger.archive().paths()}
        paths |= {storage.quarantine / entry.quarantine for entry in entries if entry.quarantine}
        single = (development_key_path(storage), key_check_path(storage), archive_list(storage))
        paths |= {path for path in single if path.exists()}
        if current := versions.current(storage):
            paths |= set(_files(current))
        for path in sorted(paths):
            target = work / path.relative_to(storage.root)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.hardlink_to(path)
    return ledger.last_load_id(), int(current.name) if current else None


def _key_check(storage: Storage) -> str | None:
    """What tells the key that users are hashed with, without telling the key; None before there is one."""
    if kept := key_check(storage):
        return kept
    if not os.environ.get("ANALYTICS_HASH_KEY") and not development_key_path(storage).exists():
        return None
    return check_of(hash_key(storage)[0])


# Bringing back


def _read(folder: Path) -> Backup:
    path = folder / RECORD
    try:
        record = Backup(**json.loads(path.read_bytes()))
    except FileNotFoundError:
        raise AnalyticsError(f"{folder} is not a backup: it has no {RECORD}, which is written last") from None
    except (OSError, ValueError, TypeError) as problem:
        raise AnalyticsError(f"{path} is damaged: {problem}") from problem
    if record.format != FORMAT:
        raise AnalyticsError(f"{path}: format {record.format} is newer than this program")
    for name in record.files:
        if PurePosixPath(name).parts[0] not in ORDER or ".." in PurePosixPath(name).parts:
            raise AnalyticsError(f"{path} is damaged: it names {name}")
    return record


def _check_key(folder: Path, record: Backup) -> None:
    if record.key_check is None:
        return
    named, kept = os.environ.get("ANALYTICS_HASH_KEY"), folder / ".hash_key"
    key = named.encode() if named else kept.read_bytes().strip() if kept.exists() else None
    if key is None or not hmac.compare_digest(check_of(key), record.key_check):
        raise AnalyticsError("the users in this backup are hashed with another key: set ANALYTICS_HASH_KEY to that key")


def _move_in(storage: Storage, half: Path, record: Backup) -> None:
    for name in ORDER:
        if (half / name).exists():
            # A root that counts as empty may have empty folders.
            shutil.rmtree(storage.root / name, ignore_errors=True)
            durable.rename(half / name, storage.root / name)
        if name == "versions" and record.version is not None:
            durable.symlink(f"{storage.versions.name}/{record.version}", storage.published)


# Both


def _copy_all(
    files: list[tuple[str, Path]],
    folder: Path,
    progress: Progress | None,
    expected: dict[str, dict[str, Any]] | None = None,
) -> dict[str, dict[str, Any]]:
    """Copy files to their names in a folder; {name: {sha256, size}} of what was copied.

    A landed file that is gone meanwhile is left out, if nothing is `expected`. Stops at the first that is unexpected.
    """
    copied = {}
    for name, source in files:
        if progress:
            progress(name)
        try:
            copied[name] = _copy(source, folder / name)
        except FileNotFoundError:
            if expected is not None:
                raise AnalyticsError(f"{source} is missing: the backup is damaged") from None
            continue
        if expected is not None and copied[name] != expected[name]:
            break
    return copied


def _copy(source: Path, target: Path) -> dict[str, Any]:
    target.parent.mkdir(parents=True, exist_ok=True)
    digest, size = hashlib.sha256(), 0
    with source.open("rb") as reader:
        with target.open("wb") as writer:
            while piece := reader.read(PIECE):
                writer.write(piece)
                digest.update(piece)
                size += len(piece)
        shutil.copystat(source, target)
    durable.sync(target)
    return {"sha256": digest.hexdigest(), "size": size}


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file() or path.is_symlink())


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
