"""Where the operations database is, how it is reached, and that its tables are those of this program.

SQLite in the storage root by default, any other by ANALYTICS_OPERATIONS_URL (tested: PostgreSQL). Tables are made and
migrated by whoever connects first after an upgrade; two processes that do so at once wait for each other.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from agent_analytics.errors import AnalyticsError
from agent_analytics.storage import Storage

# The newest migration: compared on every connection, so that Alembic is imported only when there is one to apply.
HEAD = "0002"

WAIT_SECONDS = 30
CONNECT_SECONDS = 10
# The numbers of PostgreSQL's advisory locks.
MIGRATING, EVALUATING = 7_202_601, 7_202_602

ASKED = {"postgres": "postgresql+psycopg", "postgresql": "postgresql+psycopg"}


def url(storage: Storage) -> str:
    """The operations database: ANALYTICS_OPERATIONS_URL, else SQLite in the storage root."""
    asked = os.environ.get("ANALYTICS_OPERATIONS_URL")
    if not asked:
        return f"sqlite:///{storage.operations_db}"
    scheme, separator, rest = asked.partition("://")
    return f"{ASKED.get(scheme, scheme)}{separator}{rest}"


def exists(storage: Storage) -> bool:
    """Whether there is anything to read; looking must not make a file."""
    return bool(os.environ.get("ANALYTICS_OPERATIONS_URL")) or storage.operations_db.exists()


@contextmanager
def connect(storage: Storage) -> Iterator[sa.Connection]:
    """A transaction on the operations database, whose tables are made or migrated first when they are behind.

    On SQLite it is the only one that writes until it ends: no network, no long work inside. Raises AnalyticsError
    when the database can't be reached, or is newer than this program.
    """
    address = url(storage)
    try:
        if address == f"sqlite:///{storage.operations_db}":
            storage.root.mkdir(parents=True, exist_ok=True)
        engine = _made(address)
        try:
            with engine.begin() as connection:
                _bring_up(connection)
                yield connection
        finally:
            engine.dispose()
    except (sa.exc.DBAPIError, sa.exc.ArgumentError, sa.exc.NoSuchModuleError, ImportError) as error:
        # Without its options: one of them may be the password.
        shown = sa.engine.make_url(address).set(query={}).render_as_string(hide_password=True)
        cause = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        raise AnalyticsError(f"operations database {shown}: {cause}: {_next_step(cause)}") from error


def _next_step(cause: str) -> str:
    if "locked" in cause:
        return "another program holds it; end that, then try again"
    if "is full" in cause or "disk I/O error" in cause:
        return "free some space, then try again"
    if "not a database" in cause or "malformed" in cause:
        return "restore it from a backup, or move it away and lose incidents and audit trail"
    return "check ANALYTICS_OPERATIONS_URL"


def lock(connection: sa.Connection, number: int) -> None:
    """Wait until no other transaction holds this lock, which ends with the transaction. On SQLite `connect` did."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(number)))


def naive_utc(moment: datetime) -> datetime:
    """A moment as the tables hold it."""
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


def _made(address: str) -> sa.Engine:
    """The engine of an address. One that can't be read isn't shown: any part of it may be the password."""
    try:
        # An @ in a password makes the rest of it a host.
        if "@" not in (sa.engine.make_url(address).host or ""):
            return _engine(address)
    except sa.exc.NoSuchModuleError:
        raise
    except (ValueError, sa.exc.ArgumentError):
        pass
    raise AnalyticsError(
        "operations database: its address can't be read: check ANALYTICS_OPERATIONS_URL, such as"
        " postgresql://user:password@host:5432/analytics (in a password, @ is written %40)"
    )


def _engine(address: str) -> sa.Engine:
    if not address.startswith("sqlite"):
        waits = {"connect_timeout": CONNECT_SECONDS} if address.startswith("postgresql") else {}
        return sa.create_engine(address, poolclass=sa.NullPool, connect_args=waits)
    engine = sa.create_engine(address, poolclass=sa.NullPool, connect_args={"timeout": WAIT_SECONDS})
    # Python's driver begins transactions late, and commits before DDL. Begun by hand, they are real: what is read
    # inside can't be changed by another process before it is written, and a migration happens whole or not at all.
    sa.event.listen(engine, "connect", _leave_transactions_alone)
    sa.event.listen(engine, "begin", _begin_immediate)
    return engine


def _leave_transactions_alone(connection: Any, _: Any) -> None:
    connection.isolation_level = None
    connection.execute("pragma foreign_keys = on")


def _begin_immediate(connection: sa.Connection) -> None:
    connection.exec_driver_sql("begin immediate")


def _bring_up(connection: sa.Connection) -> None:
    if _version(connection) == HEAD:
        return
    lock(connection, MIGRATING)
    version = _version(connection)
    if version == HEAD:
        return
    from agent_analytics.operations.migrations import upgrade

    upgrade(connection, version)


def _version(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(sa.text("select version_num from alembic_version")).scalar()
    return None if found is None else str(found)
