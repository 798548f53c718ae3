"""Retention: events older than the hot days leave the lake for the archive; landed files that are loaded may go too.

archive/<source>/<date>/ holds the events of a UTC day. They lie there from the moment at which archive/files.json,
which names the files, is renamed into place: it says up to which load and from before which day events are archived,
and from then on rows of that kind that a file of the lake still holds don't count. Such files are written anew without
them as soon as that pays, as packs are (see `packing`). What is replaced stays until the next time, for those who are
still reading it. So a process that is killed at any point leaves each event in one place that counts.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import duckdb

from agent_analytics import durable, landing, packing, scratch, validate
from agent_analytics.contract import EVENT_HASH
from agent_analytics.errors import AnalyticsError
from agent_analytics.ledger import Archive, ArchivedFile, ArchivedIds, KnownFile, Ledger, archive_list, commit_lock
from agent_analytics.load import COPY_OPTIONS, HASHED, MEMORY_LIMIT
from agent_analytics.locking import writer_lock
from agent_analytics.operations import audit
from agent_analytics.policy import Policy
from agent_analytics.storage import Storage

# A day's new rows are written together with those of its files that hold at most so many times as many: an event is
# rewritten a few times in its life, and a day has a few files, however often events come late.
MERGED = 16
# A unit of the lake is written anew once that share of its rows lies in the archive: at most so many rows are written
# for one that left.
SHARE = 1 / 4
# Partitions that are written at once: DuckDB opens a file for each.
DAYS_AT_ONCE = 64

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Moved:
    """What ages out of one place: `files` are written for `rows` of the days between two, or moved as they are."""

    what: str
    where: str
    files: int
    rows: int | None
    bytes: int
    first: str | None = None
    last: str | None = None


@dataclass(frozen=True)
class Retention:
    """What a retention moved, or would move. `before`: events of that UTC day and later stay in the lake; None without
    an event. `kept`: loaded landed files that stay, since they aren't any more what was loaded."""

    policy: Policy
    before: str | None
    moved: list[Moved] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Day:
    """Events of a source's day that are to be archived."""

    date: str
    rows: int


def retention(
    storage: Storage, policy: Policy | None = None, dry_run: bool = False, progress: Progress | None = None
) -> Retention:
    """Move what is older than the policy says; with `dry_run` say what would move, and change nothing.

    Raises AnalyticsError when the policy can't be understood, another process is writing, or a file can't be read.
    """
    policy = policy or Policy.from_env()
    tell = progress or (lambda message: None)
    if dry_run:
        return _planned(storage, policy)
    with writer_lock(storage, "agent-analytics retention"):
        if policy.landed_files != "keep":
            landing.files_in(storage.landing)  # What can't be read there is told before anything moves.
        try:
            with commit_lock(storage):
                remove_unlisted(storage)
                done = _archive_events(storage, policy, tell)
                shrink(storage, SHARE, tell)
            done = _move_landed(storage, done, tell)
        except (OSError, duckdb.Error) as problem:
            raise AnalyticsError(f"retention: {_first_line(problem)}: mend it and run retention again") from problem
        return done


def _planned(storage: Storage, policy: Policy) -> Retention:
    try:
        with duckdb.connect() as connection:
            ledger = Ledger(storage)
            before = _before(ledger, policy)
            moved = [
                _told(source, days, _bytes(storage, ledger, source, days))
                for source, days in _leaving(connection, storage, ledger, before).items()
            ]
        files, kept = _loaded(storage, policy, ledger.known_files())
        return Retention(policy, before, [*moved, *_told_landed(storage, policy, files)], kept)
    except (OSError, duckdb.Error) as problem:
        raise AnalyticsError(f"retention: {_first_line(problem)}") from problem


# Events


def _before(ledger: Ledger, policy: Policy) -> str | None:
    """The UTC day from which events stay in the lake. What was archived once doesn't come back."""
    as_of, archived = ledger.as_of(), ledger.archive().before
    if as_of is None:
        return archived
    day = date.fromordinal(max(1, datetime.fromisoformat(as_of).date().toordinal() - policy.hot_days))
    return max(day.isoformat(), archived or "")


def _hot_files(storage: Storage, ledger: Ledger, source: str | None = None) -> list[str]:
    """The lake's files of events, in load order."""
    return list(
        dict.fromkeys(
            str(storage.lake / file.path)
            for entry in ledger.entries()
            for file in entry.lake
            if file.path and source in (None, file.source)
        )
    )


