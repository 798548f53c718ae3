"""The table `stage` of one batch of files: a row per line, the envelope's values as text, the properties as JSON text.

A batch is staged by a thread of its own while the batch before it is written; so each `Stage` has its own connection,
and its own schema, where the connections that write can see the table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import numpy as np
from numpy.typing import NDArray

from agent_analytics import landing, validate
from agent_analytics.contract import Contract
from agent_analytics.errors import AnalyticsError
from agent_analytics.hashing import keyed_hash_sql, pads
from agent_analytics.landing import Scan, Stat
from agent_analytics.ledger import LoadedFile

OBJECT_SIZE = 16 << 20


@dataclass(frozen=True)
class Input:
    """A file to read: `label` is its path in the ledger; `replays` is the work table with the lines' first origin."""

    label: str
    path: Path
    replays: str | None = None
    user_id_hashed: bool = False
    recorded: LoadedFile | None = None


@dataclass
class File:
    """A landed file being loaded, or a piece of a large one, and what is in it; `lines` are counted without blanks.

    `readable` has its lines; before it come `lines_before` of the same landed file. `done` is the share of the load's
    files that come before.
    """

    input: Input
    stat: Stat
    sha256: str
    readable: Path
    scan: Scan
    lines_before: int = 0
    done: float = 0.0
    lines: int = 0
    rejects: Counter[str] = field(default_factory=Counter)
    duplicates: int = 0
    dropped: Counter[str] = field(default_factory=Counter)


