"""Erase from the lake: Parquet files that hold rows of the subject are written anew under new names.

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
from agent_analytics.ledger import DuplicatesFile, Entry, Erased, LakeFile, Ledger
from agent_analytics.load import COPY_OPTIONS, timestamp_text
from agent_analytics.privacy.subject import Subject
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
    """What takes a file's place: a path in the lake, and whose rows it holds."""

    path: str
    parts: dict[int, _Part]


class Lake:
    """The lake in the making: `write` makes its new files, `move_in` moves them in. `gone`: what is erased by load."""

    def __init__(self, storage: Storage, subject: Subject, connection: duckdb.DuckDBPyConnection, work: Path) -> None:
        self.storage, self.subject, self.connection, self.work = storage, subject, connection, work
        self.gone: dict[int, Erased] = {}
        self.made: dict[str, _Made] = {}
        self.added: dict[int, list[LakeFile]] = {}
        self.moves: list[tuple[Path, Path]] = []

    def write(self, ledger: Ledger) -> None:
        """Find the subject's rows, and write the files without them under the work folder."""
        entries = ledger.entries()
        self.connection.execute("create temp table loads (load_id bigint, started_at timestamp)")
        self.connection.execute("create temp table forward (path varchar, row bigint, load_id bigint, host varchar)")
        if entries:
            starts = (f"({entry.load_id}, {validate.text(entry.started_at.rstrip('Z'))})" for entry in entries)
            self.connection.execute(f"insert into loads values {', '.join(starts)}")
        for source in sorted({file.source for entry in entries for file in entry.parquet_files()}):
            self._find_forward(ledger.standing(), source)
        for path in dict.fromkeys(file.path for entry in entries for file in entry.lake):
            self._write(path, copied=False)
        for path in dict.fromkeys(file.path for entry in entries for file in entry.duplicates):
            self._write(path, copied=True)
        self._write_added()

    def recorded(self, entry: Entry) -> Entry:
        """What the ledger says of a load from now on."""
        if entry.load_id not in self.gone:
            return entry
        lake = [kept for file in entry.lake if (kept := self._recorded(entry.load_id, file))]
        lake += self.added.get(entry.load_id, [])
        copies: list[DuplicatesFile] = []
        for copy in entry.duplicates:
            if (made := self.made.get(copy.path)) is None:
                copies.append(copy)
            elif part := made.parts.get(entry.load_id):
                copies.append(copy.model_copy(update={"path": made.path, "rows": part.rows}))
        before, gone = entry.erased or Erased(), self.gone[entry.load_id]
        erased = before.model_copy(
            update={
                "accepted": before.accepted + gone.accepted,
                "duplicates": before.duplicates + gone.duplicates,
            }
        )
        changes = {"lake": lake, "duplicates": copies, "clock": self._clock(entry), "erased": erased}
        return entry.model_copy(update=changes)

    def move_in(self) -> None:
        """Put the new files into the lake, where they count once the ledger names them."""
        for made, target in self.moves:
            durable.rename(made, target)

    # Copies that come forward

    def _find_forward(self, standing: list[Entry], source: str) -> None:
        """Of each event that is lost, the earliest copy that somebody else sent, and the file that it moves to."""
        events = self._files(file.path for entry in standing for file in entry.lake if file.source == source)
        copies = self._files(file.path for entry in standing for file in entry.duplicates if file.source == source)
        if not events or not copies:
            return
        loads = f"load_id in ({', '.join(str(entry.load_id) for entry in standing)})"
        lost = f"select event_id from {events} where {loads} and {self.subject.condition}"
        hosts = {
            entry.load_id: next((file.path for file in entry.lake if file.source == source), None) for entry in standing
        }
        found = self.connection.execute(f"""
            select filename, file_row_number, load_id
            from {copies}
            where {loads} and not ({self.subject.condition}) and event_id in ({lost})
            qualify row_number() over (partition by event_id order by load_id, filename, file_row_number) = 1""")
        for filename, row, load_id in found.fetchall():
            path = str(Path(filename).relative_to(self.storage.lake))
            host = hosts[load_id] or f"{source}/{load_id}-f.parquet"
            values = f"({validate.text(path)}, {row}, {load_id}, {validate.text(host)})"
            self.connection.execute(f"insert into forward values {values}")

    def _coming(self, host: str) -> str:
        """SQL: the rows that come forward into a file; empty if there are none."""
        found = self.connection.execute(f"select distinct path from forward where host = {validate.text(host)}")
        if not (paths := [path for (path,) in found.fetchall()]):
            return ""
        lake = validate.text(f"{self.storage.lake}/")
        return f"""
            select * exclude (filename, file_row_number) from {self._files(paths)}
            where (filename, file_row_number) in (
                select {lake} || path, row from forward where host = {validate.text(host)}
            )"""

    def _write_added(self) -> None:
        """Files of loads that had no event of a source before, and now have one that came forward."""
        found = self.connection.execute("select distinct host, load_id from forward order by all").fetchall()
        for host, load_id in found:
            if host not in self.made:
                part = self._copy(host, self._coming(host)).parts[load_id]
                file = LakeFile(
                    source=Path(host).parent.name,
                    path=host,
                    rows=part.rows,
                    newest_occurred_at=timestamp_text(part.newest),
                )
                self.added.setdefault(load_id, []).append(file)

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
        """Write rows to a file that is to be moved to this path of the lake, unless there are none."""
        made = self.work / target.replace("/", "-")
        self.connection.execute(f"copy ({rows}) to {validate.text(str(made))} ({COPY_OPTIONS})")
        parts = self._parts(made)
        if parts:
            self.moves.append((made, self.storage.lake / target))
        return _Made(target, parts)

    def _parts(self, file: Path) -> dict[int, _Part]:
        found = self.connection.execute(f"""
            select load_id, count(*), max(occurred_at), max(occurred_at) filter (occurred_at <= started_at)
            from read_parquet({validate.text(str(file))}) inner join loads using (load_id) group by load_id""")
        return {load_id: _Part(*measured) for load_id, *measured in found.fetchall()}

    def _count(self, load_id: int, accepted: int = 0, duplicates: int = 0) -> None:
        so_far = self.gone.get(load_id, Erased())
        self.gone[load_id] = Erased(
            accepted=so_far.accepted + accepted, duplicates=so_far.duplicates + duplicates, rejected=0
        )

    def _recorded(self, load_id: int, file: LakeFile) -> LakeFile | None:
        if (made := self.made.get(file.path)) is None:
            return file
        if (part := made.parts.get(load_id)) is None:
            return None
        newest = timestamp_text(part.newest)
        return file.model_copy(update={"path": made.path, "rows": part.rows, "newest_occurred_at": newest})

    def _clock(self, entry: Entry) -> str | None:
        """The newest occurred_at of the load that isn't later than its start, from what its files hold now."""
        files = [
            made.parts if (made := self.made.get(path)) else self._parts(self.storage.lake / path)
            for path in dict.fromkeys(file.path for file in entry.lake)
        ]
        files += [self._parts(self.work / file.path.replace("/", "-")) for file in self.added.get(entry.load_id, ())]
        parts = [found[entry.load_id] for found in files if entry.load_id in found]
        newest = max((part.clock for part in parts if part.clock), default=None)
        return timestamp_text(newest) if newest else None

    def _files(self, paths: Iterable[str]) -> str:
        """SQL: the rows of files of the lake, with `filename` and `file_row_number`; empty for no files."""
        listed = validate.texts(str(self.storage.lake / path) for path in dict.fromkeys(paths))
        options = "union_by_name = true, filename = true, file_row_number = true"
        return f"read_parquet([{listed}], {options})" if listed else ""