def _leaves(archive: Archive, before: str) -> str:
    """SQL: whether a row of the lake is to be archived."""
    return f"occurred_at < timestamp '{before}' and not {archive.holds()}"


def _leaving(
    connection: duckdb.DuckDBPyConnection, storage: Storage, ledger: Ledger, before: str | None
) -> dict[str, list[_Day]]:
    """By source, the days of which events are to be archived."""
    found: dict[str, list[_Day]] = {}
    if before is None:
        return found
    for source in sorted({file.source for entry in ledger.entries() for file in entry.lake}):
        if paths := _hot_files(storage, ledger, source):
            rows = connection.execute(f"""
                select cast(occurred_at as date)::varchar as date, count(*)
                from {validate.read_parquet(paths, ", union_by_name = true")}
                where {_leaves(ledger.archive(), before)}
                group by date order by date""").fetchall()
            if rows:
                found[source] = [_Day(*row) for row in rows]
    return found


def _archive_events(storage: Storage, policy: Policy, tell: Progress) -> Retention:
    """Write the archive's new files, and the list that makes them count."""
    ledger = Ledger(storage)
    archive, before = ledger.archive(), _before(ledger, policy)
    done = Retention(policy, before)
    work, hold = scratch.folder(storage, "retention")
    try:
        with _connect(work) as connection:
            leaving = _leaving(connection, storage, ledger, before)
            if not leaving or before is None:
                return done
            changed = _Changed(storage, ledger, archive, before, connection, work)
            for source, days in leaving.items():
                tell(f"archive: {source}")
                written = changed.write(source, days)
                done.moved.append(_told(source, days, written))
        _audit(storage, "events", done.moved)
        for made, target in changed.moves:
            durable.rename(made, target)
        write_archive(storage, changed.archive())
        return done
    finally:
        shutil.rmtree(work, ignore_errors=True)
        hold.close()


def write_archive(storage: Storage, archive: Archive) -> None:
    """Make what the archive holds count; the commit lock is held."""
    durable.write_text(archive_list(storage), archive.model_dump_json() + "\n")


