"""Read-only SQL over the published snapshot: no writes, no other files, no settings.

DuckDB itself refuses what isn't reading the snapshot: the file is opened read-only, every other file is out of reach,
extensions can't be loaded, and the configuration is locked before the first statement of a reader is looked at.
"""

from __future__ import annotations

import itertools
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from agent_analytics import scratch, snapshot, versions
from agent_analytics.errors import AnalyticsError, advised, next_step, says_damaged
from agent_analytics.storage import Storage

BATCH = 10_000

_READING = (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN, duckdb.StatementType.RELATION)

# What DuckDB raises where a file's content makes no sense, beside what it says of a damaged one.
_UNREADABLE = (duckdb.IOException, duckdb.SerializationException, duckdb.InternalException, duckdb.FatalException)

# Functions by which a select would change how DuckDB works: that kills a process whose log can't be written. The last
# two run SQL out of a text, which may name the others.
_NOT_READING = {
    "enable_logging",
    "disable_logging",
    "truncate_duckdb_logs",
    "enable_profiling",
    "disable_profiling",
    "checkpoint",
    "force_checkpoint",
    "query",
    "json_execute_serialized_sql",
}


@dataclass(frozen=True)
class QueryResult:
    """An answer: column names, DuckDB's names of their types, rows; `truncated` if max_rows cut it short."""

    columns: tuple[str, ...]
    types: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    truncated: bool = False


def run_query(storage: Storage, sql: str, max_rows: int | None = None) -> QueryResult:
    """Answer one reading statement (select, with, describe, show, summarize, explain ...) from what is published now.

    Marts are known by their bare names. Raises AnalyticsError, in one line, when nothing is published yet, when `sql`
    is not one reading statement, and when DuckDB refuses it.
    """
    with open_published(storage) as connection:
        with _refusals():
            _check_reading(sql)
        return ask(connection, sql, max_rows)


def ask(connection: duckdb.DuckDBPyConnection, sql: str, max_rows: int | None = None) -> QueryResult:
    """The answer to one of our own statements on a connection of `open_published`."""
    with _refusals():
        cursor = connection.execute(sql)
        rows = cursor.fetchall() if max_rows is None else cursor.fetchmany(max_rows + 1)
    described = cursor.description or ()
    return QueryResult(
        columns=tuple(str(column[0]) for column in described),
        types=tuple(str(column[1]) for column in described),
        rows=rows if max_rows is None else rows[:max_rows],
        truncated=max_rows is not None and len(rows) > max_rows,
    )


class Answer:
    """The rows of an answer, read while they are used, max_rows at most; then `truncated` tells if more were left."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection, max_rows: int | None) -> None:
        described = cursor.description or ()
        self.columns = tuple(str(column[0]) for column in described)
        self.types = tuple(str(column[1]) for column in described)
        self.truncated = False
        self._cursor = cursor
        self._left = max_rows

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        while batch := self._fetch():
            yield from batch

    def _fetch(self) -> list[tuple[Any, ...]]:
        size = BATCH if self._left is None else min(BATCH, self._left + 1)
        with _refusals():
            rows = self._cursor.fetchmany(size)
        if self._left is not None:
            self.truncated = len(rows) > self._left
            rows = rows[: self._left]
            self._left -= len(rows)
        return rows


@contextmanager
def answer(storage: Storage, sql: str, max_rows: int | None = None) -> Iterator[Answer]:
    """As `run_query`, for answers that are too large to hold: the rows are read while they are used."""
    with open_published(storage) as connection:
        with _refusals():
            _check_reading(sql)
            cursor = connection.execute(sql)
        yield Answer(cursor, max_rows)


def write_parquet(storage: Storage, sql: str, path: Path, max_rows: int | None = None) -> bool:
    """Write the answer as Parquet, in the types of the published files; says whether max_rows cut it short.

    `path` is the one file that the connection can reach beside the snapshot.
    """
    with open_published(storage, writes=path) as connection, _refusals():
        reading = _check_reading(sql)
        limit = "" if max_rows is None else f" limit {max_rows + 1}"
        connection.execute(f"create temp table answer as from ({reading}\n){limit}")
        count = snapshot.count(connection, "temp.answer")
        shown = snapshot.parquet_columns(snapshot.relation_columns(connection, "temp.answer"))
        limit = "" if max_rows is None else f" limit {max_rows}"
        connection.execute(
            f"copy (select {shown} from temp.answer{limit}) to {snapshot.literal(path)}"
            " (format parquet, compression zstd, use_tmp_file false)"
        )
    return max_rows is not None and count > max_rows


@contextmanager
def open_published(
    storage: Storage, writes: Path | None = None, folder: Path | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to the current version that can read it and nothing else, but for the one file that it may write.

    `folder` is that of the version, if the caller has read something of it already.

    The version is opened by its resolved path: a process that still has an older one open under the symlink's name
    would be given that one again. Raises AnalyticsError when it is damaged, also where that is found while it is read.
    """
    path = (folder or versions.require_current(storage)) / versions.SNAPSHOT
    with _spill_folder(storage) as spill:
        try:
            connection = duckdb.connect(str(path), read_only=True, config=_settings(spill))
        except duckdb.Error as error:
            raise _unreadable(f"{path} can't be opened", error) from error
        try:
            _find_marts_by_bare_name(connection)
            connection.execute("set TimeZone = 'UTC'")
            if writes is not None:
                connection.execute(f"set allowed_paths = [{snapshot.literal(writes)}]")
            connection.execute("set enable_external_access = false")
            connection.execute("set lock_configuration = true")
            yield connection
        except duckdb.Error as error:
            if not (_is_damage(error) or next_step(str(error))):
                raise
            raise _unreadable(f"{path} can't be read", error) from error
        finally:
            connection.close()


