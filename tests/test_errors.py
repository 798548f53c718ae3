"""Which failures are tried again: those of locks, disks and networks, as the libraries really raise them."""

from __future__ import annotations

import errno
import fcntl
import json
import socket
import sqlite3
from collections.abc import Callable
from pathlib import Path

import duckdb
import psycopg
import pytest
from harness import held

from agent_analytics.contract import load_contract
from agent_analytics.errors import AnalyticsError, TransientError, advised, is_transient, says_transient
from agent_analytics.gate_evidence import open_warehouse
from agent_analytics.locking import writer_lock
from agent_analytics.operations import desk
from agent_analytics.storage import Storage


def raised(action: Callable[[], object]) -> BaseException:
    with pytest.raises(Exception) as found:
        action()
    return found.value


def test_a_database_that_somebody_else_holds(tmp_path: Path) -> None:
    path = tmp_path / "held.duckdb"
    with held(path):
        assert is_transient(raised(lambda: duckdb.connect(str(path))))
        # However the pipeline words it.
        told = raised(lambda: open_warehouse(path))
    assert isinstance(told, AnalyticsError) and is_transient(told)


def test_another_writer(tmp_path: Path) -> None:
    with Storage(tmp_path).lock.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        error = raised(writer_lock(Storage(tmp_path), "one").__enter__)
    assert isinstance(error, TransientError) and is_transient(error)


def test_sqlite_that_is_locked(tmp_path: Path) -> None:
    first, second = (sqlite3.connect(tmp_path / "db", timeout=0, isolation_level=None) for _ in range(2))
    first.execute("begin exclusive")
    assert is_transient(raised(lambda: second.execute("begin immediate")))
    first.close()
    second.close()


def test_a_disk_that_is_full() -> None:
    assert is_transient(raised(lambda: Path("/dev/full").write_text("a")))
    assert is_transient(raised(lambda: duckdb.execute("copy (from range(1000000)) to '/dev/full' (format csv)")))


def closed_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def test_a_server_that_is_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"postgresql://somebody@127.0.0.1:{closed_port()}/analytics"
    assert is_transient(raised(lambda: psycopg.connect(url)))
    assert is_transient(raised(lambda: socket.create_connection(("127.0.0.1", closed_port()))))
    monkeypatch.setenv("ANALYTICS_OPERATIONS_URL", url)
    told = raised(lambda: desk.listed(Storage(tmp_path)))
    assert isinstance(told, AnalyticsError) and is_transient(told)


def test_what_is_wrong_stays_wrong(tmp_path: Path) -> None:
    path = tmp_path / "events.yml"
    path.write_text("version: [")
    assert not is_transient(raised(lambda: load_contract(path)))
    assert not is_transient(raised(lambda: duckdb.execute("select no_such_column")))
    assert not is_transient(raised(lambda: duckdb.connect(str(tmp_path / "absent" / "file.duckdb"))))
    assert not is_transient(raised(lambda: (tmp_path / "absent").read_text()))
    assert not is_transient(raised(lambda: json.loads("{")))
    assert not is_transient(psycopg.OperationalError('password authentication failed for user "bi"'))
    # What we say may quote anything.
    assert not is_transient(AnalyticsError("contract: enum value 'connection refused' is declared twice"))


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOENT, errno.EISDIR, errno.ENAMETOOLONG])
def test_a_file_that_is_not_ours(number: int) -> None:
    assert not is_transient(OSError(number, "no"))


def test_models_may_be_built_again_if_all_that_failed_may_pass() -> None:
    full = 'a_model: Runtime Error IO Error: Could not write file "w.duckdb.wal": No space left on device'
    assert says_transient(full)
    assert not says_transient(full, "another: Conversion Error: Could not convert string 'x' to INT32")


@pytest.mark.parametrize("kept", [100, 4096, 10_000, 300_000, 600_000])
def test_a_warehouse_that_is_cut_off_is_to_be_built_again_wherever_it_ends(kept: int, tmp_path: Path) -> None:
    path = tmp_path / "warehouse.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("create table t as select uuid() as id, 'x' || i as name from range(100000) as r (i)")
    with path.open("r+b") as file:
        file.truncate(kept)

    def read() -> None:
        with duckdb.connect(str(path), read_only=True) as connection:
            connection.execute("select max(id), max(name) from t").fetchall()

    assert "remove warehouse.duckdb" in advised(str(raised(read)))


def test_a_lake_file_that_is_cut_off_is_to_be_restored(tmp_path: Path) -> None:
    path = tmp_path / "lake" / "swarm" / "1.parquet"
    path.parent.mkdir(parents=True)
    duckdb.execute(f"copy (select i from range(100000) as r (i)) to '{path}'")
    path.write_bytes(path.read_bytes()[:1000])
    said = advised(str(raised(lambda: duckdb.execute(f"select sum(i) from '{path}'").fetchall())))
    assert "restore that file of the lake" in said