class _Changed:
    """The archive in the making: `write` makes files, `moves` says where they go, `archive` is the list of them."""

    def __init__(
        self,
        storage: Storage,
        ledger: Ledger,
        archive: Archive,
        before: str,
        connection: duckdb.DuckDBPyConnection,
        work: Path,
    ) -> None:
        self.storage, self.ledger, self.before, self.old = storage, ledger, before, archive
        self.connection, self.work = connection, work
        self.revision = archive.revision + 1
        self.hash_probe: int = connection.execute(f"select hash({validate.text(HASHED)})").fetchall()[0][0]
        self.replaced: set[str] = set()
        self.made: list[ArchivedFile] = []
        self.ids: list[ArchivedIds] = list(archive.ids)
        self.moves: list[tuple[Path, Path]] = []

    def archive(self) -> Archive:
        kept = [file for file in self.old.files if file.path not in self.replaced]
        files = sorted([*kept, *self.made], key=lambda file: (file.source, file.date, file.path))
        return Archive(
            before=self.before, through=self.ledger.last_load_id(), revision=self.revision, files=files, ids=self.ids
        )

    def write(self, source: str, days: list[_Day]) -> int:
        """Write a source's days; how many bytes they are."""
        by_date: dict[str, list[ArchivedFile]] = {}
        for file in self.old.files:
            if file.source == source:
                by_date.setdefault(file.date, []).append(file)
        written = 0
        for start in range(0, len(days), DAYS_AT_ONCE):
            some = days[start : start + DAYS_AT_ONCE]
            merged = [file for day in some for file in to_merge(day.rows, by_date.get(day.date, []))]
            self.replaced |= {file.path for file in merged}
            written += self._write(source, some, merged)
        self._write_ids(source, sum(day.rows for day in days))
        return written

    def _write_ids(self, source: str, rows: int) -> None:
        """Write the ids of what moves, with those of earlier moves that are not many more."""
        merged = to_merge(rows, [file for file in self.ids if file.source == source])
        old = validate.read_parquet(self.storage.archive / file.path for file in merged)
        hot = validate.read_parquet(_hot_files(self.storage, self.ledger, source), ", union_by_name = true")
        made = self.work / f"ids-{source}.parquet"
        written = write_ids(
            self.connection,
            f"""
            select load_id, event_id from {hot}
            where {_leaves(self.old, self.before)}
            {f"union all select load_id, event_id from {old}" if merged else ""}""",
            made,
        )
        if written != rows + sum(file.rows for file in merged):
            raise AnalyticsError(f"the archive's ids of {source} don't add up; nothing was moved; report this")
        name = f"{source}/ids/{self.revision}.parquet"
        self.moves.append((made, self.storage.archive / name))
        self.ids = [file for file in self.ids if file not in merged]
        self.ids.append(ArchivedIds(source=source, path=name, rows=written, hash_probe=self.hash_probe))

    def _write(self, source: str, days: list[_Day], merged: list[ArchivedFile]) -> int:
        folder = self.work / f"{source}-{days[0].date}"
        folder.mkdir()
        hot = validate.read_parquet(_hot_files(self.storage, self.ledger, source), ", union_by_name = true")
        schema = self.storage.lake / source / "schema.parquet"
        # A source that the contract has lost has no schema.parquet after a restore.
        paths = [*filter(Path.exists, [schema]), *(self.storage.archive / file.path for file in merged)]
        old = (
            f"select * from {validate.read_parquet(paths, ', union_by_name = true')} union all by name" if paths else ""
        )
        last = (date.fromisoformat(days[-1].date) + timedelta(days=1)).isoformat()
        self.connection.execute(f"""
            copy (
                select *, cast(occurred_at as date)::varchar as _date
                from (
                    select * replace (hash(event_id) as {EVENT_HASH}) from (
                        {old}
                        select * from {hot}
                        where {_leaves(self.old, self.before)}
                            and occurred_at >= timestamp '{days[0].date}' and occurred_at < timestamp '{last}'
                    )
                )
            ) to {validate.text(str(folder))} ({COPY_OPTIONS}, partition_by (_date))""")
        paths = sorted(folder.rglob("*.parquet"))
        found = self.connection.execute(f"""
            select filename, count(*), min(load_id), max(load_id)
            from {validate.read_parquet(paths, ", filename = true")}
            group by filename order by filename""").fetchall()
        if sum(row[1] for row in found) != sum(day.rows for day in days) + sum(file.rows for file in merged):
            raise AnalyticsError(f"the archive's rows of {source} don't add up; nothing was moved; report this")
        numbers: dict[str, int] = {}
        for path, rows, first_load, last_load in found:
            day = Path(path).parent.name.removeprefix("_date=")
            numbers[day] = numbers.get(day, 0) + 1
            name = f"{source}/{day}/{self.revision}{f'-{numbers[day]}' if numbers[day] > 1 else ''}.parquet"
            self.moves.append((Path(path), self.storage.archive / name))
            self.made.append(
                ArchivedFile(
                    source=source,
                    date=day,
                    path=name,
                    rows=rows,
                    first_load=first_load,
                    last_load=last_load,
                    hash_probe=self.hash_probe,
                )
            )
        return sum(path.stat().st_size for path in paths)


def write_ids(connection: duckdb.DuckDBPyConnection, rows: str, made: Path) -> int:
    """Write a file of ids from SQL that gives load_id and event_id; how many they are."""
    written = connection.execute(f"""
        copy (select load_id, event_id, hash(event_id) as {EVENT_HASH} from ({rows}))
        to {validate.text(str(made))} ({COPY_OPTIONS})""").fetchall()
    return int(written[0][0])


Sized = TypeVar("Sized", ArchivedFile, ArchivedIds)


def to_merge(rows: int, files: Iterable[Sized]) -> list[Sized]:
    """Of a day's files those that are written together with so many new rows: the smallest, up to MERGED times what is
    written so far. Each that is left is much larger than all that are smaller, so there are few."""
    merged: list[Sized] = []
    for file in sorted(files, key=lambda file: file.rows):
        if file.rows > MERGED * rows:
            break
        merged.append(file)
        rows += file.rows
    return merged