@contextmanager
def _refusals() -> Iterator[None]:
    """What DuckDB says of a statement, in one line; what it says of a damaged version is for `open_published`."""
    try:
        yield
    except duckdb.Error as error:
        if says_damaged(str(error)):
            raise
        raise AnalyticsError(_one_line(error)) from error


def _unreadable(what: str, error: duckdb.Error) -> AnalyticsError:
    """What DuckDB says of a version, with the next step: a damaged one is never mended, but another is published."""
    line = f"{what}: {_one_line(error)}"
    if _is_damage(error):
        return AnalyticsError(f"{line}: run agent-analytics run, which publishes another version")
    return AnalyticsError(advised(line))


def _is_damage(error: duckdb.Error) -> bool:
    message = str(error)
    return says_damaged(message) or (isinstance(error, _UNREADABLE) and next_step(message) is None)


def _settings(spill: Path) -> dict[str, str | bool | int | float | list[str]]:
    return {
        "python_enable_replacements": "false",
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        # DuckDB would spill beside the file otherwise, into a version that is never changed.
        "temp_directory": str(spill),
    }


@contextmanager
def _spill_folder(storage: Storage) -> Iterator[Path]:
    """A folder of one connection alone: DuckDB's files have the same names in every process.

    Those who may only read the storage have it in the machine's folder for temporary files.
    """
    try:
        work, hold = scratch.folder(storage, "query")
    except OSError:
        with tempfile.TemporaryDirectory(prefix="agent-analytics-query-") as folder:
            yield Path(folder) / "spill"
        return
    try:
        yield work / "spill"
    finally:
        shutil.rmtree(work, ignore_errors=True)
        hold.close()


def _find_marts_by_bare_name(connection: duckdb.DuckDBPyConnection) -> None:
    # ops last: should a mart be named like one of its tables, the mart is meant.
    schemas = connection.execute(
        "select distinct schema_name from duckdb_tables() where database_name = current_database()"
        " order by schema_name = 'ops', schema_name"
    ).fetchall()
    path = ",".join('"' + schema.replace('"', '""') + '"' for (schema,) in schemas)
    if path:
        connection.execute("set search_path = '" + path.replace("'", "''") + "'")


def _check_reading(sql: str) -> str:
    """The statement, without a semicolon, if it reads; else AnalyticsError."""
    for name in _functions(sql) & _NOT_READING:
        raise AnalyticsError(f"the function {name} is not for reading")
    statements = duckdb.extract_statements(sql)
    written = [statement for statement in statements if statement.query.strip()]
    # A pivot whose values aren't listed becomes several statements, none of which has a text; one of them reads.
    if not written and sum(statement.type == duckdb.StatementType.SELECT for statement in statements) == 1:
        return _without_end(sql)
    if not statements:
        raise AnalyticsError('there is no statement: try agent-analytics query "show all tables"')
    if len(statements) > 1:
        raise AnalyticsError("there is more than one statement: one at a time")
    found = statements[0].type
    if found == duckdb.StatementType.EXPLAIN:
        found = _explained(sql)
    if found not in _READING:
        kind = found.name.lower().replace("_", " ")
        raise AnalyticsError(f"a {kind} statement is not a reading one: only select, with, describe, show, explain")
    return _without_end(sql)


def _explained(sql: str) -> duckdb.StatementType:
    """What kind of statement is behind explain, its analyze or its options in parentheses."""
    text = sql.encode()
    starts = [start for start, kind in duckdb.tokenize(sql) if kind != duckdb.token_type.comment]
    while text[starts[0] : starts[0] + 1] == b";":
        starts = starts[1:]
    starts = starts[1:]
    if re.match(rb"analy[sz]e\b", text[starts[0] :], re.IGNORECASE):
        starts = starts[1:]
    try:
        return duckdb.extract_statements(text[starts[0] :].decode())[0].type
    except duckdb.ParserException:
        # Options; a select in parentheses can be parsed.
        behind = next(i for i, start in enumerate(starts) if text[start : start + 1] == b")") + 1
        return duckdb.extract_statements(text[starts[behind] :].decode())[0].type


def _functions(sql: str) -> set[str]:
    """The names in the text that a parenthesis follows."""
    text, starts = sql.encode(), [start for start, _ in duckdb.tokenize(sql)]
    # A token's text runs up to the next one, with the comments between them.
    words = [text[start:end].decode() for start, end in itertools.pairwise([*starts, len(text)])]
    return {
        re.sub(r'^"?(\w*).*', r"\1", word, flags=re.DOTALL).lower()
        for word, after in itertools.pairwise(words)
        if after.startswith("(")
    }


def _without_end(sql: str) -> str:
    """The text of one statement up to the semicolon that ends it."""
    text = sql.encode()
    for offset, kind in reversed(duckdb.tokenize(sql)):
        if kind != duckdb.token_type.comment:
            if text[offset : offset + 1] != b";":
                break
            text = text[:offset]
    return text.decode()


def _one_line(error: Exception) -> str:
    """What DuckDB says, with what it suggests instead."""
    first, *more = (str(error).strip() or type(error).__name__).splitlines()
    suggested = (line for line in more if line.startswith(("Did you mean", "Candidate bindings")))
    return " ".join([first, *itertools.islice(suggested, 1)])
