"""DuckDB's side of publishing: what a relation holds, in numbers, and the writing of a version's files.

Two digests, both sums over rows, so that the order of rows doesn't matter and duplicate rows do:

- the *fingerprint* is for people and for comparisons across rebuilds: MD5 of each row's text, DOUBLE columns and
  loaded_through left out. MD5, because DuckDB's own hash may change between its versions. About 0.5 s for 1M rows of
  12 columns.
- the *digest* decides whether a mart must be copied, and from which day on: DuckDB's hash over all columns, DOUBLE and
  loaded_through included. It names DuckDB's version, so that an upgrade copies everything once. About 0.04 s for the
  same rows.

A mart with days is sorted by them first, so what a tick changes lies at its end: the days before are left as they are,
and their part of the sums too.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from agent_analytics.errors import AnalyticsError, advised

WAREHOUSE = "warehouse"
SNAPSHOT = "snapshot"
PREVIOUS = "previous"

# Below this size a half-empty file isn't worth the rewriting.
COMPACT_ABOVE_BYTES = 64 * 1024 * 1024

_FLOATING = re.compile(r"\b(DOUBLE|FLOAT|REAL)\b")
_DAYS = re.compile(r"^(DATE|TIMESTAMP)$")
# Types whose text never holds the separator between columns; the text of all others goes with its length.
_PLAIN = re.compile(
    r"^(BOOLEAN|U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|DECIMAL\(\d+,\d+\)"
    r"|DATE|TIME|TIMESTAMP( WITH TIME ZONE|_S|_MS|_NS)?|UUID)$"
)


# Rows and the sum of their hashes, by day.
Digests = dict[date | None, tuple[int, int]]


@dataclass(frozen=True)
class Column:
    name: str
    type: str


@dataclass(frozen=True)
class Table:
    """A relation of the warehouse, as its catalog describes it."""

    schema: str
    name: str
    columns: tuple[Column, ...]
    comment: str | None

    @property
    def source(self) -> str:
        return f"{WAREHOUSE}.{quote(self.schema)}.{quote(self.name)}"


def quote(identifier: str) -> str:
    return '"' + identifier.replace('"', '""') + '"'


def literal(text: str | Path) -> str:
    return "'" + str(text).replace("'", "''") + "'"


def connect(scratch: Path) -> duckdb.DuckDBPyConnection:
    """An in-memory DuckDB that spills into `scratch` and writes every timestamp as UTC."""
    connection = duckdb.connect(config={"temp_directory": str(scratch), "autoinstall_known_extensions": "false"})
    connection.execute("set TimeZone = 'UTC'")
    return connection


@contextmanager
def beside(connection: duckdb.DuckDBPyConnection) -> Iterator[list[duckdb.DuckDBPyConnection]]:
    """Two connections to what `connection` sees, for `side_by_side`."""
    with connection.cursor() as one, connection.cursor() as other:
        for own in (one, other):
            own.execute("set TimeZone = 'UTC'")
        yield [one, other]


def attach_warehouse(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Attach the warehouse read-only under dbt's name for it, so that its views find their tables.

    Raises AnalyticsError when it is absent, damaged or being written.
    """
    if not path.is_file():
        raise AnalyticsError(f"{path} is absent: run agent-analytics run")
    try:
        connection.execute(f"attach {literal(path)} as {WAREHOUSE} (read_only)")
    except duckdb.Error as error:
        raise AnalyticsError(advised(f"{path} can't be opened: {first_line(error)}")) from error


def first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def tables(connection: duckdb.DuckDBPyConnection) -> dict[tuple[str, str], Table]:
    """The warehouse's tables and views by (schema, name)."""
    comments: dict[tuple[str, str], str | None] = {}
    for kind in ("table", "view"):
        for schema, name, comment in connection.execute(
            f"select schema_name, {kind}_name, comment from duckdb_{kind}s() where database_name = '{WAREHOUSE}'"
        ).fetchall():
            comments[schema, name] = comment
    columns: dict[tuple[str, str], list[Column]] = {}
    for schema, name, column, kind in connection.execute(
        "select schema_name, table_name, column_name, data_type from duckdb_columns()"
        f" where database_name = '{WAREHOUSE}' order by schema_name, table_name, column_index"
    ).fetchall():
        columns.setdefault((schema, name), []).append(Column(column, kind))
    return {key: Table(*key, tuple(columns.get(key, ())), comment) for key, comment in comments.items()}


