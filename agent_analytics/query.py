"""Read-only SQL over the published snapshot: no writes, no other files, no settings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from agent_analytics import versions
from agent_analytics.errors import AnalyticsError
from agent_analytics.storage import Storage

_READING = (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN, duckdb.StatementType.RELATION)


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
        try:
            _check_reading(sql)
            cursor = connection.execute(sql)
            rows = cursor.fetchall() if max_rows is None else cursor.fetchmany(max_rows + 1)
        except duckdb.Error as error:
            raise AnalyticsError(_one_line(error)) from error
        described = cursor.description or ()
    return QueryResult(
        columns=tuple(str(column[0]) for column in described),
        types=tuple(str(column[1]) for column in described),
        rows=rows if max_rows is None else rows[:max_rows],
        truncated=max_rows is not None and len(rows) > max_rows,
    )


@contextmanager
def open_published(storage: Storage) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to the current version that can read it and nothing else.

    The version is opened by its resolved path: a process that still has an older one open under the symlink's name
    would be given that one again.
    """
    path = versions.require_current(storage) / versions.SNAPSHOT
    try:
        connection = duckdb.connect(str(path), read_only=True, config=_settings(storage))
    except duckdb.Error as error:
        raise AnalyticsError(f"{path} can't be opened: {_one_line(error)}") from error
    try:
        _find_marts_by_bare_name(connection)
        connection.execute("set TimeZone = 'UTC'")
        connection.execute("set lock_configuration = true")
        yield connection
    finally:
        connection.close()


def _settings(storage: Storage) -> dict[str, str | bool | int | float | list[str]]:
    return {
        "enable_external_access": "false",
        "python_enable_replacements": "false",
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        # DuckDB would spill beside the file otherwise, into a version that is never changed.
        "temp_directory": str(_spill_folder(storage)),
    }


def _spill_folder(storage: Storage) -> Path:
    return storage.work / "query"


def _find_marts_by_bare_name(connection: duckdb.DuckDBPyConnection) -> None:
    # ops last: should a mart be named like one of its tables, the mart is meant.
    schemas = connection.execute(
        "select distinct schema_name from duckdb_tables() where database_name = current_database()"
        " order by schema_name = 'ops', schema_name"
    ).fetchall()
    path = ",".join('"' + schema.replace('"', '""') + '"' for (schema,) in schemas)
    if path:
        connection.execute("set search_path = '" + path.replace("'", "''") + "'")


def _check_reading(sql: str) -> None:
    statements = duckdb.extract_statements(sql)
    written = [statement for statement in statements if statement.query.strip()]
    # A pivot whose values aren't listed becomes several statements, none of which has a text; one of them reads.
    if not written and sum(statement.type == duckdb.StatementType.SELECT for statement in statements) == 1:
        return
    if not statements:
        raise AnalyticsError('there is no statement: try agent-analytics query "show all tables"')
    if len(statements) > 1:
        raise AnalyticsError("there is more than one statement: one at a time")
    if statements[0].type not in _READING:
        kind = statements[0].type.name.lower().replace("_", " ")
        raise AnalyticsError(f"a {kind} statement is not a reading one: only select, with, describe, show, explain")


def _one_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