def shrink(storage: Storage, share: float, tell: Progress) -> None:
    """Write units of the lake anew of whose rows that share, or more, lies in the archive; 0 for any.

    The writer lock and the commit lock are held.
    """
    ledger = Ledger(storage)
    archive = ledger.archive()
    hot = _hot_files(storage, ledger)
    if archive.before is None or not hot:
        return
    with duckdb.connect() as connection:
        counted = connection.execute(f"""
            select filename, count(*) from {validate.read_parquet(hot, ", union_by_name = true, filename = true")}
            where {archive.holds()} group by filename""").fetchall()
        gone = dict(counted)
        listed = ", ".join(map(validate.path, hot))
        rows = dict(connection.execute(f"select file_name, num_rows from parquet_file_metadata([{listed}])").fetchall())
    for unit in ledger.units():
        paths = {str(storage.lake / file.path) for entry in unit for file in entry.lake if file.path}
        archived = sum(gone.get(path, 0) for path in paths)
        if archived and archived >= share * sum(rows[path] for path in paths):
            tell(f"lake: loads {unit[0].load_id} to {unit[-1].load_id}")
            packing.pack(storage, unit, version=f"-a{archive.revision}")


def remove_unlisted(storage: Storage) -> None:
    """Remove what the retention before this one replaced, and what a killed one left."""
    packing.remove_unlisted(storage)
    listed = {storage.archive / path for path in Ledger(storage).archive().paths()}
    for source in sorted(path.name for path in storage.lake.glob("*") if path != storage.loads):
        for path in (storage.archive / source).rglob("*.parquet"):
            if path not in listed:
                path.unlink()


# Landed files


def _loaded(storage: Storage, policy: Policy, known: dict[str, KnownFile]) -> tuple[list[str], list[str]]:
    """The landed files that are loaded and still what was loaded, and those that aren't any more."""
    if policy.landed_files == "keep":
        return [], []
    loaded: list[str] = []
    kept: list[str] = []
    for name in landing.files_in(storage.landing):
        if (file := known.get(name)) is None:
            continue
        path = storage.landing / name
        same = landing.stat(path) == landing.Stat(file.size, file.mtime_ns, file.inode)
        is_loaded = same or landing.file_hash(path) in (file.sha256, *file.earlier)
        (loaded if is_loaded else kept).append(name)
    return loaded, kept


def _move_landed(storage: Storage, done: Retention, tell: Progress) -> Retention:
    policy = done.policy
    files, kept = _loaded(storage, policy, Ledger(storage).known_files())
    moved = _told_landed(storage, policy, files)
    _audit(storage, "landed files", moved)
    for name in files:
        tell(f"landing: {name}")
        path = storage.landing / name
        if policy.landed_files == "archive":
            durable.rename(path, storage.archive / "landing" / name)
        else:
            durable.point(f"remove:{path.name}")
            path.unlink()
    return Retention(policy, done.before, [*done.moved, *moved], kept)


# What is told


def _audit(storage: Storage, what: str, moved: list[Moved]) -> None:
    """Written before anything moves."""
    if moved:
        audit.record(storage, "retention", what, detail={"moved": [vars(each) for each in moved]})


def _told(source: str, days: list[_Day], size: int) -> Moved:
    rows = sum(day.rows for day in days)
    return Moved(f"events of {source}", f"archive/{source}", len(days), rows, size, days[0].date, days[-1].date)


def _told_landed(storage: Storage, policy: Policy, files: list[str]) -> list[Moved]:
    if not files:
        return []
    size = sum((storage.landing / name).stat().st_size for name in files)
    where = "archive/landing" if policy.landed_files == "archive" else "removed"
    return [Moved("landed files", where, len(files), None, size)]


def _bytes(storage: Storage, ledger: Ledger, source: str, days: list[_Day]) -> int:
    """About how large the rows will be: their share of the files in which they lie."""
    paths = [Path(path) for path in _hot_files(storage, ledger, source)]
    with duckdb.connect() as connection:
        listed = ", ".join(map(validate.path, paths))
        rows = connection.execute(f"select sum(num_rows)::bigint from parquet_file_metadata([{listed}])").fetchall()
    return round(sum(path.stat().st_size for path in paths) * sum(day.rows for day in days) / max(1, int(rows[0][0])))


def _connect(work: Path) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    for setting in (
        f"set memory_limit = '{MEMORY_LIMIT}'",
        f"set temp_directory = {validate.text(str(work / 'spill'))}",
        "set enable_progress_bar = false",
        "set preserve_insertion_order = true",
        # Each thread would write a file of its own for a day.
        "set threads = 1",
    ):
        connection.execute(setting)
    return connection


def _first_line(problem: Exception) -> str:
    return problem.strerror if isinstance(problem, OSError) and problem.strerror else str(problem).splitlines()[0]