def records(connection: duckdb.DuckDBPyConnection, relation: str) -> list[dict[str, Any]]:
    """All rows of a small relation."""
    result = connection.execute(f"select * from {relation}")
    names = [column[0] for column in result.description or ()]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def count(connection: duckdb.DuckDBPyConnection, relation: str) -> int:
    return int(_one(connection, f"select count(*) from {relation}")[0])


def highest(connection: duckdb.DuckDBPyConnection, relation: str, column: str) -> int | None:
    """The largest value of a whole-number column; None over nothing."""
    value = _one(connection, f"select max({quote(column)}) from {relation}")[0]
    return None if value is None else int(value)


def scalar(connection: duckdb.DuckDBPyConnection, query: str) -> int | None:
    """The one whole number that a query over the warehouse's schemas answers with."""
    connection.execute(f"use {WAREHOUSE}")
    try:
        value = _one(connection, query)[0]
    finally:
        connection.execute("use memory")
    return None if value is None else int(value)


def relation_columns(connection: duckdb.DuckDBPyConnection, relation: str) -> tuple[Column, ...]:
    described = connection.execute(f"describe {relation}").fetchall()
    return tuple(Column(row[0], row[1]) for row in described)


def digests(
    connection: duckdb.DuckDBPyConnection, relation: str, columns: Sequence[Column], day: str | None
) -> Digests:
    """How many rows a relation has of each day of the column `day`, and the sum of their hashes; under None those
    without a day that Python knows, all if there is no such column. For comparisons on the same DuckDB version only."""
    values = ", ".join(map(_hashed, columns))
    by = "null"
    if day:
        by = f"case when year({quote(day)}) between 1 and 9998 then cast({quote(day)} as date) end"
    rows = connection.execute(f"select {by}, count(*), sum(hash({values})) from {relation} group by 1").fetchall()
    return {of: (count, int(total)) for of, count, total in rows}


def digest(by_day: Digests) -> str:
    """All of a relation's rows in one number, from its `digests`."""
    return f"{duckdb.__version__}:{sum(total for _, total in by_day.values())}"


def _hashed(column: Column) -> str:
    # DuckDB's hash doesn't tell an empty list from NULL, nor a month from 30 days.
    is_told_apart = _PLAIN.match(column.type) or column.type in ("VARCHAR", "DOUBLE", "FLOAT")
    return quote(column.name) if is_told_apart else f"{quote(column.name)}::varchar"


def text_sum(connection: duckdb.DuckDBPyConnection, relation: str, columns: Sequence[Column]) -> int:
    """The sum over a relation's rows of the lower 64 bits of the MD5 of their text."""
    kept = _fingerprinted(columns)
    row = f"concat_ws('|', {', '.join(_text(column) for column in kept)})" if kept else "''"
    return int(_one(connection, f"select coalesce(sum(md5_number_lower({row})), 0) from {relation}")[0])


def fingerprint(columns: Sequence[Column], rows: int, total: int) -> str:
    """A relation's content as 32 hex digits, from its number of rows and its `text_sum`: equal for equal rows, in
    whatever order of rows or columns.

    DOUBLE columns are left out, since the order of a sum may show in them, and loaded_through, since it tells how the
    rows came about.
    """
    header = json.dumps([[column.name, column.type] for column in _fingerprinted(columns)])
    return hashlib.sha256(f"{header}\n{rows}\n{total}".encode()).hexdigest()[:32]


def _fingerprinted(columns: Sequence[Column]) -> list[Column]:
    kept = [c for c in columns if not _FLOATING.search(c.type) and c.name != "loaded_through"]
    return sorted(kept, key=lambda column: column.name)


def _text(column: Column) -> str:
    name = quote(column.name)
    if _PLAIN.match(column.type):
        return f"coalesce({name}::varchar, '')"
    return f"coalesce(strlen({name}::varchar) || ':' || {name}::varchar, '')"


def sort_key(columns: Sequence[Column], key: Iterable[str]) -> tuple[str, ...]:
    """The columns to sort a mart by, so that zone maps and compression work: its key, else its leading dimensions, the
    first date or time of them before the others."""
    types = {column.name: column.type for column in columns}
    names = [name for name in key if name in types] or _leading(columns)
    return tuple(sorted(names, key=lambda name: name != next(filter(lambda n: _DAYS.match(types[n]), names), None)))


def _leading(columns: Sequence[Column]) -> list[str]:
    leading = []
    for column in columns:
        if _FLOATING.search(column.type) or column.type in ("BIGINT", "HUGEINT") or column.type.startswith("DECIMAL"):
            break
        leading.append(column.name)
    return leading


