"""The operations database: migrated by whoever comes first, taken over from before, the same on PostgreSQL."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alerts_world import Kpi, Published, free_port

from agent_analytics import alerts
from agent_analytics.errors import AnalyticsError
from agent_analytics.operations import audit, database, desk, migrations, tables
from agent_analytics.storage import PROJECT_ROOT, Storage

BAD = Kpi(0.3, breaks=[("t03", "critical")])

CONNECT = """
import sys
from pathlib import Path
from agent_analytics.operations import database
from agent_analytics.storage import Storage
with database.connect(Storage(Path(sys.argv[1]))) as connection:
    connection.exec_driver_sql("select * from incidents").all()
"""


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Storage:
    monkeypatch.delenv("ANALYTICS_OPERATIONS_URL", raising=False)
    return Storage(tmp_path / "storage")


def test_the_newest_migration_is_the_one_that_the_program_compares_with() -> None:
    assert ScriptDirectory.from_config(migrations.config()).get_current_head() == database.HEAD


def test_migrations_make_the_tables_that_the_program_reads(storage: Storage) -> None:
    with database.connect(storage) as connection:
        assert compare_metadata(MigrationContext.configure(connection), tables.metadata) == []


def test_a_database_from_before_migrations_keeps_what_it_holds(storage: Storage) -> None:
    storage.root.mkdir()
    engine = sa.create_engine(f"sqlite:///{storage.operations_db}")
    tables.metadata.create_all(engine, tables=[tables.audit])
    with engine.begin() as connection:
        row = {"actor": "ada", "action": "accept", "subject": "swarm", "at": sa.func.current_timestamp()}
        connection.execute(tables.audit.insert().values(**row))
    engine.dispose()
    assert [entry.subject for entry in audit.entries(storage)] == ["swarm"]
    with database.connect(storage) as connection:
        assert compare_metadata(MigrationContext.configure(connection), tables.metadata) == []


def test_a_migration_that_fails_leaves_nothing(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    upgrade = migrations.upgrade

    def upgrade_and_fail(connection: sa.Connection, version: str | None) -> None:
        upgrade(connection, version)
        raise AnalyticsError("the disk is full")

    monkeypatch.setattr(migrations, "upgrade", upgrade_and_fail)
    with pytest.raises(AnalyticsError, match="the disk is full"):
        audit.entries(storage)
    engine = sa.create_engine(f"sqlite:///{storage.operations_db}")
    assert sa.inspect(engine).get_table_names() == []
    engine.dispose()


def test_a_database_of_a_newer_program_is_left_alone(storage: Storage) -> None:
    with database.connect(storage) as connection:
        connection.execute(sa.text("update alembic_version set version_num = '9999'"))
    with pytest.raises(AnalyticsError, match="at version 9999, this program knows 0002: upgrade"):
        audit.entries(storage)


def connect_at_once(storage: Storage, count: int) -> list[tuple[int, str]]:
    """So many processes that find the database as it is; their exit codes and what they said."""
    command = [sys.executable, "-c", CONNECT, str(storage.root)]
    running = [subprocess.Popen(command, cwd=PROJECT_ROOT, stderr=subprocess.PIPE, text=True) for _ in range(count)]
    return [(process.wait(), process.communicate()[1]) for process in running]


def test_processes_that_migrate_at_once_wait_for_each_other(storage: Storage) -> None:
    assert connect_at_once(storage, 4) == [(0, "")] * 4


def test_what_is_no_database_is_named(storage: Storage) -> None:
    storage.root.mkdir()
    storage.operations_db.write_text("not a database, and longer than a header of one would be" * 20)
    with pytest.raises(AnalyticsError, match=r"operations\.db: file is not a database"):
        audit.entries(storage)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ada:hush@127.0.0.1:port/x",
        "postgresql://ada:hush",
        "postgresql://ada:p@hush@127.0.0.1/x",
        "postgresql//ada:hush@127.0.0.1/x",
        "://hush",
        "hush",
        "sqlite:///hush.db?timeout=long",
    ],
)
def test_an_address_that_is_wrong_is_told_and_not_shown(
    storage: Storage, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("ANALYTICS_OPERATIONS_URL", url)
    with pytest.raises(AnalyticsError, match=r"^operations database: .* check ANALYTICS_OPERATIONS_URL") as raised:
        audit.entries(storage)
    assert "hush" not in str(raised.value) and "\n" not in str(raised.value)


def test_a_password_among_the_options_of_an_address_is_not_shown(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANALYTICS_OPERATIONS_URL", "nonsense://127.0.0.1/x?password=hush")
    with pytest.raises(AnalyticsError, match=r"nonsense://127\.0\.0\.1/x: Can't load plugin") as raised:
        audit.entries(storage)
    assert "hush" not in str(raised.value)


def test_what_goes_wrong_inside_is_no_wrong_address(storage: Storage) -> None:
    with pytest.raises(ValueError, match="of the caller"), database.connect(storage):
        raise ValueError("of the caller")


# PostgreSQL


@pytest.fixture
def on_postgres(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Published:
    monkeypatch.setenv("ANALYTICS_OPERATIONS_URL", server)
    monkeypatch.setenv("ANALYTICS_STORAGE", str(tmp_path))
    monkeypatch.setenv("ANALYTICS_RESOLVE_AFTER", "1")
    thresholds = tmp_path / "thresholds.csv"
    thresholds.write_text("threshold_id,enabled\nt03,true\n")
    monkeypatch.setattr(alerts, "THRESHOLDS", thresholds)
    engine = sa.create_engine(database.url(Storage(tmp_path)))
    with engine.begin() as connection:
        connection.execute(sa.text("drop schema public cascade"))
        connection.execute(sa.text("create schema public"))
    engine.dispose()
    return Published(tmp_path)


@pytest.mark.slow
def test_on_postgresql_processes_migrate_at_once(on_postgres: Published) -> None:
    assert connect_at_once(on_postgres.storage, 4) == [(0, "")] * 4
    with database.connect(on_postgres.storage) as connection:
        assert compare_metadata(MigrationContext.configure(connection), tables.metadata) == []


@pytest.mark.slow
def test_on_postgresql_incidents_are_the_same(on_postgres: Published) -> None:
    with ThreadPoolExecutor(6) as pool:
        storage = on_postgres.publish(BAD).storage
        found = list(pool.map(lambda _: alerts.evaluate(storage), range(6)))
    assert sum(evaluation.new for evaluation in found) == 1
    desk.acknowledge(storage, 1, "looking")
    assert alerts.evaluate(on_postgres.publish(Kpi(0.01)).storage).counts == {"resolved": 1}
    events = [row["event"] for row in desk.show(storage, 1)["history"]]
    assert events == ["opened", "acknowledged", "resolved"]
    assert not storage.operations_db.exists()


@pytest.mark.slow
def test_on_postgresql_the_database_refuses_a_second_open_incident(on_postgres: Published) -> None:
    storage = on_postgres.publish(BAD).storage
    alerts.evaluate(storage)
    columns = [column.name for column in tables.incidents.c if column.name != "id"]
    copy = f"insert into incidents ({', '.join(columns)}) select {', '.join(columns)} from incidents"
    with pytest.raises(AnalyticsError, match="one_open_incident"), database.connect(storage) as connection:
        connection.execute(sa.text(copy))


@pytest.mark.slow
def test_a_postgresql_that_is_down_is_named_without_its_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANALYTICS_OPERATIONS_URL", f"postgresql://ada:hush@127.0.0.1:{free_port()}/x")
    with pytest.raises(AnalyticsError, match="refused") as raised:
        audit.entries(Storage(tmp_path))
    assert "hush" not in str(raised.value)
