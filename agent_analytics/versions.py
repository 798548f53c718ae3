"""The published versions on disk: which one is current, and when an old one may go.

`versions/<n>` is a complete version, never changed after the switch; `published` is a symlink to the current one.
Folders named `<n>.part` are the leavings of a killed publish or prune, and mean nothing.
"""

from __future__ import annotations

import json
import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from agent_analytics import durable, snapshot
from agent_analytics.errors import LOCKED, AnalyticsError, advised, says_damaged
from agent_analytics.storage import Storage

SNAPSHOT = "analytics.duckdb"
MANIFEST = "manifest.json"

# Readers may go on reading a version for 24 hours after the switch, which comes a moment after the recorded
# published_at of its successor.
RETENTION = timedelta(hours=24, minutes=5)


def linked(storage: Storage) -> Path | None:
    """The folder that `published` points to, be it whole, damaged or gone; None when there is no link."""
    if storage.published.is_symlink():
        return storage.published.resolve()
    if storage.published.exists():
        raise AnalyticsError(f"{storage.published} is not a symlink: move it away, then run agent-analytics publish")
    return None


def current(storage: Storage) -> Path | None:
    """The folder of the current version, symlinks resolved; None when nothing is published yet."""
    folder = linked(storage)
    return folder if folder and (folder / MANIFEST).is_file() and (folder / SNAPSHOT).is_file() else None


def require_current(storage: Storage) -> Path:
    """The folder of the current version; AnalyticsError when nothing is published yet."""
    folder = current(storage)
    if folder is None:
        raise AnalyticsError(f"nothing is published yet in {storage.root}: run agent-analytics run")
    return folder


def read_manifest(folder: Path) -> dict[str, Any]:
    """A version's manifest.json; AnalyticsError when it can't be read."""
    path = folder / MANIFEST
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(value, dict):
            raise ValueError("not an object")
    except (OSError, ValueError) as error:
        raise AnalyticsError(
            f"{path} can't be read: {error}: run agent-analytics publish, which makes another"
        ) from error
    return value


def newest_readable(storage: Storage) -> tuple[Path | None, dict[str, Any]]:
    """What the next version starts from: the current one with its record; if a damaged disk has left none of that that
    can be read, the newest version before it."""
    folder = linked(storage)
    if folder is None:
        return None, {}
    number = int(folder.name)
    for path in [folder, *(storage.versions / str(n) for n in sorted(_numbers(storage), reverse=True) if n < number)]:
        try:
            record = read_manifest(path)
        except AnalyticsError:
            continue
        if _is_whole(path, record):
            return path, record
    return None, {}


def _is_whole(folder: Path, record: dict[str, Any]) -> bool:
    """Whether a version's files are there and its snapshot opens. The rows aren't read: that would take too long.

    Raises AnalyticsError if that can't be told now: what may pass is no damage.
    """
    path = folder / SNAPSHOT
    if not all(file.is_file() for file in (path, *(folder / mart["file"] for mart in record.get("marts", ())))):
        return False
    if path.stat().st_size < record.get("snapshot_bytes", 0):
        # DuckDB opens a file that has lost nothing but rows.
        return False
    with duckdb.connect() as connection:
        try:
            snapshot.attach_previous(connection, path)
        except duckdb.Error as error:
            if says_damaged(str(error)):
                return False
            # Somebody may have it open for writing, as DuckDB's command line does: then it can be opened.
            if LOCKED not in str(error):
                raise AnalyticsError(advised(f"{path} can't be opened: {snapshot.first_line(error)}")) from error
    return True


def next_number(storage: Storage) -> int:
    """One more than the highest number ever seen: a killed publish may have left a version that was never current."""
    return max(_numbers(storage), default=0) + 1


def part_folder(storage: Storage, number: int) -> Path:
    return storage.versions / f"{number}.part"


def remove_leftovers(storage: Storage) -> None:
    """Remove what killed writers left behind. Only for the holder of the writer lock."""
    for path in storage.versions.glob("*.part"):
        shutil.rmtree(path)
    for path in storage.root.glob(f".{storage.published.name}.*.part"):
        path.unlink()


def prune(storage: Storage, now: datetime | None = None) -> list[int]:
    """Remove versions that stopped being current more than 24 hours before `now`; returns their numbers.

    The current version stays whatever its age, and so does everything while there is none: a broken link is no reason
    to delete data. A reader that has a removed version open goes on reading it.
    """
    folder = current(storage)
    if folder is None:
        return []
    now = now or datetime.now(UTC)
    stopped = _stopped_at(storage)
    removed = []
    for number in sorted(stopped):
        path = storage.versions / str(number)
        if path.resolve() != folder and now - stopped[number] > RETENTION:
            _remove(storage, number)
            removed.append(number)
    return removed


def prune_all_others(storage: Storage) -> list[int]:
    """Remove every version but the current one, however young, even if there is none; returns their numbers."""
    folder = current(storage)
    removed = [number for number in sorted(_numbers(storage)) if storage.versions / str(number) != folder]
    for number in removed:
        _remove(storage, number)
    return removed


def _remove(storage: Storage, number: int) -> None:
    # Renamed first: a half-deleted folder must not look like a version.
    part = part_folder(storage, number)
    durable.point(f"prune:{number}")
    os.rename(storage.versions / str(number), part)
    shutil.rmtree(part)


def _stopped_at(storage: Storage) -> dict[int, datetime]:
    """When each version stopped being current: when its successor was published, else when it was made itself."""
    made: dict[int, datetime] = {}
    followed: dict[int, datetime] = {}
    for number in _numbers(storage):
        try:
            manifest = read_manifest(storage.versions / str(number))
            at = datetime.fromisoformat(manifest["published_at"])
        except (AnalyticsError, KeyError, ValueError):
            at, manifest = datetime.fromtimestamp((storage.versions / str(number)).stat().st_mtime, UTC), {}
        made[number] = at
        # A damaged version is replaced by one that was made from the one before it.
        for former in (manifest.get("previous"), manifest.get("replaced")):
            if isinstance(former, int):
                followed[former] = max(at, followed.get(former, at))
    return {number: max(at, followed.get(number, at)) for number, at in made.items()}


def _numbers(storage: Storage) -> list[int]:
    return [int(path.name) for path in storage.versions.glob("*") if path.name.isdigit()]