def day_column(columns: Sequence[Column], key: Sequence[str]) -> str | None:
    """The column whose days a mart sorted by `key` lies in; None if it has none."""
    types = {column.name: column.type for column in columns}
    return key[0] if key and _DAYS.match(types[key[0]]) else None


def since(relation: str, day: str, first: date) -> str:
    """The rows of a relation from a day on, to be read from."""
    return f"(select * from {relation} where {_from_day(day, first)})"


def _from_day(day: str, first: date) -> str:
    return f"{quote(day)} >= date '{first}'"


def attach_snapshot(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    connection.execute(f"attach {literal(path)} as {SNAPSHOT}")


def attach_previous(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Attach the version before, read-only: `previous_relation` names its tables."""
    connection.execute(f"attach {literal(path)} as {PREVIOUS} (read_only)")


def previous_relation(relation: tuple[str, str]) -> str:
    return f"{PREVIOUS}.{quote(relation[0])}.{quote(relation[1])}"


def detach_snapshot(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Write everything into the file and let go of it."""
    connection.execute(f"checkpoint {SNAPSHOT}")
    connection.execute(f"detach {SNAPSHOT}")
    wal = path.with_name(f"{path.name}.wal")
    if wal.exists():
        raise RuntimeError(f"{wal} is left after a checkpoint")


def drop(connection: duckdb.DuckDBPyConnection, relations: Iterable[tuple[str, str]]) -> None:
    """Drop tables from the snapshot and free their blocks, so that what is written next takes their place."""
    for schema, name in relations:
        connection.execute(f"drop table if exists {SNAPSHOT}.{quote(schema)}.{quote(name)}")
    connection.execute(f"checkpoint {SNAPSHOT}")


def create_schema(connection: duckdb.DuckDBPyConnection, schema: str) -> None:
    """Make a schema of the snapshot, unless it is there."""
    connection.execute(f"create schema if not exists {SNAPSHOT}.{quote(schema)}")


def write_table(
    connection: duckdb.DuckDBPyConnection,
    target: tuple[str, str],
    source: str,
    columns: Sequence[Column],
    key: Sequence[str],
) -> None:
    """Copy a relation into the snapshot, sorted by `key`."""
    schema, name = target
    order = f" order by {', '.join(quote(part) for part in key)}" if key else ""
    create_schema(connection, schema)
    connection.execute(
        f"create table {SNAPSHOT}.{quote(schema)}.{quote(name)} as"
        f" select {', '.join(quote(column.name) for column in columns)} from {source}{order}"
    )


def replace_days(
    connection: duckdb.DuckDBPyConnection,
    target: tuple[str, str],
    source: str,
    columns: Sequence[Column],
    key: Sequence[str],
    first: date,
) -> None:
    """Replace the rows of a snapshot table from a day on by those of a relation. `key`, which begins with the column of
    days, is what the table is sorted by, and stays so."""
    table = f"{SNAPSHOT}.{quote(target[0])}.{quote(target[1])}"
    names = ", ".join(quote(column.name) for column in columns)
    order = ", ".join(map(quote, key))
    connection.execute(
        f"begin; delete from {table} where {_from_day(key[0], first)};"
        f" insert into {table} ({names}) select {names} from {since(source, key[0], first)} order by {order}; commit"
    )


def write_rows(
    connection: duckdb.DuckDBPyConnection, target: tuple[str, str], types: dict[str, str], rows: list[list[Any]]
) -> None:
    """Replace a small snapshot table by the given rows."""
    schema, name = target
    table = f"{SNAPSHOT}.{quote(schema)}.{quote(name)}"
    columns = ", ".join(f"{quote(column)} {kind}" for column, kind in types.items())
    create_schema(connection, schema)
    connection.execute(f"create or replace table {table} ({columns})")
    if rows:
        values = ", ".join(f"({', '.join(map(_value, row))})" for row in rows)
        connection.execute(f"insert into {table} values {values}")


def write_json(
    connection: duckdb.DuckDBPyConnection,
    target: tuple[str, str],
    types: dict[str, str],
    rows: list[dict[str, Any]] | None,
    path: Path,
) -> None:
    """Replace a snapshot table by the given rows, by way of a file; None leaves it, or makes an empty one."""
    table = f"{SNAPSHOT}.{quote(target[0])}.{quote(target[1])}"
    columns = ", ".join(f"{quote(column)} {kind}" for column, kind in types.items())
    create_schema(connection, target[0])
    if rows is None:
        connection.execute(f"create table if not exists {table} ({columns})")
        return
    connection.execute(f"create or replace table {table} ({columns})")
    if rows:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        known = ", ".join(f"{quote(column)}: {literal(kind)}" for column, kind in types.items())
        source = f"read_json({literal(path)}, format = 'newline_delimited', columns = {{{known}}})"
        connection.execute(f"insert into {table} select {', '.join(map(quote, types))} from {source}")
        path.unlink()


def _value(value: Any) -> str:
    # Written out rather than bound: binding makes DuckDB import pandas, which takes longer than all of publishing.
    return "null" if value is None else literal(str(value))


def drop_empty_schemas(connection: duckdb.DuckDBPyConnection) -> None:
    """Drop the schemas that no table is left in."""
    empty = connection.execute(
        f"select schema_name from duckdb_schemas() where database_name = '{SNAPSHOT}' and not internal and schema_name"
        f" not in (select schema_name from duckdb_tables() where database_name = '{SNAPSHOT}') order by schema_name"
    ).fetchall()
    for (schema,) in empty:
        if schema != "main":
            connection.execute(f"drop schema {SNAPSHOT}.{quote(schema)}")


def write_parquet(connection: duckdb.DuckDBPyConnection, relation: tuple[str, str], path: Path) -> None:
    """Write a snapshot table as ZSTD Parquet, in its own order."""
    table = f"{SNAPSHOT}.{quote(relation[0])}.{quote(relation[1])}"
    shown = parquet_columns(relation_columns(connection, table))
    connection.execute(
        f"copy (select {shown} from {table}) to {literal(path)} (format parquet, compression zstd, compression_level 1)"
    )


def parquet_columns(columns: Iterable[Column]) -> str:
    """A select list in types that every reader of Parquet takes for what they are.

    Timestamps are marked as UTC: unmarked ones are local time to some readers. Parquet has no 128-bit integer, and
    DuckDB would write one as DOUBLE.
    """
    casts = {"TIMESTAMP": "TIMESTAMP WITH TIME ZONE", "HUGEINT": "DECIMAL(38,0)", "UHUGEINT": "DECIMAL(38,0)"}
    return ", ".join(
        f"{quote(column.name)}::{casts[column.type]} as {quote(column.name)}"
        if column.type in casts
        else quote(column.name)
        for column in columns
    )


def comment(
    connection: duckdb.DuckDBPyConnection, relation: tuple[str, str], description: str, columns: dict[str, str]
) -> None:
    """Put dbt's descriptions on a snapshot table and its columns, in one transaction: each is synced to the disk."""
    target = f"{SNAPSHOT}.{quote(relation[0])}.{quote(relation[1])}"
    texts = {f"table {target}": description} | {f"column {target}.{quote(name)}": columns[name] for name in columns}
    comments = "; ".join(f"comment on {what} is {literal(text) if text else 'null'}" for what, text in texts.items())
    connection.execute(f"begin; {comments}; commit")


def compact(connection: duckdb.DuckDBPyConnection, path: Path, threshold_bytes: int = COMPACT_ABOVE_BYTES) -> bool:
    """Rewrite a snapshot file, not attached, more than half of which is free space; says whether it did."""
    if path.stat().st_size < threshold_bytes:
        return False
    attach_snapshot(connection, path)
    total, used = _one(
        connection,
        f"select total_blocks, used_blocks from pragma_database_size() where database_name = {literal(SNAPSHOT)}",
    )
    if used * 2 >= total:
        connection.execute(f"detach {SNAPSHOT}")
        return False
    smaller = path.with_name(f"{path.name}.compact")
    connection.execute(f"attach {literal(smaller)} as compacted")
    connection.execute(f"copy from database {SNAPSHOT} to compacted")
    connection.execute("checkpoint compacted")
    connection.execute("detach compacted")
    connection.execute(f"detach {SNAPSHOT}")
    os.replace(smaller, path)
    return True


def copy_file(source: Path, target: Path) -> None:
    """Copy a file inside the kernel, sharing its blocks where the file system can."""
    size = source.stat().st_size
    with source.open("rb") as reader, target.open("wb") as writer:
        try:
            done = 0
            while done < size:
                copied = os.copy_file_range(reader.fileno(), writer.fileno(), size - done)
                if copied == 0:
                    raise OSError("copy_file_range made no progress")
                done += copied
            return
        except OSError:
            pass
    shutil.copyfile(source, target)


def _one(connection: duckdb.DuckDBPyConnection, sql: str) -> tuple[Any, ...]:
    row = connection.execute(sql).fetchone()
    if row is None:
        raise RuntimeError(f"no row from: {sql}")
    return row
