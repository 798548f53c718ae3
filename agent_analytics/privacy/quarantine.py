"""Erase from quarantine/: the rejected lines that are, or may be, the subject's. No mart is made from them, so a line
that only mentions the subject goes too."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import duckdb

from agent_analytics import durable, validate
from agent_analytics.ledger import Entry, Erased
from agent_analytics.load import COPY_OPTIONS
from agent_analytics.privacy.subject import Subject
from agent_analytics.storage import Storage


class Quarantine:
    """The quarantine in the making. `rejected`: the erased lines by landed file; `gone`: how many by load."""

    def __init__(self, storage: Storage, subject: Subject, connection: duckdb.DuckDBPyConnection) -> None:
        self.storage, self.subject, self.connection = storage, subject, connection
        self.rejected: dict[str, set[int]] = {}
        self.gone: Counter[int] = Counter()
        self.made: list[tuple[Path, Path]] = []

    def find(self, entries: Iterable[Entry]) -> Iterator[tuple[int, str, int, str, str]]:
        """(load_id, landed file, line number, reason, line) of the subject's lines."""
        for entry in entries:
            if entry.quarantine:
                for _, file, number, reason, line in self._lines(self.storage.quarantine / entry.quarantine):
                    yield entry.load_id, file, number, reason, line

    def write(self, entries: Iterable[Entry], work: Path) -> None:
        """Find the lines, and write the files without them under the work folder. What no load names is removed."""
        listed = {self.storage.quarantine / entry.quarantine: entry for entry in entries if entry.quarantine}
        for path in self.storage.quarantine.glob("*.parquet"):
            if path not in listed:
                path.unlink()
        for path, entry in listed.items():
            self._read(path, entry.load_id, work)

    def recorded(self, entry: Entry) -> Entry:
        """What the ledger says of a load from now on."""
        if not (gone := self.gone[entry.load_id]):
            return entry
        erased = entry.erased or Erased()
        return entry.model_copy(update={"erased": erased.model_copy(update={"rejected": erased.rejected + gone})})

    def move_in(self) -> None:
        """Put the new files in the place of the old ones."""
        for made, path in self.made:
            durable.rename(made, path)

    def _lines(self, path: Path) -> Iterator[tuple[int, str, int, str, str]]:
        """(row of the file, landed file, line number, reason, line) of the subject's lines."""
        words = " or ".join(f"contains(line, {validate.text(word)})" for word in (*self.subject.words, "\\"))
        found = self.connection.cursor().execute(f"""
            select file_row_number, file, line_number, reason, line, raw
            from {_rows(path)} where raw is not null or {words}""")
        while rows := found.fetchmany(1000):
            for *shown, line, raw in rows:
                if self.subject.mentions(line) or (raw and self.subject.mentions(raw.decode("utf-8", "replace"))):
                    number, file, line_number, reason = shown
                    yield number, file, line_number, reason, line

    def _read(self, path: Path, load_id: int, work: Path) -> None:
        numbers = []
        for number, file, line_number, _, _ in self._lines(path):
            numbers.append(str(number))
            self.rejected.setdefault(file, set()).add(line_number)
        self.gone[load_id] += len(numbers)
        files = [file for (file,) in self.connection.execute(f"select distinct file from {_rows(path)}").fetchall()]
        if numbers or any(self.subject.renamed(file) != file for file in files):
            made = work / f"quarantine-{path.name}"
            self._write(path, made, numbers, files)
            self.made.append((made, path))

    def _write(self, path: Path, made: Path, numbers: list[str], files: list[str]) -> None:
        named = "".join(
            f" when {validate.text(file)} then {validate.text(self.subject.renamed(file))}"
            for file in files
            if self.subject.renamed(file) != file
        )
        shown = f"case file{named} else file end" if named else "file"
        self.connection.execute(f"""
            copy (
                select * exclude file_row_number replace ({shown} as file)
                from {_rows(path)} where file_row_number not in ({", ".join(numbers) or "-1"})
            ) to {validate.text(str(made))} ({COPY_OPTIONS})""")


def _rows(path: Path) -> str:
    return validate.read_parquet([path], ", file_row_number = true")
