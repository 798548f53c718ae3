"""The published marts in PostgreSQL: the same, switched at once, each tenant's rows for that tenant alone."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest
from alerts_world import free_port
from dagster import AssetSelection, materialize
from handmade import Handmade
from killed import killed_at

from agent_analytics import cli, durable, postgres
from agent_analytics.errors import AnalyticsError
from agent_analytics.operations import desk, runs
from agent_analytics.publish import FamilyState, Publication
from agent_analytics.storage import Storage
from orchestration.defs.publish import assets
from orchestration.lib.project import dbt_project

pytestmark = pytest.mark.slow

NUMBERS = count(1)


@dataclass
class Team:
    """A published version and a database of its own that it is copied to."""

    made: Handmade
    url: str

    def copy(self) -> postgres.Copy:
        return postgres.publish(self.made.storage, self.url)

    def ask(self, sql: str, user: str | None = None) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url, autocommit=True, **({"user": user} if user else {})) as connection:
            cursor = connection.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []

    def login(self, member_of: str) -> str:
        """A new user who is a member of a role."""
        user = f"user_{next(NUMBERS)}"
        self.ask(f'create role {user} login; grant "{member_of}" to {user}')
        return user

    def refused(self, sql: str, user: str) -> bool:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            self.ask(sql, user)
        return True


@pytest.fixture
def team(server: str, tmp_path: Path) -> Team:
    made = Handmade(tmp_path, descriptions={"spend": 'What was spent: it\'s "all" of it \\ there.'})
    made.build(
        {
            "efficiency": "select date '2026-01-01' + i::int as date, 'e' || i as label, i as messages,"
            " timestamp '2026-01-02 03:04:05.000006' as at, 123456789012.123456::decimal(18,6) as usd,"
            " case i when 0 then 'nan'::double when 1 then '-inf'::double end as rate, true as ok,"
            " 170141183460469231731687303715::decimal(38,0) as big, 'a' || chr(0) || 'é\n\t\\N' as text,"
            " null::varchar as nothing from range(3) r(i)"
        }
    )
    made.publish()
    database = f"team_{next(NUMBERS)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"create database {database}".encode())
    return Team(made, server.rsplit("/", 1)[0] + f"/{database}")


# The copy


def test_every_mart_is_there_with_its_rows_types_comments_and_an_index(team: Team) -> None:
    done = team.copy()
    assert done.version == 1 and set(done.copied) == set(team.made.marts()) and done.unchanged == 0
    assert done.rows == 5 * 4 + 3
    for family, marts in team.made.MARTS.items():
        for mart in marts:
            if mart != "efficiency":
                sql = f"select tenant_id, date, label, messages, cost_usd, rate from {family}.{mart} order by messages"
                assert team.ask(sql) == team.made.published(sql)
    assert team.ask("select mart, rows from ops.publications order by 1") == team.made.published(
        "select mart, rows from ops.publications order by 1"
    )
    assert team.ask("select count(*) from ops.watermarks") == [(5,)]
    assert team.ask("select count(*) from ops.pipeline_runs") == team.made.published(
        "select count(*) from ops.pipeline_runs"
    )
    [comment] = team.ask("select obj_description('costs.spend'::regclass), col_description('costs.spend'::regclass, 6)")
    assert comment == ('What was spent: it\'s "all" of it \\ there.', "A third of the messages")
    [(text,)] = team.ask("select obj_description('ops.publications'::regclass)")
    assert text == "What is published, one row per mart"
    assert "(tenant_id, date)" in team.ask("select indexdef from pg_indexes where tablename = 'spend'")[0][0]


def test_values_of_every_type_arrive_as_they_are(team: Team) -> None:
    team.copy()
    rows = team.ask("select at, usd, big, ok, text, nothing, rate, date from swarm.efficiency order by date")
    assert rows[0][:6] == (
        datetime(2026, 1, 2, 3, 4, 5, 6, UTC),
        Decimal("123456789012.123456"),
        Decimal("170141183460469231731687303715"),
        True,
        "a\ufffdé\n\t\\N",
        None,
    )
    assert str(rows[0][6]) == "nan" and rows[1][6] == float("-inf") and rows[2][6] is None
    assert rows[2][7] == date(2026, 1, 3)


def test_only_marts_that_changed_are_copied(team: Team) -> None:
    team.copy()
    before = team.ask("select xmin from costs.budgets union all select xmin from swarm.efficiency")
    team.made.build({"spend": team.made.rows("spend", 8)}).publish(1)
    done = team.copy()
    assert done.copied == ("spend",) and done.unchanged == 4
    assert team.ask("select count(*) from costs.spend") == [(8,)]
    assert team.ask("select rows from ops.publications where mart = 'spend'") == [(8,)]
    assert team.ask("select xmin from costs.budgets union all select xmin from swarm.efficiency") == before
    again = team.copy()
    assert (again.copied, again.rows, again.unchanged) == ((), 0, 5)


def test_a_stale_family_is_said_to_be_so_without_copying_it(team: Team) -> None:
    team.copy()
    team.made.build({"efficiency": "select 1 as messages"}).fail_gate("swarm")
    team.made.publish(1)
    assert team.copy().copied == ()
    assert team.ask("select mart from ops.publications where is_stale") == [("efficiency",)]


def test_a_table_that_was_dropped_by_hand_comes_back(team: Team) -> None:
    team.copy()
    team.ask("drop table costs.spend")
    assert team.copy().copied == ("spend",)
    assert team.ask("select count(*) from costs.spend") == [(5,)]


def test_a_mart_that_is_no_longer_published_is_withdrawn(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    team.copy()
    monkeypatch.setattr(Handmade, "MARTS", {**Handmade.MARTS, "costs": ["spend"]})
    team.made.build().publish(1)
    assert team.copy().withdrawn == ("budgets",)
    assert team.ask("select to_regclass('costs.budgets')") == [(None,)]


# What others made stays


def test_grants_and_views_survive_a_copy(team: Team) -> None:
    team.copy()
    user = team.login("analytics_viewer")
    stranger = f"user_{next(NUMBERS)}"
    team.ask(f"create role {stranger} login; grant usage on schema costs to {stranger}")
    team.ask(f"grant select (date, messages) on costs.spend to {stranger}")
    team.ask(f"create policy theirs on costs.spend for select to {stranger} using (messages > 2)")
    team.ask("create view workspace.total as select sum(messages) as n from costs.spend")
    team.ask(f"grant select on workspace.total to {user}")
    team.made.build({"spend": team.made.rows("spend", 8)}).publish(1)
    team.copy()
    assert team.ask("select n from workspace.total", user) == [(28,)]
    assert team.ask("select count(messages) from costs.spend", stranger) == [(5,)]
    assert team.refused("select cost_usd from costs.spend", stranger)


def test_a_new_shape_keeps_the_table_and_what_hangs_on_it(team: Team) -> None:
    team.copy()
    [(table,)] = team.ask("select 'costs.spend'::regclass::oid")
    team.ask("create view workspace.labels as select label from costs.spend")
    new = "select label, date, 'x' as added, messages::varchar as messages, tenant_id from (" + team.made.rows("spend")
    team.made.build({"spend": new + ")"}).publish(1)
    team.copy()
    assert team.ask("select added, messages, label from costs.spend order by messages limit 1") == [("x", "0", "spend")]
    assert team.ask("select count(*) from workspace.labels") == [(5,)]
    assert team.ask("select 'costs.spend'::regclass::oid") == [(table,)]


def test_a_column_that_a_view_needs_is_not_taken_away_and_nothing_else_changes(team: Team) -> None:
    team.copy()
    team.ask("create view workspace.labels as select label from costs.spend")
    fewer = f"select * exclude label from ({team.made.rows('spend', 8)})"
    team.made.build({"spend": fewer, "budgets": team.made.rows("budgets", 9)}).publish(1)
    with pytest.raises(AnalyticsError, match=r"other objects depend on it: view workspace\.labels depends on column"):
        team.copy()
    assert team.ask("select count(*) from costs.spend union all select count(*) from costs.budgets") == [(5,), (5,)]
    team.ask("drop view workspace.labels")
    assert set(team.copy().copied) == {"spend", "budgets"}


def test_a_table_that_is_no_copy_is_left_alone(team: Team) -> None:
    team.ask("create schema costs; create table costs.spend as select 42 as mine")
    with pytest.raises(AnalyticsError, match=r"^costs\.spend is in PostgreSQL and is not a copy"):
        team.copy()
    assert team.ask("select mine from costs.spend") == [(42,)]
    assert team.ask("select to_regclass('ops.copies')") == [(None,)]


# One switch


def test_readers_never_wait_and_never_see_half(team: Team) -> None:
    team.copy()
    seen, stop = set(), threading.Event()

    def read() -> None:
        with psycopg.connect(team.url, autocommit=True) as connection:
            connection.execute("set statement_timeout = '5s'")
            while not stop.is_set():
                sql = "select (select count(*) from costs.spend), (select count(*) from delivery.deployments)"
                seen.add(connection.execute(sql).fetchone())

    with ThreadPoolExecutor(1) as pool, psycopg.connect(team.url) as old:
        old.execute("set transaction isolation level repeatable read")
        assert old.execute("select count(*) from costs.spend").fetchone() == (5,)
        reader = pool.submit(read)
        try:
            for rows in (50_000, 100_000):
                few = "select * replace ('t' || messages % 5 as tenant_id) from"
                marts = {mart: f"{few} ({team.made.rows(mart, rows)})" for mart in ("spend", "deployments")}
                team.made.build(marts).publish(1)
                team.copy()
        finally:
            stop.set()
        reader.result()
        assert old.execute("select count(*) from costs.spend").fetchone() == (5,)
    assert seen <= {(5, 5), (50_000, 50_000), (100_000, 100_000)} and len(seen) > 1


def test_killed_anywhere_nothing_is_changed_and_the_next_copy_completes(team: Team, tmp_path: Path) -> None:
    team.copy()
    team.made.build({mart: team.made.rows(mart, 8) for mart in ("spend", "deployments")}).publish(1)
    for kill_at in range(1, 7):
        log = tmp_path / f"log{kill_at}"
        assert killed_at(kill_at, log, postgres.publish, team.made.storage, team.url) == -9
        assert team.ask("select count(*) from costs.spend") == [(5,)]
        assert team.ask("select rows from ops.publications where mart = 'spend'") == [(5,)]
    assert (tmp_path / "log6").read_text().splitlines()[-1] == "postgres:commit"
    assert set(team.copy().copied) == {"spend", "deployments"}


def test_two_who_publish_at_once_take_turns(team: Team) -> None:
    with ThreadPoolExecutor(3) as pool:
        done = list(pool.map(lambda _: team.copy(), range(3)))
    assert sorted(len(each.copied) for each in done) == [0, 0, 5]


def test_one_who_waited_copies_what_is_published_by_then(team: Team) -> None:
    with ThreadPoolExecutor(1) as pool, psycopg.connect(team.url, autocommit=True) as first:
        first.execute("select pg_advisory_lock(%s)", [postgres.PUBLISHING])
        waits = pool.submit(team.copy)
        while not waits.done() and not team.ask("select 1 from pg_locks where locktype = 'advisory' and not granted"):
            time.sleep(0.01)
        team.made.build({"spend": team.made.rows("spend", 8)}).publish(1)
        first.execute("select pg_advisory_unlock_all()")
        assert waits.result().version == 2
    assert team.ask("select count(*) from costs.spend") == [(8,)]


def test_a_session_that_is_cut_off_before_the_vacuum_undoes_no_copy(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(name: str) -> None:
        if name == "postgres:commit":
            team.ask("select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory'")

    monkeypatch.setattr(durable, "point", cut_off)
    assert set(team.copy().copied) == set(team.made.marts())
    assert team.ask("select count(*) from costs.spend") == [(5,)]


# Who sees what


def test_a_tenant_sees_its_rows_and_no_mart_without_tenants(team: Team) -> None:
    team.copy()
    user = team.login("tenant_t3")
    for mart in ("costs.spend", "costs.budgets", "delivery.deployments", "goals_of.targets"):
        assert team.ask(f"select tenant_id, messages from {mart}", user) == [("t3", 3)]
        assert team.ask(f"select count(*) from {mart} where tenant_id = 't1' or true", user) == [(1,)]
        for write in (f"delete from {mart}", f"update {mart} set messages = 0", f"insert into {mart} default values"):
            assert team.refused(write, user)
    assert team.refused("select * from swarm.efficiency", user)
    assert team.refused("select * from ops.publications", user)
    assert team.refused("select * from ops.watermarks", user)
    assert team.ask("select tenant_id from ops.tenant_roles", user) == [("t3",)]
    assert team.refused("insert into ops.tenant_roles values ('t1', 'tenant_t3')", user)
    assert team.refused("set role tenant_t1", user)
    assert team.refused("create table workspace.mine (a int)", user)
    assert team.refused("alter table costs.spend disable row level security", user)


def test_a_tenants_own_role_may_log_in_and_members_of_two_see_both(team: Team) -> None:
    team.copy()
    team.ask("alter role tenant_t2 login")
    assert team.ask("select tenant_id from costs.spend", "tenant_t2") == [("t2",)]
    team.ask("alter role tenant_t2 nologin")
    user = team.login("tenant_t2")
    team.ask(f"grant tenant_t4 to {user}")
    assert team.ask("select tenant_id from costs.spend order by 1", user) == [("t2",), ("t4",)]
    team.ask(f"revoke tenant_t2 from {user}")
    assert team.ask("select tenant_id from costs.spend order by 1", user) == [("t4",)]


def test_a_tenant_still_sees_its_rows_alone_after_other_copies(team: Team) -> None:
    team.copy()
    user = team.login("tenant_t3")
    team.made.build({"spend": team.made.rows("spend", 8) + " union all " + team.made.rows("spend", 8)}).publish(1)
    team.copy()
    assert team.ask("select tenant_id from costs.spend", user) == [("t3",)] * 2
    new = team.login("tenant_t7")
    assert team.ask("select tenant_id from costs.spend", new) == [("t7",)] * 2
    assert team.ask("select tenant_id from costs.budgets", new) == []


def test_a_mart_that_loses_its_tenants_is_theirs_no_more_until_they_are_back(team: Team) -> None:
    team.copy()
    user = team.login("tenant_t3")
    team.made.build({"spend": f"select * exclude tenant_id from ({team.made.rows('spend')})"}).publish(1)
    assert team.copy().copied == ("spend",)
    assert team.refused("select * from costs.spend", user)
    assert team.ask("select tenant_id from costs.budgets", user) == [("t3",)]
    assert team.ask("select count(*) from costs.spend", team.login("analytics_viewer")) == [(5,)]
    team.made.build({"spend": team.made.rows("spend")}).publish(1)
    team.copy()
    assert team.ask("select tenant_id from costs.spend", user) == [("t3",)]


def test_a_tenant_sees_its_rows_alone_when_ids_become_numbers_and_texts_again(team: Team) -> None:
    team.copy()
    user = team.login("tenant_t3")
    numbers = f"select * replace (messages as tenant_id) from ({team.made.rows('spend')})"
    team.made.build({"spend": numbers}).publish(1)
    team.copy()
    assert team.ask("select tenant_id from costs.spend", user) == []
    assert team.ask("select tenant_id from costs.spend", team.login("tenant_3")) == [(3,)]
    team.made.build({"spend": team.made.rows("spend")}).publish(1)
    team.copy()
    assert team.ask("select tenant_id from costs.spend", user) == [("t3",)]


def test_rows_of_nobody_are_seen_by_no_tenant(team: Team) -> None:
    rows = "select unnest([null, '', 't1', 'a\"b''c; drop table x', repeat('é', 60)]) as tenant_id, 1 as messages"
    team.made.build({"spend": rows}).publish(1)
    team.copy()
    assert team.ask("select tenant_id from costs.spend", team.login("tenant_t1")) == [("t1",)]
    roles = dict(team.ask("select tenant_id, role from ops.tenant_roles"))
    assert None not in roles and "" not in roles
    user = team.login(roles["é" * 60])
    assert team.ask("select tenant_id from costs.spend", user) == [("é" * 60,)]
    team.ask(f"create role odd_{user} login")
    team.ask('grant "' + roles["a\"b'c; drop table x"].replace('"', '""') + f'" to odd_{user}')
    assert team.ask("select tenant_id from costs.spend", f"odd_{user}") == [("a\"b'c; drop table x",)]


def test_viewers_read_all_editors_work_beside_it_admins_say_who(team: Team) -> None:
    team.copy()
    viewer, editor, admin = (team.login(f"analytics_{role}") for role in ("viewer", "editor", "admin"))
    for user in (viewer, editor, admin):
        assert team.ask("select count(*) from costs.spend", user) == [(5,)]
        assert team.ask("select count(*) from swarm.efficiency", user) == [(3,)]
        assert team.ask("select count(*) from ops.publications", user) == [(5,)]
        assert team.refused("delete from costs.spend", user)
        assert team.refused("create table costs.mine (a int)", user)
        assert team.refused("drop table costs.spend", user)
    assert team.refused("create view workspace.v as select 1", viewer)
    team.ask("create view workspace.v as select count(*) as n from costs.spend", editor)
    team.ask(f"grant select on workspace.v to {viewer}", editor)
    assert team.ask("select n from workspace.v", viewer) == [(5,)]
    new = team.login("analytics_viewer")
    team.ask(f"revoke analytics_viewer from {new}")
    assert team.refused("select count(*) from costs.spend", new)
    assert team.refused(f"grant tenant_t1 to {new}", editor)
    assert team.refused(f"select ops.grant_tenant('t1', '{new}')", editor)
    assert team.refused(f"grant tenant_t1 to {new}", admin)
    team.ask(f"select ops.grant_tenant('t1', '{new}')", admin)
    assert team.ask("select tenant_id from costs.spend", new) == [("t1",)]
    team.ask(f"select ops.revoke_tenant('t1', '{new}')", admin)
    assert team.refused("select tenant_id from costs.spend", new)
    with pytest.raises(psycopg.errors.RaiseException, match=r"no tenant 'analytics_admin' is published"):
        team.ask(f"select ops.grant_tenant('analytics_admin', '{new}')", admin)


def test_an_admin_is_no_member_of_the_tenants_roles(team: Team) -> None:
    # PostgreSQL's look through the roles of one who is grows with their square: minutes, with 100,000 tenants.
    team.copy()
    assert team.ask("select pg_has_role('analytics_admin', 'tenant_t1', 'member')") == [(False,)]


def test_a_tenant_of_a_group_within_a_group_is_seen_unless_it_is_not_inherited(team: Team) -> None:
    team.copy()
    user, group = team.login("analytics_tenant"), f"group_{next(NUMBERS)}"
    team.ask(f"create role {group}; grant tenant_t3 to {group}; grant {group} to {user}")
    assert team.ask("select tenant_id from costs.spend", user) == [("t3",)]
    team.ask(f"alter role {group} noinherit")
    assert team.ask("select tenant_id from costs.spend", user) == []


def test_someone_without_a_role_sees_nothing(team: Team) -> None:
    team.copy()
    user = f"user_{next(NUMBERS)}"
    team.ask(f"create role {user} login")
    for relation in ("costs.spend", "swarm.efficiency", "ops.publications", "ops.tenant_roles", "ops.copies"):
        assert team.refused(f"select * from {relation}", user)


def test_a_role_that_was_dropped_does_not_break_the_others(team: Team) -> None:
    team.copy()
    user = team.login("tenant_t3")
    team.ask("insert into ops.tenant_roles values ('gone', 'tenant_that_is_gone')")
    assert team.ask("select tenant_id from costs.spend", user) == [("t3",)]


def test_the_publisher_need_not_be_a_superuser(team: Team) -> None:
    publisher, database = f"user_{next(NUMBERS)}", team.url.rsplit("/", 1)[1]
    team.ask(f"create role {publisher} login createrole")
    team.ask(f"grant create on database {database} to {publisher}")
    theirs = Team(team.made, team.url.replace("analytics@", f"{publisher}@"))
    theirs.copy()
    user = team.login("tenant_t3")
    assert theirs.ask("select tenant_id from costs.spend", user) == [("t3",)]
    team.made.build({"spend": team.made.rows("spend", 8)}).publish(1)
    assert theirs.copy().copied == ("spend",)
    assert theirs.ask("select count(*) from costs.spend") == [(8,)]


def test_what_was_taken_from_a_tenant_is_not_given_back(team: Team) -> None:
    team.copy()
    user = team.login("tenant_t3")
    team.ask("revoke analytics_tenant from tenant_t3; revoke select on costs.budgets from analytics_viewer")
    team.made.build({mart: team.made.rows(mart, 8) for mart in ("spend", "budgets")}).publish(1)
    team.copy()
    assert team.refused("select * from costs.spend", user)
    assert team.refused("select * from costs.budgets", team.login("analytics_viewer"))
    team.ask("grant analytics_tenant to tenant_t3")


# The command


def test_the_command_says_what_it_did(
    team: Team, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ANALYTICS_STORAGE", str(team.made.root))
    monkeypatch.setenv("ANALYTICS_POSTGRES_URL", team.url)
    runs.file(team.made.storage, "postgres", AnalyticsError("the server was away"))
    assert [row["threshold_id"] for row in desk.listed(team.made.storage)] == ["pipeline:postgres"]
    assert cli.execute(["publish", "--to", "postgres"]) == 0
    assert capsys.readouterr().out == "version 1 is in PostgreSQL: 5 marts copied, 0 unchanged\n"
    assert desk.listed(team.made.storage) == []


def test_what_is_not_configured_or_not_there_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ANALYTICS_STORAGE", str(tmp_path))
    monkeypatch.delenv("ANALYTICS_POSTGRES_URL", raising=False)
    assert cli.execute(["publish", "--to", "postgres"]) == 1
    assert "ANALYTICS_POSTGRES_URL is not set: postgresql://" in capsys.readouterr().err
    monkeypatch.setenv("ANALYTICS_POSTGRES_URL", "postgresql://ada:hush@127.0.0.1:1/x")
    assert cli.execute(["publish", "--to", "postgres"]) == 1
    assert "nothing is published yet" in capsys.readouterr().err


@pytest.mark.parametrize(
    "url", ["postgresql://ada:hush@127.0.0.1:{port}/x", "host=127.0.0.1 port={port} password=hush"]
)
def test_a_server_that_is_down_is_named_without_the_password(tmp_path: Path, url: str) -> None:
    Handmade(tmp_path).build().publish()
    with pytest.raises(AnalyticsError, match=r"^PostgreSQL: .*refused") as raised:
        postgres.publish(Storage(tmp_path), url.format(port=free_port()))
    assert "hush" not in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgres//ada:hush@127.0.0.1/x",
        "postgres:/ada:hush@127.0.0.1/x",
        "postgresq://ada:hush@127.0.0.1/x",
        "postgresql://ada:hush",
        "postgresql://ada:p@hush@127.0.0.1/x",
        "postgresql://ada:hush/p@127.0.0.1/x",
        "host=127.0.0.1 password=p hush",
        "host=127.0.0.1 password='hush",
    ],
)
def test_an_address_that_is_wrong_is_not_shown(tmp_path: Path, url: str) -> None:
    Handmade(tmp_path).build().publish()
    with pytest.raises(AnalyticsError, match=r"^ANALYTICS_POSTGRES_URL is not an address") as raised:
        postgres.publish(Storage(tmp_path), url)
    assert "hush" not in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize("url", ["postgresql://ada:hu%40sh@127.0.0.1/x", "host=127.0.0.1 password='hu@sh'"])
def test_what_duckdb_says_of_a_server_does_not_show_the_address(url: str) -> None:
    told = f'Unable to connect to Postgres at "{url}": the password hu@sh is wrong'
    with pytest.raises(AnalyticsError) as raised, postgres._clear_errors(url):
        raise duckdb.IOException(told)
    assert 'at "ANALYTICS_POSTGRES_URL": the password *** is wrong' in str(raised.value)
    assert "hu@sh" not in str(raised.value)


# Dagster


@pytest.mark.parametrize("others", ["published", "unpublished"])
def test_dagsters_step_copies_what_is_published_even_if_a_family_is_not(
    team: Team, monkeypatch: pytest.MonkeyPatch, others: str
) -> None:
    monkeypatch.setenv("ANALYTICS_STORAGE", str(team.made.root))
    monkeypatch.setenv("ANALYTICS_POSTGRES_URL", team.url)
    states = {"swarm": FamilyState("swarm", others, "the gate failed")}
    monkeypatch.setattr(assets, "step", lambda *_, **__: Publication(1, False, states))
    monkeypatch.setattr(assets, "_gated_beside", lambda *_: {})
    steps = assets.published_assets(dbt_project())
    result = materialize([steps], selection=AssetSelection.keys("postgres"), raise_on_error=False)
    assert result.success == (others == "published")
    [event] = result.get_asset_materialization_events()
    assert event.materialization.metadata["marts_copied"].value == 5
    assert team.ask("select count(*) from costs.spend") == [(5,)]


def test_dagsters_step_fails_with_the_line_that_says_why(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANALYTICS_STORAGE", str(team.made.root))
    monkeypatch.setenv("ANALYTICS_POSTGRES_URL", f"postgresql://ada:hush@127.0.0.1:{free_port()}/x")
    monkeypatch.setenv("ANALYTICS_RETRIES", "0")
    monkeypatch.setattr(assets, "step", lambda *_, **__: Publication(1, False, {}))
    monkeypatch.setattr(assets, "_gated_beside", lambda *_: {})
    steps = assets.published_assets(dbt_project())
    result = materialize([steps], selection=AssetSelection.keys("postgres"), raise_on_error=False)
    [failure] = [event for event in result.all_events if event.is_step_failure]
    told = str(failure.step_failure_data.user_failure_data.description)
    assert told.startswith("not copied to PostgreSQL: ") and "hush" not in told


def test_without_a_configuration_dagster_shows_no_such_asset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANALYTICS_POSTGRES_URL", raising=False)
    assert assets.POSTGRES not in assets.published_assets(dbt_project()).keys
