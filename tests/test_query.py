"""Queries over the published marts: they read, and can do nothing else."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from handmade import Handmade

from agent_analytics.errors import AnalyticsError
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
    with pytest.raises(AnalyticsError, match=r'^Binder Error: Referenced column "nope" not found in FROM clause!$'):
        run_query(made.storage, "select nope from spend")


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
