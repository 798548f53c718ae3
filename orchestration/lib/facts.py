"""What the warehouse says about its models: rows, watermarks and lag."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import duckdb

from agent_analytics.storage import Storage


@dataclass(frozen=True)
class Facts:
    """One model's table. Times are UTC without a zone; lag_hours is against the newest event of the model's sources.
    version names the rows: it changes when they do."""

    rows: int
    loaded_through: int | None = None
    newest_event_at: datetime | None = None
    lag_loads: int | None = None
    lag_hours: float | None = None
    version: str | None = None


def read_facts(storage: Storage) -> dict[str, Facts]:
    """The facts of every table by its name; nothing without a warehouse. Opened read-only, and closed at once."""
    if not storage.warehouse.exists():
        return {}
    with duckdb.connect(str(storage.warehouse), read_only=True) as warehouse:
        rows = _rows(warehouse)
        marks = _watermarks(warehouse)
    return {name: Facts(count, *marks.get(name, ())) for name, count in rows.items()}


def _rows(warehouse: duckdb.DuckDBPyConnection) -> dict[str, int]:
    tables = warehouse.execute("select schema_name, table_name from duckdb_tables() where not temporary").fetchall()
    if not tables:
        return {}
    counts = (f'select \'{name}\', count(*) from "{schema}"."{name}"' for schema, name in tables if schema != "ops")
    query = " union all ".join(counts)
    return dict(warehouse.execute(query).fetchall()) if query else {}


def _watermarks(
    warehouse: duckdb.DuckDBPyConnection,
) -> dict[str, tuple[int, datetime | None, int, float, str]]:
    try:
        rows = warehouse.execute(
            """
            select model, w.loaded_through, w.newest_event_at, w.lag_loads, w.lag_hours, m.token || ' ' || m.changed_by
            from ops.watermarks as w inner join ops.model_watermarks as m using (model)
            """
        ).fetchall()
    except duckdb.CatalogException:
        return {}
    return {
        name: (through, newest, loads, float(hours), version) for name, through, newest, loads, hours, version in rows
    }
