"""Queries over the published marts: they read, and can do nothing else."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import NoReturn

import duckdb
import pytest
from handmade import Handmade

from agent_analytics import scratch
from agent_analytics.errors import AnalyticsError
from agent_analytics.privacy import erase
from agent_analytics.query import open_published, run_query
from agent_analytics.storage import Storage


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Handmade:
    made = Handmade(tmp_path_factory.mktemp("query")).build()
    made.publish()
    return made


def answer(made: Handmade, sql: str) -> list[tuple[object, ...]]:
    return run_query(made.storage, sql).rows


def test_marts_of_every_family_are_known_by_their_bare_names_and_by_their_schema(made: Handmade) -> None:
    assert answer(made, "select count(*) from spend join efficiency using (messages)") == [(5,)]
    assert answer(made, "select count(*) from delivery.deployments") == [(5,)]
    assert answer(made, "select count(*) from publications") == [(5,)]
    assert answer(made, "select count(*) from watermarks") == [(5,)]


def test_an_answer_has_names_types_and_exact_money(made: Handmade) -> None:
    result = run_query(made.storage, "select date, cost_usd, rate, null as nothing from spend order by date limit 2")
    assert result.columns == ("date", "cost_usd", "rate", "nothing")
    assert result.types[:3] == ("DATE", "DECIMAL(18,6)", "DOUBLE")
    assert result.rows[1][1] == Decimal("1.500000")


def test_max_rows_cuts_the_answer_short_and_says_so(made: Handmade) -> None:
    assert (result := run_query(made.storage, "from spend", 2)).truncated and len(result.rows) == 2
    assert not run_query(made.storage, "from spend", 5).truncated


@pytest.mark.parametrize(
    "sql",
    [
        "select 1",
        "with a as (select 1) select * from a",
        "from spend",
        "values (1)",
        "describe spend",
        "show all tables",
        "summarize spend",
        "explain select * from spend",
        "explain analyze select * from spend",
        "explain (format json) select 1",
        "explain /* how */ (analyze, format json) (select 1)",
        "; explain -- how\n (select 1);",
        "explain analyze from spend",
        "explain show all tables",
        "pivot spend on label using count(*)",
        "select 1;",
        "/* why */ select 1 -- and so",
        "select label as query, count(*) as checkpoint from spend group by query",
        "select 'é', upper('checkpoint()') -- checkpoint()",
    ],
)
def test_reading_statements_are_answered(made: Handmade, sql: str) -> None:
    assert answer(made, sql)


@pytest.mark.parametrize(
    "sql",
    [
        "insert into spend select * from spend",
        "delete from spend",
        "update spend set messages = 0",
        "drop table spend",
        "create table x as select 1",
        "create temp table x as select 1",
        "create or replace macro m() as 1",
        "alter table spend add column x int",
        "truncate spend",
        "begin",
        "vacuum",
        "checkpoint",
        "attach ':memory:' as other",
        "detach analytics",
        "use swarm",
        "set threads = 1",
        "reset threads",
        "set variable x = 1",
        "pragma enable_profiling",
        "call pragma_version()",
        "install httpfs",
        "load httpfs",
        "prepare p as select 1",
        "copy spend to 'x.csv'",
        "copy (select 1) to '/dev/stdout'",
        "export database 'x'",
        "import database 'x'",
        "explain analyze insert into spend select * from spend",
        "explain analyze create table x as select 1",
        "explain analyze pragma enable_profiling",
        "; EXPLAIN /* (select 1) */ (analyze) pragma enable_profiling",
        "explain begin",
        "explain prepare p as select 1",
        "explain create temp table x as select 1",
        "explain analyze set threads = 1",
        "select 1; select 2",
        "select 1; drop table spend",
        "pivot spend on label using count(*); pivot spend on label using count(*)",
        "pivot spend on label using count(*); select 1",
        "",
        " ; ",
        "-- nothing",
        "select * from read_csv('/etc/passwd')",
        "select * from read_text('/etc/passwd')",
        "select * from read_blob('/etc/passwd')",
        "select * from read_json('/etc/passwd')",
        "select * from '/etc/passwd'",
        "select * from '/etc/passwd.csv'",
        "select * from glob('/etc/*')",
        "select * from parquet_metadata('/etc/x.parquet')",
        "select * from sqlite_scan('/etc/x', 't')",
        "select * from query('copy spend to ''x.csv''')",
        "select getenv('HOME')",
        "select * from read_text(['spend.parquet'])",
        "select * from sniff_csv('/etc/passwd')",
        "select * from read_duckdb('warehouse.duckdb', table_name = 'x')",
        "select * from query_table('/etc/passwd.csv')",
        "describe '/etc/passwd.csv'",
        "explain analyze select * from read_text('/etc/passwd')",
        "select * from enable_logging(storage = 'file', storage_path = 'log')",
        "select write_log('x') from System.Main.\"Enable_Logging\" /* no */ (storage = 'stdout')",
        "select * from range(3), enable_profiling(save_location = 'profile.json', format = 'json')",
        "from query('from enable_' || 'logging()')",
        "from json_execute_serialized_sql(json_serialize_sql('from enable_logging()'))",
        "from duckdb_secrets()",
        "select * from local_secret",
    ],
)
def test_everything_else_is_refused_in_one_line(made: Handmade, sql: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(made.root)
    local_secret = duckdb.sql("select 1")
    files = sorted(path for path in made.root.rglob("*") if ".work" not in path.parts)
    with pytest.raises(AnalyticsError) as refused:
        run_query(made.storage, sql)
    assert local_secret and "\n" not in str(refused.value) and str(refused.value)
    assert sorted(path for path in made.root.rglob("*") if ".work" not in path.parts) == files
    assert answer(made, "select count(*) from spend") == [(5,)]


def test_the_restrictions_cannot_be_lifted(made: Handmade) -> None:
    with open_published(made.storage) as connection:
        for setting in ("enable_external_access = true", "lock_configuration = false", "threads = 1"):
            with pytest.raises(duckdb.Error):
                connection.execute(f"set {setting}")


def test_a_wrong_column_is_duckdbs_message_in_one_line(made: Handmade) -> None:
    with pytest.raises(
        AnalyticsError, match=r'^Binder Error: Referenced column "nope" not found in FROM clause! Candidate'
    ):
        run_query(made.storage, "select nope from spend")


def test_what_duckdb_suggests_is_told(made: Handmade) -> None:
    told = r'^Catalog Error: Table with name spent does not exist! Did you mean ".*spend"\?$'
    with pytest.raises(AnalyticsError, match=told):
        run_query(made.storage, "select * from spent")


def test_a_large_sort_spills_outside_the_version(made: Handmade) -> None:
    before = {path.name for path in made.storage.published.iterdir()}
    with open_published(made.storage) as connection:
        folder = connection.execute("select current_setting('temp_directory')").fetchall()[0][0]
    assert Path(folder).is_relative_to(made.storage.work)
    assert {path.name for path in made.storage.published.iterdir()} == before


def test_nothing_published_yet_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(AnalyticsError, match=r"nothing is published yet.*run agent-analytics run"):
        run_query(Storage(tmp_path), "select 1")


def test_a_long_running_process_sees_the_new_version_while_it_still_reads_the_old(tmp_path: Path) -> None:
    made = Handmade(tmp_path).build()
    made.publish()
    with open_published(made.storage) as old:
        made.build({"spend": made.rows("spend", 8)}).publish(1)
        assert answer(made, "select count(*) from spend") == [(8,)]
        assert old.execute("select count(*) from spend").fetchall() == [(5,)]


def test_queries_do_not_wait_for_the_writer_and_the_writer_not_for_them(tmp_path: Path) -> None:
    made = Handmade(tmp_path).build()
    made.publish()
    made.build({"spend": made.rows("spend", 8)})
    code = (
        "import sys; from pathlib import Path; from agent_analytics.query import open_published\n"
        "from agent_analytics.storage import Storage\n"
        "with open_published(Storage(Path(sys.argv[1]))) as connection:\n"
        "    print(connection.execute('select count(*) from spend').fetchall()[0][0], flush=True)\n"
        "    sys.stdin.readline()\n"
        "    print(connection.execute('select count(*) from spend').fetchall()[0][0])\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as reader:
        assert reader.stdout and reader.stdout.readline() == "5\n"
        assert made.publish(1).changed
        assert reader.communicate("\n")[0] == "5\n"


SORT = (
    "select a.i as i, repeat(md5((a.i * 7919 % 999983)::varchar), 8) as text from range(300000) a(i)"
    " order by text, i limit 250000"
)


def spilling(made: Handmade, path: Path) -> Path:
    """A program that sorts with little memory, and says what it found; a file, as DuckDB shows `-c` a progress bar."""
    path.write_text(
        "import hashlib\nfrom pathlib import Path\nfrom agent_analytics import query\n"
        "from agent_analytics.storage import Storage\nsettings = query._settings\n"
        "query._settings = lambda spill: settings(spill) | {'memory_limit': '60MB', 'threads': 2}\n"
        f"with query.answer(Storage(Path({str(made.root)!r})), {SORT!r}) as found:\n"
        "    print(hashlib.md5(repr(list(found)).encode()).hexdigest())\n"
    )
    return path


@pytest.mark.slow
def test_queries_that_spill_side_by_side_do_not_disturb_each_other(made: Handmade, tmp_path: Path) -> None:
    command = [sys.executable, str(spilling(made, tmp_path / "spilling.py"))]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    ended = [(*process.communicate(timeout=120), process.returncode) for process in running]
    assert [(error, status) for _, error, status in ended] == [("", 0)] * 3
    assert len({out for out, _, _ in ended}) == 1
    assert not list(made.storage.work.glob("query-*"))


def test_each_connection_has_a_folder_of_its_own_and_those_of_killed_ones_are_removed(made: Handmade) -> None:
    left = made.storage.work / "query-killed"
    left.mkdir(parents=True)
    (left / "held").touch()
    folders = set()
    for _ in range(2):
        with open_published(made.storage) as connection:
            folder = Path(connection.execute("select current_setting('temp_directory')").fetchall()[0][0])
            assert folder.parent.is_dir() and not left.exists()
            folders.add(folder)
    assert len(folders) == 2


def test_who_may_only_read_the_storage_spills_elsewhere(made: Handmade, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("agent_analytics.scratch.folder", refused)
    with open_published(made.storage) as connection:
        folder = Path(connection.execute("select current_setting('temp_directory')").fetchall()[0][0]).parent
        assert folder.is_dir() and not folder.is_relative_to(made.root)
    assert not folder.exists()


def test_an_erase_neither_waits_for_queries_nor_takes_their_folder(tmp_path: Path) -> None:
    made = Handmade(tmp_path).build()
    made.publish()
    with open_published(made.storage) as connection:
        folder = Path(connection.execute("select current_setting('temp_directory')").fetchall()[0][0]).parent
        erase._check_scratch(made.storage)
        (made.storage.work / "other").mkdir()
        erase._remove_derived(made.storage)
        assert list(made.storage.work.iterdir()) == [folder]
    assert not folder.exists()


def test_who_cannot_write_to_the_storage_can_query_it(made: Handmade, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> NoReturn:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(scratch, "folder", refuse)
    assert answer(made, "select count(*) from spend") == [(5,)]


@pytest.mark.parametrize("is_cut", [True, False])
def test_a_damaged_version_is_one_line_with_the_next_step(tmp_path: Path, is_cut: bool) -> None:
    made = Handmade(tmp_path).build({"spend": Handmade.rows("spend", 200_000, "random()")})
    made.publish()
    path = made.storage.published.resolve() / "analytics.duckdb"
    content = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(content[: len(content) // 2] if is_cut else b"x" * len(content))
    with pytest.raises(AnalyticsError, match=r"analytics.duckdb can't be .*: run agent-analytics run") as refused:  # noqa: SIM117
        with open_published(made.storage) as connection:
            connection.execute("select sum(rate), max(label), max(tenant_id) from spend").fetchall()
    assert "\n" not in str(refused.value) and "warehouse.duckdb" not in str(refused.value)


def test_a_mistake_in_our_own_sql_is_not_taken_for_damage(made: Handmade) -> None:
    with pytest.raises(duckdb.BinderException), open_published(made.storage) as connection:
        connection.execute("select nope from spend")


def test_rows_that_turn_out_damaged_are_one_line_with_the_next_step(tmp_path: Path) -> None:
    made = Handmade(tmp_path).build({"spend": Handmade.rows("spend", 200_000, "random()")})
    made.publish()
    path = made.storage.published.resolve() / "analytics.duckdb"
    content = path.read_bytes()
    path.chmod(0o644)
    middle = len(content) // 4
    path.write_bytes(content[:middle] + bytes(byte ^ 255 for byte in content[middle:-middle]) + content[-middle:])
    with pytest.raises(AnalyticsError, match=r"can't be .*: run agent-analytics run"):
        run_query(made.storage, "select sum(rate), max(label), max(tenant_id) from spend")
