"""Dagster's records of runs, in the SQLite files where Dagster keeps them, with engines that are kept.

Dagster makes a database engine for each event that it records, for which SQLAlchemy compiles the statement anew: three
times the work of recording it, in runs that have several for each model. Here an engine is kept for each database, and
connections to those of which there is one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME, SqliteEventLogStorage
from dagster._core.storage.runs.sqlite.sqlite_run_storage import SqliteRunStorage
from dagster._core.storage.schedules.sqlite.sqlite_schedule_storage import SqliteScheduleStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._core.storage.sqlite_storage import (
    DagsterSqliteStorage,
    _event_logs_directory,
    _runs_directory,
    _schedule_directory,
)
from dagster._serdes import ConfigurableClassData
from sqlalchemy import Connection, Engine, NullPool, create_engine

#: Runs whose engines are kept: those under way, and a few that somebody looks at.
RUNS = 16


class KeptSqliteStorage(DagsterSqliteStorage):
    """`DagsterSqliteStorage`, with the same files under the same folder."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self.base_dir = base_dir
        self._run_storage = _Runs.from_local(_runs_directory(base_dir))
        self._event_log_storage = _Events(_event_logs_directory(base_dir))
        self._schedule_storage = _Schedules.from_local(_schedule_directory(base_dir))
        self._inst_data = inst_data
        super(DagsterSqliteStorage, self).__init__()  # type: ignore[no-untyped-call]

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]) -> KeptSqliteStorage:
        return cls.from_local(inst_data=inst_data, **config_value)


class _Events(SqliteEventLogStorage):
    """The events of each run in a database of its own, and those of assets of all runs in the `index`."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        # A run's connections are closed: then the file changes, which is how the UI learns of new events.
        self._engine_of_run = lru_cache(RUNS)(lambda run_id: self._engine(run_id, poolclass=NullPool))
        self._index: Engine | None = None
        # What is looked for again for each event.
        self._found: set[str] = set()
        super().__init__(base_dir, inst_data)

    def _engine(self, shard: str, **options: Any) -> Engine:
        timeout = {"timeout": SQLITE_BUSY_TIMEOUT_SECONDS}
        return create_engine(self.conn_string_for_shard(shard), connect_args=timeout, **options)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock:
            if shard == INDEX_SHARD_NAME:
                engine = self._index = self._index or self._engine(shard)
            else:
                engine = self._engine_of_run(shard)
            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            with engine.begin() as connection:
                yield connection

    def has_table(self, table_name: str) -> bool:
        return self._is_there(table_name, super().has_table)

    def _has_asset_key_col_on_connection(self, conn: Connection, column_name: str) -> bool:
        look = super()._has_asset_key_col_on_connection
        return self._is_there(f"asset_keys.{column_name}", lambda _: look(conn, column_name))

    def _is_there(self, name: str, look: Callable[[str], bool]) -> bool:
        if name not in self._found and look(name):
            self._found.add(name)
        return name in self._found

    def dispose(self) -> None:
        super().dispose()
        if self._index:
            self._index.dispose()


class _KeptEngine:
    """For a storage of Dagster's that has one database, whose address it is given."""

    def __init__(self, conn_string: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engine = create_engine(conn_string, max_overflow=-1)
        super().__init__(conn_string, inst_data)  # type: ignore[call-arg]

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        with self._engine.begin() as connection:
            yield connection

    def dispose(self) -> None:
        self._engine.dispose()


class _Runs(_KeptEngine, SqliteRunStorage):
    """The runs, and what the daemon notes of itself."""


class _Schedules(_KeptEngine, SqliteScheduleStorage):
    """Schedules, sensors and their ticks."""
