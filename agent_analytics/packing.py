"""Packing: the files of many small loads become one, so that the lake's files stay few however many loads there are.

A pack holds neighbouring loads: pack-<first>-<last>.json their ledger entries, and of each source a Parquet file of
that name their events, another their copies. FANOUT neighbours of one size become one pack of the next size, as in a
log-structured merge tree: an event is rewritten a few times in its life, and of each size there are fewer than FANOUT.
What holds FULL rows or more is not packed further. The units before it, back to the full one before, become one pack,
whatever their sizes: they would wait for neighbours in vain.

A pack exists when its ledger file does. What it replaced in the lake stays until the next packing, for those who are
still reading it.
"""

from __future__ import annotations

import math
import shutil
import tempfile
from itertools import chain, groupby
from pathlib import Path

import duckdb

from agent_analytics import durable, validate
from agent_analytics.contract import EVENT_HASH
from agent_analytics.errors import AnalyticsError
from agent_analytics.ledger import Entry, Ledger, commit_lock
from agent_analytics.load import COPY_OPTIONS, HASHED, MEMORY_LIMIT
from agent_analytics.locking import writer_lock
from agent_analytics.storage import Storage

FANOUT = 16
FULL = 250_000
# Of the runs before full units, at most so many are packed after one load.
MOST = 16
# The folder of the lake that holds copies of events.
DUPLICATES = "_duplicates"

Unit = list[Entry]


def pack_due(storage: Storage) -> str | None:
    """Pack what is due, unless another process is writing: the next load will. A line that says why it went wrong."""
    try:
        with writer_lock(storage, "agent-analytics ingest"), commit_lock(storage):
            newest = Ledger(storage).units(FANOUT)
            if due(newest) or ended(newest):
                remove_unlisted(storage)
                while unit := due(Ledger(storage).units(FANOUT)):
                    pack(storage, unit)
                for unit in ended(Ledger(storage).units())[-MOST:]:
                    pack(storage, unit)
    except AnalyticsError:
        return None
    except (OSError, duckdb.Error) as problem:
        why = problem.strerror if isinstance(problem, OSError) and problem.strerror else str(problem).splitlines()[0]
        return f"small files of the lake could not be packed: {why}; the next load tries again"
    return None


def due(found: list[Unit]) -> Unit | None:
    """The entries of the newest FANOUT units of the ledger, if they are of one size and none is full."""
    newest = found[-FANOUT:]
    if len(newest) < FANOUT or any(map(_is_full, newest)):
        return None
    sizes = {round(math.log(len(unit), FANOUT)) for unit in newest}
    return list(chain.from_iterable(newest)) if len(sizes) == 1 else None


def ended(found: list[Unit]) -> list[Unit]:
    """The entries of each run of two or more units before a full one, which get no more neighbours of their size."""
    runs = [(is_full, list(units)) for is_full, units in groupby(found, _is_full)]
    return [list(chain.from_iterable(units)) for is_full, units in runs[:-1] if not is_full and len(units) > 1]


def _is_full(unit: Unit) -> bool:
    return sum(file.rows for entry in unit for file in entry.parquet_files()) >= FULL


def pack(storage: Storage, entries: list[Entry], version: str = "") -> None:
    """Make one pack of these entries, which are neighbours, without the events that lie in the archive.

    `version` tells the new files in the lake from those of a pack of the same loads. The writer lock and the commit
    lock are held.
    """
    archive = Ledger(storage).archive()
    name = f"pack-{entries[0].load_id}-{entries[-1].load_id}"
    storage.work.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix="packing-", dir=storage.work))
    try:
        with duckdb.connect() as connection:
            for setting in (
                f"set memory_limit = '{MEMORY_LIMIT}'",
                f"set temp_directory = {validate.text(str(work / 'spill'))}",
                "set preserve_insertion_order = true",
                "set enable_progress_bar = false",
            ):
                connection.execute(setting)
            probe: int = connection.execute(f"select hash({validate.text(HASHED)})").fetchall()[0][0]
            targets = {}
            for folder, paths in _paths_by_folder(entries).items():
                made = work / f"{len(folder)}-{folder.replace('/', '-')}"
                kept = "true" if folder.startswith(DUPLICATES) else f"not {archive.holds()}"
                if _merged(connection, storage.lake, paths, kept, made):
                    targets[folder] = made
        for folder, made in targets.items():
            durable.rename(made, storage.lake / folder / f"{name}{version}.parquet")
        packed = {folder: f"{folder}/{name}{version}.parquet" for folder in targets}
        Ledger(storage).pack([_packed(entry, packed, probe) for entry in entries], name)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _paths_by_folder(entries: list[Entry]) -> dict[str, list[str]]:
    """The files of the entries in load order, by the folder of the lake in which they lie."""
    found: dict[str, dict[str, None]] = {}
    for entry in entries:
        for path in entry.lake_paths():
            found.setdefault(str(Path(path).parent), {})[path] = None
    return {folder: list(paths) for folder, paths in found.items()}


def _merged(connection: duckdb.DuckDBPyConnection, lake: Path, paths: list[str], kept: str, made: Path) -> int:
    """Write the rows of the files for which `kept` (SQL) holds to one; how many they are."""
    files = validate.read_parquet((lake / path for path in paths), ", union_by_name = true")
    written = connection.execute(f"""
        copy (
            select * replace (hash(event_id) as {EVENT_HASH})
            from {files}
            where {kept}
        ) to {validate.text(str(made))} ({COPY_OPTIONS})""").fetchall()
    return int(written[0][0])


def _packed(entry: Entry, packed: dict[str, str], probe: int) -> Entry:
    """The entry with the packs' paths, by the folder of its files; a folder without a pack has no rows left."""

    def moved(path: str) -> str | None:
        return packed.get(str(Path(path).parent))

    lake = [file.model_copy(update={"path": file.path and moved(file.path)}) for file in entry.lake]
    copies = [file.model_copy(update={"path": moved(file.path)}) for file in entry.duplicates]
    return entry.model_copy(update={"lake": lake, "duplicates": copies, "hash_probe": probe})


def remove_unlisted(storage: Storage) -> None:
    """Remove what the packing before this one replaced, and what a killed one left."""
    entries = Ledger(storage).entries()
    listed = {storage.lake / path for entry in entries for path in entry.lake_paths()}
    for folder in (*storage.lake.glob("*"), *(storage.lake / DUPLICATES).glob("*")):
        for path in folder.glob("*.parquet"):
            if path not in listed and path.name != "schema.parquet":
                path.unlink()
