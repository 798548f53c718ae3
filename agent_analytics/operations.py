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

from agent_analytics.errors import AnalyticsError
from agent_analytics.storage import Storage

metadata = sa.MetaData()

audit = sa.Table(
    "audit",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("at", sa.DateTime, nullable=False, comment="UTC"),
    sa.Column("actor", sa.String(200), nullable=False),
    sa.Column("action", sa.String(100), nullable=False, index=True),
    sa.Column("subject", sa.String(500), nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("detail", sa.JSON),
)


@dataclass(frozen=True)
class Entry:
    """One line of the audit trail. `at` is UTC, without a zone."""

    at: datetime
    actor: str
    action: str
    subject: str
    reason: str | None
    detail: dict[str, Any] | None


def url(storage: Storage) -> str:
    """The operations database: ANALYTICS_OPERATIONS_URL, else SQLite in the storage root."""
    return os.environ.get("ANALYTICS_OPERATIONS_URL") or f"sqlite:///{storage.operations_db}"


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
    entry = Entry(_naive_utc(at or datetime.now(UTC)), actor or current_actor(), action, subject, reason, detail)
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


@contextmanager
def connect(storage: Storage) -> Iterator[sa.Connection]:
    """A transaction on the operations database, whose tables are made when absent.

    Raises AnalyticsError when the database can't be reached.
    """
    address = url(storage)
    try:
        if address == f"sqlite:///{storage.operations_db}":
            storage.root.mkdir(parents=True, exist_ok=True)
        engine = sa.create_engine(address)
        try:
            metadata.create_all(engine)
            with engine.begin() as connection:
                yield connection
        finally:
            engine.dispose()
    except (sa.exc.OperationalError, sa.exc.ArgumentError, sa.exc.NoSuchModuleError, ImportError) as error:
        shown = sa.engine.make_url(address).render_as_string(hide_password=True) if "://" in address else address
        cause = str(getattr(error, "orig", None) or error).splitlines()[0]
        raise AnalyticsError(f"operations database {shown}: {cause}: check ANALYTICS_OPERATIONS_URL") from error


def _naive_utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
