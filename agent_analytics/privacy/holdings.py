"""Export: all that is held on a tenant or a user, as JSON and CSV."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import sqlalchemy as sa

from agent_analytics import console, durable, validate, versions
from agent_analytics.errors import AnalyticsError
from agent_analytics.ledger import Ledger
from agent_analytics.operations import audit, database
from agent_analytics.operations.tables import incidents
from agent_analytics.privacy.landing import Landing
from agent_analytics.privacy.quarantine import Quarantine
from agent_analytics.privacy.subject import Subject
from agent_analytics.query import open_published
from agent_analytics.storage import Storage

# DuckDB calls a file that it is still writing tmp_<name>.
ARCHIVED_MART = re.compile(r"(?!tmp_)(\w+)-\d{4}-\d{2}-\d{2}\.parquet")
# The name of a file, its columns, its rows.
Holding = tuple[str, list[str], list[tuple[Any, ...]]]


def export(storage: Storage, subject: Subject, folder: Path) -> dict[str, int]:
    """Write <name>.json and <name>.csv into `folder`, new or empty, for each kind of what is held; {name: rows}.

    Audited. Raises AnalyticsError when nothing is held, or when the folder holds something or can't be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise AnalyticsError(f"{folder} is not empty: an export needs a folder of its own")
    with audit.audited(storage, "export", subject.name):
        held = {name: (columns, rows) for name, columns, rows in _holdings(storage, subject) if rows}
        if not held:
            raise AnalyticsError(f"nothing is held on this {subject.kind}")
        try:
            for name, (columns, rows) in held.items():
                durable.write_text(folder / f"{name}.json", console.json_rows(columns, rows))
                durable.write_text(folder / f"{name}.csv", console.csv_text(columns, rows))
        except OSError as problem:
            raise AnalyticsError(f"{folder} can't be written: {problem.strerror}") from problem
    return {name: len(rows) for name, (_, rows) in held.items()}


def _holdings(storage: Storage, subject: Subject) -> Iterator[Holding]:
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'; set preserve_insertion_order = true")
        quarantine = Quarantine(storage, subject, connection)
        rejected = list(quarantine.find(Ledger(storage).entries()))
        numbers: dict[str, set[int]] = {}
        for _, file, number, *_ in rejected:
            numbers.setdefault(file, set()).add(number)
        yield "landing", ["file", "line_number", "line"], list(Landing(storage, subject, connection).find(numbers))
        yield "quarantine", ["load_id", "file", "line_number", "reason", "line"], rejected
        yield from _events(storage, subject, connection)
        yield from _archived_marts(storage, subject, connection)
    if versions.current(storage):
        yield from _marts(storage, subject)
    if database.exists(storage):
        yield _incidents(storage, subject)


def _events(storage: Storage, subject: Subject, connection: duckdb.DuckDBPyConnection) -> Iterator[Holding]:
    """The lake's rows by source: accepted events, and copies of them; those of retracted loads too."""
    ledger = Ledger(storage)
    archive = ledger.archive()
    for kind in ("lake", "duplicates"):
        paths: dict[str, dict[str, None]] = {}
        for entry in ledger.entries():
            for file in getattr(entry, kind):
                if file.path:
                    paths.setdefault(file.source, {})[str(storage.lake / file.path)] = None
        cold: dict[str, list[str]] = {}
        for archived in archive.files if kind == "lake" else ():
            cold.setdefault(archived.source, []).append(str(storage.archive / archived.path))
        for source in sorted(paths.keys() | cold.keys()):
            counts = f"not {archive.holds()}" if kind == "lake" else "true"
            parts = [(list(paths.get(source, ())), counts), (cold.get(source, []), "true")]
            rows = " union all by name ".join(
                f"select * from {validate.read_parquet(files, ', union_by_name = true')} where {counts}"
                for files, counts in parts
                if files
            )
            found = connection.execute(
                f"select * exclude event_hash from ({rows}) where {subject.condition} "
                "order by load_id, occurred_at, event_id"
            )
            columns = [column[0] for column in found.description or ()]
            yield f"{'events' if kind == 'lake' else 'copies'}-{source}", columns, found.fetchall()


def _archived_marts(storage: Storage, subject: Subject, connection: duckdb.DuckDBPyConnection) -> Iterator[Holding]:
    """The rows of hourly marts that aged out, in files called <mart>-<date>.parquet."""
    paths: dict[str, list[Path]] = {}
    for path in sorted((storage.archive / "marts").glob("*.parquet")):
        if named := ARCHIVED_MART.fullmatch(path.name):
            paths.setdefault(named[1], []).append(path)
    for mart, files in paths.items():
        found = connection.sql(f"from {validate.read_parquet(files, ', union_by_name = true')}")
        if subject.column in found.columns:
            rows = found.filter(subject.condition).order("all")
            yield f"mart-{mart}-archived", found.columns, rows.fetchall()


def _marts(storage: Storage, subject: Subject) -> Iterator[Holding]:
    with open_published(storage) as connection:
        tables = connection.execute(
            "select schema_name, table_name from duckdb_columns() where column_name = ? order by all", [subject.column]
        ).fetchall()
        for schema, table in tables:
            found = connection.execute(
                f"from {validate.name(schema)}.{validate.name(table)} where {subject.condition} order by all"
            )
            columns = [column[0] for column in found.description or ()]
            yield f"mart-{table}", columns, found.fetchall()


def _incidents(storage: Storage, subject: Subject) -> Holding:
    with database.connect(storage) as connection:
        rows = connection.execute(sa.select(incidents).order_by(incidents.c.id)).all()
    return (
        "incidents",
        [column.name for column in incidents.columns],
        [tuple(row) for row in rows if any(subject.mentions(str(value)) for value in row)],
    )
