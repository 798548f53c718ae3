"""Erase from the operations database: incidents about the subject go, everywhere else its name is taken out."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from agent_analytics import validate
from agent_analytics.operations import database
from agent_analytics.operations.tables import audit, incident_events, incidents, metadata, notifications
from agent_analytics.privacy.subject import Subject
from agent_analytics.storage import Storage


def scrub(storage: Storage, subject: Subject) -> int:
    """Take the subject out; returns how many rows were removed or changed. The audit trail may keep a user's hash."""
    if not database.exists(storage):
        return 0
    with database.connect(storage) as connection:
        changed = _remove_incidents(connection, subject)
        for table in metadata.sorted_tables:
            changed += _scrub(connection, table, subject.only_in_the_clear() if table is audit else subject)
    if database.url(storage) == f"sqlite:///{storage.operations_db}":
        with closing(sqlite3.connect(storage.operations_db, timeout=database.WAIT_SECONDS)) as connected:
            connected.execute("vacuum")
    return changed


def scrub_sqlite(path: Path, subject: Subject) -> None:
    """Remove every row that names the subject from an SQLite database of any tables, and its free space."""
    with closing(sqlite3.connect(path, timeout=database.WAIT_SECONDS)) as connected:
        connected.create_function("is_about", -1, lambda *values: any(subject.mentions(str(value)) for value in values))
        tables = connected.execute("select name from sqlite_master where type = 'table' and name not like 'sqlite_%'")
        for (table,) in tables.fetchall():
            columns = connected.execute("select name from pragma_table_info(?)", [table]).fetchall()
            listed = ", ".join(validate.name(column) for (column,) in columns)
            connected.execute(f"delete from {validate.name(table)} where is_about({listed})")
        connected.commit()
        connected.execute("vacuum")
        connected.execute("pragma wal_checkpoint(truncate)")


def _remove_incidents(connection: sa.Connection, subject: Subject) -> int:
    rows = connection.execute(sa.select(incidents.c.id, incidents.c.scope_ref)).all()
    about = [row.id for row in rows if subject.mentions(row.scope_ref)]
    for table, column in (
        (notifications, notifications.c.incident_id),
        (incident_events, incident_events.c.incident_id),
        (incidents, incidents.c.id),
    ):
        connection.execute(table.delete().where(column.in_(about)))
    return len(about)


def _scrub(connection: sa.Connection, table: sa.Table, subject: Subject) -> int:
    changed = 0
    for row in connection.execute(sa.select(table)).mappings().all():
        scrubbed = {name: _scrubbed(value, subject) for name, value in row.items()}
        changes = {name: value for name, value in scrubbed.items() if value != row[name]}
        if changes:
            same = [column == row[column.name] for column in table.primary_key.columns]
            connection.execute(table.update().where(*same).values(**changes))
            changed += 1
    return changed


def _scrubbed(value: Any, subject: Subject) -> Any:
    """A value of a column, JSON or not, without the subject's name."""
    if isinstance(value, str):
        return subject.scrubbed(value)
    if isinstance(value, list):
        return [_scrubbed(item, subject) for item in value]
    if isinstance(value, dict):
        return {_scrubbed(name, subject): _scrubbed(item, subject) for name, item in value.items()}
    return value
