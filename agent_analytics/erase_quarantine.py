"""Erase from quarantine/: the rejected lines that are, or may be, the subject's. No mart is made from them, so a line
that only mentions the subject goes too."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import duckdb

from agent_analytics import durable, validate
from agent_analytics.ledger import Entry, Erased
from agent_analytics.load import COPY_OPTIONS
from agent_analytics.storage import Storage
from agent_analytics.subject import Subject


class Quarantine:
    """The quarantine in the making. `rejected`: the erased lines by landed file; `gone`: how many by load."""

    def __init__(self, storage: Storage, subject: Subject, connection: duckdb.DuckDBPyConnection, work: Path) -> None:
        self.storage, self.subject, self.connection, self.work = storage, subject, connection, work
        self.rejected: dict[str, set[int]] = {}
        self.gone: Counter[int] = Counter()
        self.made: list[tuple[Path, Path]] = []

    def read(self, entries: Iterable[Entry]) -> None:
        """Find the lines, and write the files without them under the work folder. What no load names is removed."""
        listed = {self.storage.quarantine / entry.quarantine: entry for entry in entries if entry.quarantine}
        for path in self.storage.quarantine.glob("*.parquet"):
            if path not in listed:
                path.unlink()
        for path, entry in listed.items():
            self._read(path, entry.load_id)

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

    def _read(self, path: Path, load_id: int) -> None:
        source = f"read_parquet({validate.text(str(path))}, file_row_number = true)"
        words = " or ".join(f"contains(line, {validate.text(word)})" for word in (*self.subject.words, "\\"))
        found = self.connection.execute(
            f"select file_row_number, file, line_number, line, raw from {source} where raw is not null or {words}"
        )
        numbers = []
        while rows := found.fetchmany(1000):
            for number, file, line_number, line, raw in rows:
                if self.subject.mentions(line) or (raw and self.subject.mentions(raw.decode("utf-8", "replace"))):
                    numbers.append(str(number))
                    self.rejected.setdefault(file, set()).add(line_number)
        self.gone[load_id] += len(numbers)
        files = self.connection.execute(f"select distinct file from {source}").fetchall()
        if numbers or any(self.subject.renamed(file) != file for (file,) in files):
            self._write(path, source, numbers, [file for (file,) in files])

    def _write(self, path: Path, source: str, numbers: list[str], files: list[str]) -> None:
        named = "".join(
            f" when {validate.text(file)} then {validate.text(self.subject.renamed(file))}"
            for file in files
            if self.subject.renamed(file) != file
        )
        shown = f"case file{named} else file end" if named else "file"
        made = self.work / f"quarantine-{path.name}"
        self.connection.execute(f"""
            copy (
                select * exclude file_row_number replace ({shown} as file)
                from {source} where file_row_number not in ({", ".join(numbers) or "-1"})
            ) to {validate.text(str(made))} ({COPY_OPTIONS})""")
        self.made.append((made, path))
