"""Erase from lake and archive: Parquet files that hold rows of the subject are written anew under new names.

A copy of an erased event that somebody else sent comes forward, as if the erased one had never been there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb

from agent_analytics import durable, validate
from agent_analytics.contract import EVENT_HASH
from agent_analytics.ledger import Archive, ArchivedFile, ArchivedIds, DuplicatesFile, Entry, Erased, LakeFile, Ledger
from agent_analytics.load import COPY_OPTIONS, HASHED, timestamp_text
from agent_analytics.privacy.subject import Subject
from agent_analytics.retention import write_ids
from agent_analytics.storage import Storage

VERSIONED = re.compile(r"(.*?)(?:-e(\d+))?")


@dataclass(frozen=True)
class _Part:
    """A load's rows in a file: how many, the newest occurred_at, and the newest that isn't later than the start."""

    rows: int
    newest: datetime
    clock: datetime | None


@dataclass(frozen=True)
class _Made:
    """What takes a file's place: its path, and whose rows it holds."""

    path: str
    parts: dict[int, _Part]


class Lake:
    """Lake and archive in the making: `write` makes new files, `move_in` moves them in. `gone`: what is erased by load.

    Paths are relative to the storage root. No file of the lake may hold a row that lies in the archive. `resumed`:
    whether an erase that was killed is being ended, so that what the ledger counts may be what was there before it.
    """

    def __init__(
        self,
        storage: Storage,
        subject: Subject,
        connection: duckdb.DuckDBPyConnection,
        work: Path,
        resumed: bool = False,
    ) -> None:
        self.storage, self.subject, self.connection, self.work = storage, subject, connection, work
        self.resumed = resumed
        self.gone: dict[int, Erased] = {}
        self.made: dict[str, _Made] = {}
        self.added: dict[str, int] = {}
        self.ids: dict[str, ArchivedIds] = {}
        self.moves: list[tuple[Path, Path]] = []
        self.measured: dict[Path, dict[int, _Part]] = {}
        self.archived = Archive()

    def write(self, ledger: Ledger) -> None:
        """Find the subject's rows, and write the files without them under the work folder."""
        entries = ledger.entries()
        self.archived = ledger.archive()
        self.connection.execute("create temp table loads (load_id bigint, started_at timestamp)")
        self.connection.execute("create temp table forward (path varchar, row bigint, load_id bigint, host varchar)")
        if entries:
            starts = (f"({entry.load_id}, {validate.text(entry.started_at.rstrip('Z'))})" for entry in entries)
            self.connection.execute(f"insert into loads values {', '.join(starts)}")
        for source in sorted({file.source for entry in entries for file in entry.parquet_files()}):
            self._find_forward(ledger.standing(), source)
        events = [path for entry in entries for file in entry.lake if (path := _in_lake(file.path))]
        for path in dict.fromkeys([*events, *(_in_archive(file) for file in self.archived.files)]):
            self._write(path, copied=False)
        for path in dict.fromkeys(
            path for entry in entries for file in entry.duplicates if (path := _in_lake(file.path))
        ):
            self._write(path, copied=True)
        self._write_added()
        for source in sorted({path.split("/")[1] for path in self.made if path.startswith("archive/")}):
            self._write_ids(source)

    def recorded(self, entry: Entry) -> Entry:
        """What the ledger says of a load from now on."""
        paths = {_in_lake(file.path) for file in entry.parquet_files()}
        hosts = [path for path, load_id in self.added.items() if load_id == entry.load_id]
        if not (self.resumed or hosts or entry.load_id in self.gone or self.made.keys() & paths):
            return entry
        sources = dict.fromkeys([file.source for file in entry.lake] + [Path(host).parent.name for host in hosts])
        lake = [file for source in sources for file in self._recorded(entry, source, hosts)]
        copies = [
            DuplicatesFile(source=source, path=path, rows=part.rows)
            for source in dict.fromkeys(file.source for file in entry.duplicates)
            for path, part in self._parts_in(
                entry.load_id, [_in_lake(file.path) for file in entry.duplicates if file.source == source]
            )
        ]
        clocks = [
            part.clock
            for source in sources
            for _, part in self._parts_in(entry.load_id, self._event_paths(entry, source, hosts))
            if part.clock
        ]
        clock = timestamp_text(max(clocks)) if clocks else None
        return entry.model_copy(
            update={"lake": lake, "duplicates": copies, "clock": clock, "erased": self._erased(entry, lake, copies)}
        )

    def archive(self) -> Archive:
        """What the archive holds from now on."""
        files = []
        for file in self.archived.files:
            if (made := self.made.get(_in_archive(file))) is None:
                files.append(file)
            elif made.parts:
                files.append(self._archived(file.source, file.date, made))
        for host in self.added:
            if host.startswith("archive/"):
                _, source, day, _ = host.split("/")
                files.append(self._archived(source, day, self.made[host]))
        if not any(path.startswith("archive/") for path in self.made):
            return self.archived
        kept = [file for file in self.archived.ids if file.source not in self.ids]
        ids = kept + [file for file in self.ids.values() if file.rows]
        return self.archived.model_copy(update={"files": files, "ids": ids, "revision": self.archived.revision + 1})

    def move_in(self) -> None:
        """Put the new files into lake and archive, where they count once ledger and archive name them."""
        for made, target in self.moves:
            durable.rename(made, target)

    # Copies that come forward

    def _find_forward(self, standing: list[Entry], source: str) -> None:
        """Of each event that is lost, the earliest copy that somebody else sent, and the file that it moves to."""
        cold = [_in_archive(file) for file in self.archived.files if file.source == source]
        events = self._files(
            [_in_lake(file.path) for entry in standing for file in entry.lake if file.source == source] + cold
        )
        copies = self._files(
            _in_lake(file.path) for entry in standing for file in entry.duplicates if file.source == source
        )
        if not events or not copies:
            return
        loads = f"load_id in ({', '.join(str(entry.load_id) for entry in standing)})"
        lost = f"select event_id from {events} where {loads} and {self.subject.condition}"
        hosts = {
            entry.load_id: next((_in_lake(file.path) for file in entry.lake if file.path and file.source == source), "")
            for entry in standing
        }
        days = {file.date: _in_archive(file) for file in self.archived.files if file.source == source}
        found = self.connection.execute(f"""
            select
                filename, file_row_number, load_id,
                case when {self.archived.holds()} then cast(occurred_at as date)::varchar end
            from {copies}
            where {loads} and not ({self.subject.condition}) and event_id in ({lost})
            qualify row_number() over (partition by event_id order by load_id, filename, file_row_number) = 1""")
        for filename, row, load_id, day in found.fetchall():
            path = str(Path(filename).relative_to(self.storage.root))
            if day:
                host = days.get(day) or f"archive/{source}/{day}/f{self.archived.revision + 1}.parquet"
            else:
                host = hosts[load_id] or f"lake/{source}/{load_id}-f.parquet"
            values = f"({validate.text(path)}, {row}, {load_id}, {validate.text(host)})"
            self.connection.execute(f"insert into forward values {values}")

    def _coming(self, host: str) -> str:
        """SQL: the rows that come forward into a file; empty if there are none."""
        found = self.connection.execute(f"select distinct path from forward where host = {validate.text(host)}")
        if not (paths := [path for (path,) in found.fetchall()]):
            return ""
        root = validate.text(f"{self.storage.root}/")
        return f"""
            select * exclude (filename, file_row_number) from {self._files(paths)}
            where (filename, file_row_number) in (
                select {root} || path, row from forward where host = {validate.text(host)}
            )"""

    def _write_added(self) -> None:
        """Files where none was before: of a load's events of a source, or of a day, of which one came forward."""
        found = self.connection.execute("select host, max(load_id) from forward group by host order by all").fetchall()
        for host, load_id in found:
            if host not in self.made:
                self.made[host] = self._copy(host, self._coming(host))
                self.added[host] = load_id

    def _write_ids(self, source: str) -> None:
        """The ids of a source's archived events, in one file."""
        before = [_in_archive(file) for file in self.archived.files if file.source == source]
        before += [path for path in self.added if path.startswith(f"archive/{source}/")]
        paths = [self.storage.root / path for path in before if path not in self.made]
        made = [self.made[path] for path in before if path in self.made and self.made[path].parts]
        paths += [self.work / each.path.replace("/", "-") for each in made]
        target = f"{source}/ids/e{self.archived.revision + 1}.parquet"
        rows = 0
        if paths:
            part = self.work / f"ids-{source}.parquet"
            ids = f"select load_id, event_id from {validate.read_parquet(paths)}"
            rows = write_ids(self.connection, ids, part)
            self.moves.append((part, self.storage.archive / target))
        self.ids[source] = ArchivedIds(source=source, path=target, rows=rows, hash_probe=self._probe())

    # Files without the subject's rows

    def _write(self, path: str, copied: bool) -> None:
        source = self._files([path])
        coming = "" if copied else self._coming(path)
        forward = f"file_row_number in (select row from forward where path = {validate.text(path)})"
        gone = f"({self.subject.condition})" + (f" or {forward}" if copied else "")
        counted = self.connection.execute(f"""
            select load_id, count(*) filter ({self.subject.condition}), count(*)
            from {source} where {gone} group by load_id""").fetchall()
        if not counted and not coming:
            return
        for load_id, erased, lost in counted:
            if copied:
                self._count(load_id, accepted=erased - lost, duplicates=lost)
            else:
                self._count(load_id, accepted=erased)
        kept = f"select * exclude (filename, file_row_number) from {source} where not ({gone})"
        stem, number = VERSIONED.fullmatch(Path(path).stem).groups()  # type: ignore[union-attr]
        target = str(Path(path).with_name(f"{stem}-e{int(number or 0) + 1}.parquet"))
        self.made[path] = self._copy(target, f"{kept} union all by name {coming}" if coming else kept)

    def _copy(self, target: str, rows: str) -> _Made:
        """Write rows to a file that is to be moved to this path, unless there are none."""
        made = self.work / target.replace("/", "-")
        if target.startswith("archive/"):
            # A day's rows may come from loads of several versions of DuckDB.
            rows = f"select * replace (hash(event_id) as {EVENT_HASH}) from ({rows})"
        self.connection.execute(f"copy ({rows}) to {validate.text(str(made))} ({COPY_OPTIONS})")
        parts = self._parts(made)
        if parts:
            self.moves.append((made, self.storage.root / target))
        return _Made(target, parts)

    def _parts(self, file: Path) -> dict[int, _Part]:
        if file not in self.measured:
            found = self.connection.execute(f"""
                select load_id, count(*), max(occurred_at), max(occurred_at) filter (occurred_at <= started_at)
                from {validate.read_parquet([file])} inner join loads using (load_id) group by load_id""")
            self.measured[file] = {load_id: _Part(*measured) for load_id, *measured in found.fetchall()}
        return self.measured[file]

    def _count(self, load_id: int, accepted: int = 0, duplicates: int = 0) -> None:
        so_far = self.gone.get(load_id, Erased())
        self.gone[load_id] = Erased(
            accepted=so_far.accepted + accepted, duplicates=so_far.duplicates + duplicates, rejected=0
        )

    # What is told of them

    def _event_paths(self, entry: Entry, source: str, hosts: Iterable[str]) -> list[str]:
        """The files that hold a load's events of a source, by the names that they had before."""
        hot = [_in_lake(file.path) for file in entry.lake if file.source == source]
        hot += [host for host in hosts if host.startswith(f"lake/{source}/")]
        cold = [
            _in_archive(file)
            for file in self.archived.files
            if file.source == source and file.first_load <= entry.load_id <= file.last_load
        ]
        # A row may have come forward into the file of any load.
        came = [
            path
            for path in self.made
            if path.startswith(f"archive/{source}/") and entry.load_id in self.made[path].parts
        ]
        return [path for path in dict.fromkeys([*hot, *cold, *came]) if path]

    def _parts_in(self, load_id: int, paths: Iterable[str]) -> list[tuple[str, _Part]]:
        """(path in the lake, or in the archive from the root) and what is there of a load, from now on."""
        found = []
        for path in dict.fromkeys(path for path in paths if path):
            made = self.made.get(path)
            parts = made.parts if made else self._parts(self.storage.root / path)
            if load_id in parts:
                found.append(((made.path if made else path).removeprefix("lake/"), parts[load_id]))
        return found

    def _recorded(self, entry: Entry, source: str, hosts: Iterable[str]) -> list[LakeFile]:
        """A load's files of events of a source; those in the archive count with the first of them."""
        parts = self._parts_in(entry.load_id, self._event_paths(entry, source, hosts))
        hot = [(path, part.rows, part.newest) for path, part in parts if not path.startswith("archive/")]
        cold = [part for path, part in parts if path.startswith("archive/")]
        files: list[tuple[str | None, int, datetime]] = [*hot]
        if cold:
            path, rows, newest = files.pop(0) if files else (None, 0, cold[0].newest)
            rows += sum(part.rows for part in cold)
            files.insert(0, (path, rows, max(newest, *(part.newest for part in cold))))
        return [
            LakeFile(source=source, path=path, rows=rows, newest_occurred_at=timestamp_text(newest))
            for path, rows, newest in files
        ]

    def _erased(self, entry: Entry, lake: list[LakeFile], copies: list[DuplicatesFile]) -> Erased | None:
        """By how many a load's lines are fewer: what it had read but for what is left, so that it is right after a kill
        too. A retraction has read none."""
        before, gone = entry.erased or Erased(), self.gone.get(entry.load_id, Erased())
        accepted, duplicates = before.accepted + gone.accepted, before.duplicates + gone.duplicates
        if entry.kind != "retraction":
            accepted = sum(file.accepted for file in entry.files) - sum(file.rows for file in lake)
            duplicates = sum(file.duplicates for file in entry.files) - sum(file.rows for file in copies)
        found = before.model_copy(update={"accepted": accepted, "duplicates": duplicates})
        return None if entry.erased is None and found == Erased() else found

    def _archived(self, source: str, day: str, made: _Made) -> ArchivedFile:
        return ArchivedFile(
            source=source,
            date=day,
            path=made.path.removeprefix("archive/"),
            rows=sum(part.rows for part in made.parts.values()),
            first_load=min(made.parts),
            last_load=max(made.parts),
            hash_probe=self._probe(),
        )

    def _probe(self) -> int:
        return int(self.connection.execute(f"select hash({validate.text(HASHED)})").fetchall()[0][0])

    def _files(self, paths: Iterable[str]) -> str:
        """SQL: the rows of files, with `filename` and `file_row_number`; empty for no files."""
        listed = [self.storage.root / path for path in dict.fromkeys(paths) if path]
        options = ", union_by_name = true, filename = true, file_row_number = true"
        return validate.read_parquet(listed, options) if listed else ""


def _in_lake(path: str | None) -> str:
    """A ledger's path from the storage root; empty for none."""
    return f"lake/{path}" if path else ""


def _in_archive(file: ArchivedFile) -> str:
    return f"archive/{file.path}"
