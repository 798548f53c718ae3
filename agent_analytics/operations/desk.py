"""What people do with incidents: look, acknowledge, resolve."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from agent_analytics.errors import AnalyticsError
from agent_analytics.operations import database, incidents
from agent_analytics.operations.audit import current_actor
from agent_analytics.operations.notifications import Settings, iso
from agent_analytics.operations.tables import notifications
from agent_analytics.storage import Storage

Json = dict[str, Any]

HISTORY = ("at", "event", "severity", "value", "actor", "note", "run_id")
SENT = ("channel", "recipient", "status", "created_at", "attempts", "delivered_at", "answer")


def listed(storage: Storage, everything: bool = False) -> list[Json]:
    """The open incidents, worst first; `everything` adds the resolved ones."""
    if not database.exists(storage):
        return []
    with database.connect(storage) as connection:
        return [_plain(row) for row in incidents.listed(connection, everything)]


def show(storage: Storage, incident_id: int) -> Json:
    """One incident with its history and its notifications."""
    with database.connect(storage) as connection:
        found = _plain(incidents.get(connection, incident_id))
        past = incidents.history(connection, incident_id)
        columns = [notifications.c[name] for name in SENT]
        query = sa.select(*columns).where(notifications.c.incident_id == incident_id).order_by(notifications.c.id)
        sent = [_plain(row) for row in connection.execute(query).mappings()]
    return found | {"history": [_plain({name: row[name] for name in HISTORY}) for row in past], "notifications": sent}


def acknowledge(storage: Storage, incident_id: int, note: str) -> str:
    """Acknowledge an incident; returns who did. Raises AnalyticsError when it is resolved or doesn't exist."""
    actor = current_actor()
    with database.connect(storage) as connection:
        _register(connection).acknowledge(_unresolved(connection, incident_id), note, actor)
    return actor


def resolve(storage: Storage, incident_id: int, reason: str) -> str:
    """Resolve an incident by hand; returns who did. Raises AnalyticsError when it is resolved or doesn't exist."""
    actor = current_actor()
    with database.connect(storage) as connection:
        _register(connection).resolve(_unresolved(connection, incident_id), reason, actor)
    return actor


def _register(connection: sa.Connection) -> incidents.Register:
    at = database.naive_utc(datetime.now(UTC))
    return incidents.Register(connection, at, Settings.from_env().recipients)


def _plain(row: Mapping[Any, Any]) -> Json:
    return {str(name): iso(value) for name, value in row.items()}


def _unresolved(connection: sa.Connection, incident_id: int) -> incidents.Row:
    database.lock(connection, database.EVALUATING)
    found = incidents.get(connection, incident_id)
    if found["status"] == incidents.RESOLVED:
        at = found["resolved_at"].isoformat(timespec="seconds")
        raise AnalyticsError(f"incident {incident_id} was resolved at {at}: {found['resolution']}")
    return found
