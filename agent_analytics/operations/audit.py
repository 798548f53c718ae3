"""The audit trail: who did what to the data, when and why, in the operations database."""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from agent_analytics.operations.database import connect, naive_utc
from agent_analytics.operations.tables import audit
from agent_analytics.storage import Storage


@dataclass(frozen=True)
class Entry:
    """One line of the audit trail. `at` is UTC, without a zone."""

    at: datetime
    actor: str
    action: str
    subject: str
    reason: str | None
    detail: dict[str, Any] | None


def current_actor() -> str:
    """Who is acting: ANALYTICS_ACTOR, else the name of the operating system's user."""
    if actor := os.environ.get("ANALYTICS_ACTOR"):
        return actor
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def record(
    storage: Storage,
    action: str,
    subject: str,
    *,
    reason: str | None = None,
    detail: dict[str, Any] | None = None,
    actor: str | None = None,
    at: datetime | None = None,
) -> Entry:
    """Add one entry to the audit trail (`actor` and `at` default to the present user and time)."""
    entry = Entry(naive_utc(at or datetime.now(UTC)), actor or current_actor(), action, subject, reason, detail)
    with connect(storage) as connection:
        connection.execute(audit.insert().values(**vars(entry)))
    return entry


def entries(storage: Storage, action: str | None = None, limit: int | None = None) -> list[Entry]:
    """The audit trail, newest first."""
    query = sa.select(*(audit.c[name] for name in Entry.__dataclass_fields__)).order_by(
        audit.c.at.desc(), audit.c.id.desc()
    )
    if action is not None:
        query = query.where(audit.c.action == action)
    with connect(storage) as connection:
        return [Entry(*row) for row in connection.execute(query.limit(limit))]


@contextmanager
def audited(storage: Storage, action: str, subject: str, reason: str | None = None) -> Iterator[str]:
    """Audit what happens inside; yields the actor.

    The entry is written first, so that nothing audited ever happens unrecorded, not even when the process is killed. If
    it then fails, a second entry, `<action> failed`, says so.
    """
    actor = current_actor()
    record(storage, action, subject, reason=reason, actor=actor)
    try:
        yield actor
    except BaseException as error:
        detail = {"error": (str(error) or type(error).__name__).splitlines()[0]}
        record(storage, f"{action} failed", subject, reason=reason, detail=detail, actor=actor)
        raise