class Stage:
    """What is staged of a batch, and whether all its lines are `readable`. Its work files begin with `name`."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, contract: Contract, key: bytes, work: Path, name: str):
        self.connection, self.contract, self.work, self.name = connection, contract, work, name
        connection.execute(f"create schema {name}; set schema = '{name}'")
        # Registered, not written into the statements, which an error message might show; parameters would load pandas.
        inner, outer = pads(key)
        connection.register("pads", {"_inner": np.array([inner.hex()]), "_outer": np.array([outer.hex()])})
        self.files: list[File] = []
        self.longest = 0
        self.readable = True
        self.hashes: NDArray[np.uint64] = np.empty(0, np.uint64)
        self.rows: NDArray[np.int64] = np.empty(0, np.int64)

    def beside(self) -> duckdb.DuckDBPyConnection:
        """Another connection that sees the staged lines."""
        connection = self.connection.cursor()
        connection.execute(f"set schema = '{self.name}'")
        return connection

    def fill(self, files: list[File]) -> list[File]:
        """Stage a batch in place of the one before; unless some of its files, which are returned, have changed."""
        self.files = files
        self.longest = max(file.scan.longest for file in files)
        # One thread reads the lines in order by itself; to be told so costs another copy of them.
        ((threads,),) = self.connection.execute("select current_setting('threads')").fetchall()
        self.connection.execute(f"set session preserve_insertion_order = {threads > 1}")
        self.readable = self._read()
        self.connection.execute("set session preserve_insertion_order = true")
        changed = [
            file for file in files if file.readable == file.input.path and landing.has_changed(file.readable, file.stat)
        ]
        if not changed:
            self._count()
            self._hash_users()
            self.hash_events()
        return changed

    def _read(self) -> bool:
        """Read the files; lines that the JSON reader refuses are read as `{}`. Whether there were none."""
        paths = [file.readable for file in self.files]
        if self._try_read(paths):
            return True
        not_an_object = "json is null or not starts_with(ltrim(json, ' \t\r'), '{')"
        repeats = f"{not_an_object} or len(list_distinct(json_keys(json))) < len(json_keys(json))"
        for bad in (not_an_object, repeats):
            self.connection.execute(f"""
                create or replace temp table refused as
                select file_index, {bad} as bad from {self.json_lines(paths)}""")
            copies = [self._blotted(path, index) for index, path in enumerate(paths)]
            if self._try_read(copies):
                return False
        nothing = ", ".join(f"null::varchar as {validate.raw(field)}" for field in self.contract.envelope)
        self.connection.execute(f"""
            create or replace table stage as
            select file_index::bigint as _file_no, null::varchar as _reason, {nothing} from refused""")
        return False

    def _blotted(self, path: Path, index: int) -> Path:
        """The file, or a copy without the lines that are refused."""
        found = self.connection.execute(
            f"""
            select rowid - first from refused, (select min(rowid) as first from refused where file_index = {index})
            where file_index = {index} and bad order by rowid"""
        ).fetchnumpy()
        (ordinals,) = found.values()
        if not len(ordinals):
            return path
        copy = self.work / f"{self.name}-blotted-{index}.jsonl"
        landing.blot(path, copy, ordinals.tolist())
        return copy

    def _try_read(self, paths: list[Path]) -> bool:
        """Read with DuckDB's typed reader, which fails as a whole for a line that isn't a JSON object."""
        envelope = self.contract.envelope
        columns = ", ".join(f"{validate.column(field)}: '{validate.json_type(field)}'" for field in envelope)
        fields = ", ".join(f"{validate.column(field)}::varchar as {validate.raw(field)}" for field in envelope)
        try:
            self.connection.execute(f"""
                create or replace table stage as
                select file_index::bigint as _file_no, null::varchar as _reason, {fields}
                from read_json(
                    [{", ".join(map(validate.path, paths))}], format = 'newline_delimited', columns = {{{columns}}},
                    hive_partitioning = false, maximum_object_size = {self._object_size()}
                )""")
        except duckdb.Error:
            return False
        return True

    def json_lines(self, paths: Iterable[Path]) -> str:
        """SQL for the lines as JSON, a line that isn't JSON as NULL."""
        return (
            f"read_ndjson_objects([{', '.join(map(validate.path, paths))}], format = 'newline_delimited', "
            f"hive_partitioning = false, ignore_errors = true, maximum_object_size = {self._object_size()})"
        )

    def _object_size(self) -> int:
        return max(OBJECT_SIZE, 2 * self.longest)

    def _count(self) -> None:
        """Number the lines through, and make sure that DuckDB saw the very lines that the scan counted."""
        rows = self.connection.execute(
            "select _file_no, count(*), min(rowid), max(rowid) from stage group by _file_no"
        ).fetchall()
        found = {file_no: (count, first, last) for file_no, count, first, last in rows}
        expected = 0
        for file_no, file in enumerate(self.files):
            count, first, last = found.get(file_no, (0, expected, expected - 1))
            blank = landing.blank_lines(file.readable) if count < file.scan.physical_lines else 0
            if (first, last) != (expected, expected + count - 1) or count + blank != file.scan.physical_lines:
                raise AnalyticsError(
                    f"landing/{file.input.label}: {file.scan.physical_lines} lines, but {count} were read; report this"
                )
            file.lines = count
            expected += count

    def _hash_users(self) -> None:
        """Hash the user_id of each line; one that isn't valid is taken away, so that its line isn't plain."""
        hashed = [file.input.user_id_hashed for file in self.files]
        clear = f"_r_user_id is not null and not {hashed}[_file_no + 1]"
        longest = next(field.max_length for field in self.contract.envelope if field.name == "user_id")
        # A table of its own: otherwise DuckDB hashes each row's user_id, not each user_id.
        self.connection.execute(
            f"create or replace temp table user_ids as select distinct _r_user_id as user_id from stage where {clear}"
        )
        valid = f"length(user_id) between 1 and {longest}"
        self.connection.execute(f"""
            create or replace temp table users as
            select user_id, case when {valid} then {keyed_hash_sql("user_id")} end as hashed from user_ids, pads""")
        # In place: a join would lose the order of the lines.
        self.connection.execute(
            f"update stage set _r_user_id = hashed from users where _r_user_id = user_id and {clear}"
        )

    def hash_events(self) -> None:
        """Hash the event_id of each line: `hashes` are sorted, `rows` are the lines' places."""
        found = self.connection.execute("select hash(_r_event_id) as hash from stage").fetchnumpy()["hash"]
        # Sorting numbers takes a quarter of the time of grouping them.
        self.rows = np.argsort(found)
        self.hashes = found[self.rows]

    def sources(self) -> list[str]:
        """The contract's sources that the lines name."""
        found = set(self.connection.execute("select distinct _r_source from stage").fetchall())
        return [source for source in self.contract.sources if (source,) in found]

    def clear(self) -> None:
        """Remove the files that were made to be read."""
        for file in self.files:
            if file.readable != file.input.path:
                file.readable.unlink()
