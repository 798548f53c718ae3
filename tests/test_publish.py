"""Publishing, tried to be broken: staleness, gates that can't be trusted, kills, readers, pruning, fingerprints."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from handmade import NOON, Handmade
from harness import World
from test_goals import WithGoals

from agent_analytics import manifest, snapshot, versions
from agent_analytics.errors import AnalyticsError
from agent_analytics.locking import holder, writer_lock
from agent_analytics.publish import last_published, publish
from agent_analytics.storage import PROJECT_ROOT, Storage


@pytest.fixture
def made(tmp_path: Path, template: Path) -> Handmade:
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    return Handmade(tmp_path, builds=1)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Handmade(tmp_path_factory.mktemp("template")).build().root


def statuses(made: Handmade) -> dict[str, str]:
    return {name: family["status"] for name, family in made.record()["families"].items()}


def stale_marts(made: Handmade) -> set[str]:
    return {mart for (mart,) in made.published("select mart from ops.publications where is_stale")}


def inode(made: Handmade, mart: str) -> int:
    return (made.storage.published / f"{mart}.parquet").stat().st_ino


# What a version holds


def test_a_version_holds_every_mart_as_table_and_parquet_and_nothing_else(made: Handmade) -> None:
    publication = made.publish()
    assert (publication.version, publication.changed, publication.failed) == (1, True, [])
    tables = made.published("select schema_name || '.' || table_name from duckdb_tables() order by 1")
    marts = [f"{family}.{mart}" for family, marts in made.MARTS.items() for mart in marts]
    assert [name for (name,) in tables] == sorted([*marts, "ops.pipeline_runs", "ops.publications", "ops.watermarks"])
    files = {path.name for path in made.storage.published.iterdir()}
    assert files == {"analytics.duckdb", "manifest.json"} | {
        f"{mart}.parquet" for mart in (*made.marts(), "pipeline_runs")
    }
    assert os.readlink(made.storage.published) == "versions/1"


@pytest.mark.slow
def test_the_snapshot_keeps_the_format_that_every_client_reads(realistic: World) -> None:
    def made_in(path: Path) -> object:
        with duckdb.connect(str(path.resolve()), read_only=True) as connection:
            query = "select tags['storage_version'] from duckdb_databases() where path is not null"
            return connection.execute(query).fetchall()

    assert made_in(realistic.storage.warehouse) == [("v1.3.0+",)]
    assert made_in(realistic.storage.published / "analytics.duckdb") == [("v1.0.0+",)]


def test_table_and_parquet_equal_the_warehouse_sorted_by_the_key(made: Handmade) -> None:
    made.build({"spend": f"select * from ({made.rows('spend', 2000)}) order by hash(messages)"}).publish()
    with duckdb.connect(str(made.storage.warehouse), read_only=True) as warehouse:
        expected = warehouse.execute("select * from costs.spend order by date, tenant_id").fetchall()
    assert made.published("select * from costs.spend") == expected
    assert duckdb.sql(f"select * from '{made.storage.published}/spend.parquet'").fetchall() == expected


def test_descriptions_become_comments_and_follow_the_yml_without_a_copy(made: Handmade) -> None:
    made.publish()
    before = inode(made, "spend")
    made.descriptions["spend"] = "What it's all about"
    made.build().publish(1)
    assert made.published("select comment from duckdb_tables() where table_name = 'spend'") == [
        ("What it's all about",)
    ]
    assert ("A third of the messages",) in made.published(
        "select comment from duckdb_columns() where column_name = 'rate'"
    )
    assert inode(made, "spend") == before


def test_the_record_says_rows_columns_watermarks_gate_and_run(made: Handmade) -> None:
    made.publish()
    [row] = made.published(
        "select rows, columns, loaded_through, newest_event_at::varchar, as_of::varchar, gate_status,"
        " published_at::varchar, run_id, is_stale, stale_since, merged_groups"
        " from ops.publications where mart = 'spend'"
    )
    times = ("2026-01-01 23:00:00", "2026-01-02 00:00:00")
    assert row == (5, 7, 1, *times, "passed", "2026-01-02 12:00:00", "build-1", False, None, None)
    entry = next(entry for entry in made.record()["marts"] if entry["mart"] == "spend")
    assert entry["fingerprint"] == made.published("select fingerprint from ops.publications where mart = 'spend'")[0][0]


def test_a_model_may_ask_to_be_published_along_and_to_count_its_merged_groups(made: Handmade) -> None:
    found = json.loads(made.manifest_path.read_text())
    found["nodes"]["model.p.secret"] = made.node("secret", "intermediate", "intermediate/secret.sql", {"publish": True})
    query = "select count(*) from staging.secret"
    found["nodes"]["model.p.spend"]["config"]["meta"]["merged_groups"] = query
    made.manifest_path.write_text(json.dumps(found))
    build = json.loads(made.storage.build_record.read_text())
    made.write_build(models=build["models"] | {"secret": {"status": "success", "rows_changed": True}})
    made.publish()
    assert made.published("select * from intermediate.secret") == [(42,)]
    assert made.published(
        "select merged_groups from ops.publications where mart in ('spend', 'budgets') order by 1"
    ) == [
        (1,),
        (None,),
    ]
    assert made.published("select gate_status from ops.publications where mart = 'secret'") == [("none",)]


# Nothing to publish


def test_a_quiet_tick_makes_no_version(made: Handmade) -> None:
    made.publish()
    made.build()
    assert made.publish(1).changed is False
    assert [path.name for path in made.storage.versions.iterdir()] == ["1"]


def test_a_rebuilt_warehouse_with_the_same_content_is_nothing_to_publish(made: Handmade) -> None:
    made.publish()
    made.storage.warehouse.unlink()
    made.build({mart: f"select * from ({made.rows(mart)}) order by random()" for mart in made.marts()})
    assert made.publish(1).changed is False


def test_a_moved_watermark_alone_is_published(made: Handmade) -> None:
    made.publish()
    made.build()
    with duckdb.connect(str(made.storage.warehouse)) as warehouse:
        warehouse.execute("update ops.model_watermarks set loaded_through = 2 where model = 'spend'")
    publication = made.publish(1)
    assert (publication.changed, publication.replaced) == (True, ())
    assert made.published("select loaded_through from ops.watermarks where model = 'spend'") == [(2,)]
    assert made.published("select loaded_through from ops.publications where mart = 'spend'") == [(2,)]


# What changed


def test_unchanged_parquet_is_hard_linked_and_changed_is_not(made: Handmade) -> None:
    made.publish()
    before = {mart: inode(made, mart) for mart in made.marts()}
    made.build({"spend": made.rows("spend", 6)})
    assert made.publish(1).replaced == ("spend",)
    after = {mart: inode(made, mart) for mart in made.marts()}
    assert {mart for mart in before if before[mart] != after[mart]} == {"spend"}
    assert made.published("select count(*) from costs.spend") == [(6,)]


def test_a_mart_rewritten_with_the_same_rows_is_not_copied(made: Handmade) -> None:
    made.publish()
    made.build({"spend": made.rows("spend")})
    publication = made.publish(1)
    assert (publication.changed, publication.replaced) == (False, ())


@pytest.mark.parametrize(
    ("select", "same_fingerprint"),
    [
        ("select * replace (rate + 1e-9 as rate) from ({rows})", True),
        ("select * replace (9 as loaded_through) from ({rows})", True),
        ("select * replace (cost_usd + 0.000001 as cost_usd) from ({rows})", False),
        ("select * replace (messages::integer as messages) from ({rows})", False),
        ("select * replace (nullif(label, label) as label) from ({rows})", False),
        ("select *, 1 as more from ({rows})", False),
    ],
)
def test_any_change_that_a_reader_can_see_is_published(made: Handmade, select: str, same_fingerprint: bool) -> None:
    made.publish()
    query = "select fingerprint from ops.publications where mart = 'spend'"
    before = made.published(query)
    made.build({"spend": select.format(rows=made.rows("spend"))})
    assert made.publish(1).replaced == ("spend",)
    assert (made.published(query) == before) is same_fingerprint


# Days that stay

DAYS = """
    select 't' || i % 7 as tenant_id, date '2026-01-01' + (i // 20)::int as date, 'l' || i as label, i as messages,
        (i * 1.5)::decimal(18,6) as cost_usd, i / 3.0::double as rate, 1::bigint as loaded_through
    from range(1500) as r(i)
"""
WITH_NULLS = f"select * replace (if(messages % 50 = 7, null, date) as date) from ({DAYS})"


def is_as_built(made: Handmade) -> None:
    """Table and Parquet hold the warehouse's rows, and the fingerprint is that of all of them."""
    with duckdb.connect() as connection:
        connection.execute(f"attach '{made.storage.warehouse}' as built (read_only)")
        path = (made.storage.published / "analytics.duckdb").resolve()
        connection.execute(f"attach '{path}' as published (read_only)")
        built, shown = "built.costs.spend", "published.costs.spend"
        parquet = f"read_parquet('{path.parent}/spend.parquet')"
        columns = snapshot.relation_columns(connection, built)
        rows, total = snapshot.count(connection, built), snapshot.text_sum(connection, built, columns)
        for relation in (shown, parquet):
            assert connection.execute(f"from (from {built} except all from {relation}) limit 3").fetchall() == []
            assert snapshot.count(connection, relation) == rows
    recorded = made.published("select rows, fingerprint from ops.publications where mart = 'spend'")
    assert recorded == [(rows, snapshot.fingerprint(columns, rows, total))]
    assert made.published("select date from costs.spend") == made.published("select date from costs.spend order by 1")


def noted(names: list[Any], write: Callable[..., None]) -> Callable[..., None]:
    """`write` that also notes what it writes."""

    def writes(connection: duckdb.DuckDBPyConnection, target: Any, *rest: Any) -> None:
        names.append(target)
        write(connection, target, *rest)

    return writes


@pytest.mark.parametrize(
    ("before", "after", "stay"),
    [
        pytest.param(DAYS, "{rows} union all select 't', date '2026-03-16', 'l', 1, 2, 3, 4", True, id="a-new-row"),
        pytest.param(DAYS, "select * replace (rate + (messages = 1490)::int as rate) from ({rows})", True, id="a-rate"),
        pytest.param(
            DAYS,
            "select * replace (if(messages = 1491, 'x', tenant_id) as tenant_id) from ({rows})",
            True,
            id="a-tenant",
        ),
        pytest.param(DAYS, "select * from ({rows}) where messages < 1400", True, id="days-that-go"),
        pytest.param(DAYS, "select * from ({rows}) where messages not between 1320 and 1339", True, id="a-gap"),
        pytest.param(
            DAYS, "select * replace (date + 3 * (messages = 1460)::int as date) from ({rows})", True, id="another-day"
        ),
        pytest.param(
            DAYS,
            "from ({rows}) union all from ({rows}) where messages = 1481",
            True,
            id="a-copy",
        ),
        pytest.param(
            WITH_NULLS,
            "select * replace (rate + (messages = 1490)::int as rate) from ({rows})",
            False,
            id="beside-rows-without-a-day",
        ),
        pytest.param(
            WITH_NULLS,
            "select * replace (rate + (messages = 7)::int as rate) from ({rows})",
            False,
            id="a-row-without-a-day",
        ),
        pytest.param(
            DAYS, "select * replace (rate + (messages = 0)::int as rate) from ({rows})", False, id="the-first-day"
        ),
        pytest.param(DAYS, "select * from ({rows}) where messages >= 20", False, id="the-first-day-goes"),
        pytest.param(DAYS, "select * replace (messages::integer as messages) from ({rows})", False, id="a-type"),
        pytest.param(DAYS, "select * exclude (label), label from ({rows})", False, id="the-order-of-columns"),
        pytest.param(DAYS, "select * from ({rows}) where false", False, id="nothing-is-left"),
    ],
)
def test_only_days_from_the_first_change_on_are_written(
    made: Handmade, monkeypatch: pytest.MonkeyPatch, before: str, after: str, stay: bool
) -> None:
    made.build({"spend": before}).publish()
    made.build({"spend": after.format(rows=before)})
    written: list[Any] = []
    monkeypatch.setattr(snapshot, "write_table", noted(written, snapshot.write_table))
    assert made.publish(1).replaced == ("spend",)
    assert (("costs", "spend") not in written) is stay
    is_as_built(made)


@pytest.mark.slow
def test_the_days_before_the_first_change_keep_their_place_in_the_file(made: Handmade) -> None:
    def blocks_of_first_row_group() -> set[str]:
        columns = "column_id, block_id, block_offset, additional_block_ids"
        query = f"select {columns} from pragma_storage_info('costs.spend') where row_group_id = 0 and persistent"
        return set(map(str, made.published(query)))

    # A row group is 122,880 rows.
    rows = made.rows("spend", 130_000).replace("+ i::int", "+ (i // 1000)::int")
    made.build({"spend": rows}).publish()
    before = blocks_of_first_row_group()
    made.build({"spend": f"select * replace (rate + (messages > 125000)::int as rate) from ({rows})"}).publish(1)
    is_as_built(made)
    assert len(before) >= 7
    assert blocks_of_first_row_group() == before


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_whatever_changes_the_published_mart_is_the_candidate(made: Handmade, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    rows = DAYS
    made.build({"spend": rows}).publish()
    for step in range(6):
        day = chance.choice([0, 60, 70, 73, 74, 75, 76])
        rows = chance.choice(
            [
                f"select * from ({rows}) where messages // 20 <> {day} or messages % 3 = 0",
                f"from ({rows}) union all select 'new', date '2026-01-01' + {day}, 'l', {day}, 0, 0, 0",
                f"from ({rows}) union all from ({rows}) where date = date '2026-01-01' + {day}",
                f"select * replace (if(messages % 7 = 0 and messages > {day * 20}, null, date) as date) from ({rows})",
                f"select * replace (loaded_through + (messages > {day * 20})::int as loaded_through) from ({rows})",
            ]
        )
        with duckdb.connect() as connection:
            connection.execute(f"copy ({rows}) to '{tmp_path}/rows-{step}.parquet'")
            rows = f"from '{tmp_path}/rows-{step}.parquet'"
        made.build({"spend": rows}).publish(1)
        is_as_built(made)


def test_a_mart_whose_key_is_another_is_sorted_by_it_once_its_rows_change(made: Handmade) -> None:
    made.build({"spend": DAYS}).publish()
    rows = f"{DAYS} union all select 't', date '2026-03-16', 'l', 1, 2, 3, 4"
    made.build({"spend": rows})
    found = json.loads(made.manifest_path.read_text())
    found["nodes"]["model.p.spend"]["config"]["meta"]["key"] = ["date", "messages"]
    made.manifest_path.write_text(json.dumps(found))
    made.publish(1)
    is_as_built(made)
    assert made.published("select messages from costs.spend") == made.published(
        "select messages from costs.spend order by date, messages"
    )


@pytest.mark.slow
def test_days_that_a_damaged_disk_has_lost_are_written_again(made: Handmade) -> None:
    rows = made.rows("spend", 130_000).replace("+ i::int", "+ (i // 1000)::int")
    made.build({"spend": rows}).publish()
    path = (made.storage.published / "analytics.duckdb").resolve()
    block = made.published(
        "select block_id from pragma_storage_info('costs.spend') where row_group_id = 0 and count > 2048"
        " and column_name = 'label' and segment_type <> 'VALIDITY'"
    )[0][0]
    with path.open("r+b") as file:
        file.seek(3 * 4096 + block * 262144 + 5000)
        file.write(b"damage")
    made.build({"spend": f"{rows} union all select 't', date '2026-05-16', 'l', 1, 2, 3, 4"})
    made.publish(1)
    is_as_built(made)


@pytest.mark.parametrize("checkpointed", [True, False])
def test_a_published_file_that_somebody_has_changed_is_not_built_upon(made: Handmade, checkpointed: bool) -> None:
    rows = f"select * replace (if(messages = 3, 'by hand', label) as label) from ({DAYS})"
    made.build({"spend": DAYS}).publish()
    with duckdb.connect(str((made.storage.published / "analytics.duckdb").resolve())) as published:
        if not checkpointed:
            published.execute("pragma disable_checkpoint_on_shutdown")
        published.execute("update costs.spend set label = 'by hand' where messages in (3, 1490)")
    # The candidate says the same of the first day, and something new of the last.
    made.build({"spend": f"{rows} union all select 't', date '2026-03-16', 'l', 1, 2, 3, 4"}).publish(1)
    is_as_built(made)


def test_a_stale_mart_of_an_older_format_is_written_when_its_family_passes(made: Handmade) -> None:
    made.build({"spend": DAYS}).publish()
    path = (made.storage.published / "manifest.json").resolve()
    record = made.record() | {"format": 2}
    for entry in record["marts"]:
        for name in ("format", "key", "text_sum"):
            del entry["state"][name]
    path.write_text(json.dumps(record))
    made.build()
    made.fail_gate("costs")
    made.publish(1)
    assert "spend" in stale_marts(made)
    made.build({"spend": f"{DAYS} union all select 't', date '2026-03-16', 'l', 1, 2, 3, 4"})
    assert made.publish(1).failed == []
    is_as_built(made)


@pytest.mark.slow
@pytest.mark.parametrize(("before", "after"), [("[]::int[]", "null::int[]"), ("interval 1 month", "interval 30 days")])
def test_values_that_hash_alike_are_told_apart(made: Handmade, before: str, after: str) -> None:
    made.build({"spend": f"select *, {before} as more from ({DAYS})"}).publish()
    made.build({"spend": f"select *, if(messages = 3, {after}, {before}) as more from ({DAYS})"})
    assert made.publish(1).replaced == ("spend",)
    is_as_built(made)


def test_a_change_that_a_failed_gate_held_back_is_published_later_though_that_build_changed_nothing(
    made: Handmade,
) -> None:
    made.publish()
    made.build({"spend": made.rows("spend", 9)})
    made.fail_gate("costs")
    made.publish(1)
    made.build()
    assert made.publish(1).replaced == ("spend",)
    assert made.published("select count(*) from costs.spend") == [(9,)]


def test_a_mart_and_a_family_that_are_gone_from_the_project_are_gone_from_the_next_version(made: Handmade) -> None:
    made.publish()
    found = json.loads(made.manifest_path.read_text())
    del found["nodes"]["model.p.budgets"], found["nodes"]["model.p.efficiency"]
    made.manifest_path.write_text(json.dumps(found))
    made.publish(1)
    tables = {name for (name,) in made.published("select table_name from duckdb_tables()")}
    assert tables == {"spend", "deployments", "targets", "pipeline_runs", "publications", "watermarks"}
    assert made.published("select count(*) from duckdb_schemas() where schema_name = 'swarm'") == [(0,)]
    assert not (made.storage.published / "budgets.parquet").exists()


class Moved(Handmade):
    """The mart budgets is in another family."""

    MARTS = Handmade.MARTS | {"costs": ["spend"], "swarm": ["efficiency", "budgets"]}


def test_a_mart_that_moved_out_of_a_stale_family_is_published_once_where_it_is_now(made: Handmade) -> None:
    made.publish()
    moved = Moved(made.root, made.clock, made.builds)
    moved.build({"spend": made.rows("spend", 9), "budgets": made.rows("budgets", 9)}).fail_gate("costs")
    moved.publish(1)
    assert stale_marts(made) == {"spend", "deployments", "targets"}
    assert made.record()["families"]["costs"]["marts"] == ["spend"]
    assert made.published("select family, rows from ops.publications where mart = 'budgets'") == [("swarm", 9)]
    assert made.published("select schema_name from duckdb_tables() where table_name = 'budgets'") == [("swarm",)]
    for folder, rows in ((made.storage.published, 9), (made.storage.versions / "1", 5)):
        assert duckdb.sql(f"select count(*) from '{folder}/budgets.parquet'").fetchall() == [(rows,)]


# Staleness


def test_a_failed_family_and_all_that_read_it_stay_stale_while_the_others_move_on(made: Handmade) -> None:
    made.publish()
    made.build({mart: made.rows(mart, 8) for mart in made.marts()})
    made.fail_gate("costs")
    publication = made.publish(1)
    assert statuses(made) == {"costs": "stale", "delivery": "stale", "goals_of": "stale", "swarm": "published"}
    assert stale_marts(made) == {"spend", "budgets", "deployments", "targets"}
    assert made.published("select count(*) from goals_of.targets") == [(5,)]
    assert made.published("select count(*) from swarm.efficiency") == [(8,)]
    why = publication.families["goals_of"].why or ""
    assert why == "reads costs, which failed: the gate failed (2 critical expectations failed)"


def test_a_mart_that_was_built_without_models_above_it_is_not_published(made: Handmade) -> None:
    made.publish()
    made.build({"efficiency": made.rows("efficiency", 8)})
    with duckdb.connect(str(made.storage.warehouse)) as warehouse:
        warehouse.execute("update ops.model_watermarks set fingerprint = 'held back' where model = 'efficiency'")
    publication = made.publish(1)
    assert statuses(made) == {"costs": "published", "delivery": "published", "goals_of": "published", "swarm": "stale"}
    assert "efficiency was built without models above it" in (publication.families["swarm"].why or "")
    assert made.published("select count(*) from swarm.efficiency") == [(5,)]


def test_stale_since_is_when_it_began_and_ends_with_the_next_good_build(made: Handmade) -> None:
    made.publish()
    made.build()
    made.fail_gate("costs")
    made.publish(1)
    made.build(spend="error")
    made.publish(1)
    [(since, why)] = made.published("select stale_since::varchar, stale_why from ops.publications where mart = 'spend'")
    assert (since, why) == ("2026-01-02 13:00:00", "spend: error (Runtime Error)")
    made.build()
    made.publish(1)
    assert stale_marts(made) == set()
    assert made.published(
        "select count(*) from ops.publications where stale_since is not null or stale_why is not null"
    ) == [(0,)]


def test_the_same_failure_again_makes_no_version(made: Handmade) -> None:
    made.publish()
    for expected in (True, False, False):
        made.build()
        made.fail_gate("swarm")
        assert made.publish(1).changed is expected


def test_a_family_never_published_that_fails_is_not_there_and_the_manifest_says_why(made: Handmade) -> None:
    made.fail_gate("swarm")
    assert [state.name for state in made.publish().failed] == ["swarm"]
    family = made.record()["families"]["swarm"]
    assert (family["status"], family["why"]) == ("unpublished", "the gate failed (2 critical expectations failed)")
    assert made.published("select count(*) from duckdb_tables() where schema_name = 'swarm'") == [(0,)]


def test_nothing_is_published_when_every_family_fails_at_first(made: Handmade) -> None:
    shutil.rmtree(made.storage.gates)
    publication = made.publish()
    assert (publication.version, publication.changed, len(publication.failed)) == (None, False, 4)
    assert not made.storage.published.is_symlink()


@pytest.mark.parametrize("outcome", ["error", "skipped", "unheard of"])
def test_a_model_that_did_not_build_fails_its_family(made: Handmade, outcome: str) -> None:
    made.build(budgets=outcome)
    assert [state.name for state in made.publish().failed] == ["costs", "delivery", "goals_of"]


def test_a_mart_that_the_build_did_not_look_at_fails_its_family(made: Handmade) -> None:
    build = json.loads(made.storage.build_record.read_text())
    del build["models"]["efficiency"]
    made.write_build(models=build["models"])
    assert made.publish().families["swarm"].why == "efficiency was not built"


def test_a_blocking_test_fails_its_family(made: Handmade) -> None:
    made.write_build(failed_tests=[{"test": "unique_efficiency", "models": ["efficiency"], "message": "Got 2 results"}])
    assert made.publish().families["swarm"].why == "test unique_efficiency failed (Got 2 results)"


def test_a_family_that_the_build_calls_failed_is_failed(made: Handmade) -> None:
    made.write_build(families={"swarm": {"ok": False, "why": "by hand"}})
    assert [state.name for state in made.publish().failed] == ["swarm"]


def test_a_mart_missing_from_the_warehouse_fails_its_family(made: Handmade) -> None:
    with duckdb.connect(str(made.storage.warehouse)) as warehouse:
        warehouse.execute("drop table swarm.efficiency")
    assert made.publish().families["swarm"].why == "efficiency is not in the warehouse"


# Marts whose rows tell which family they come from


def kpis(made: Handmade, value: int) -> None:
    """The mart `targets` becomes one of KPIs: a row of costs, one of swarm, one of nobody."""
    rows = "(values ('k1', 'costs'), ('k2', 'swarm'), ('k3', null))"
    select = f"select column0 as kpi, column1 as family, {value} as value, false as is_stale from {rows}"
    made.build({mart: made.rows(mart, value) for mart in made.marts()} | {"targets": select.replace("column", "col")})
    found = json.loads(made.manifest_path.read_text())
    node = found["nodes"]["model.p.targets"]
    node["config"]["meta"] = {"key": ["kpi"], "stale_rows_by": "family"}
    node["depends_on"]["nodes"] = ["model.p.spend", "model.p.efficiency"]
    made.manifest_path.write_text(json.dumps(found))


KPIS = "select kpi, value, is_stale from goals_of.targets order by kpi"


def test_rows_of_a_stale_family_stay_as_published_and_marked_while_the_others_move_on(made: Handmade) -> None:
    kpis(made, 1)
    made.publish()
    assert made.published(KPIS) == [("k1", 1, False), ("k2", 1, False), ("k3", 1, False)]
    kpis(made, 2)
    made.fail_gate("costs")
    assert {state.name for state in made.publish(1).failed} == {"costs", "delivery"}
    assert made.published(KPIS) == [("k1", 1, True), ("k2", 2, False), ("k3", 2, False)]
    assert duckdb.sql(f"select sum(value) from '{made.storage.published}/targets.parquet'").fetchall() == [(5,)]
    assert made.publish(1).changed is False
    kpis(made, 3)
    made.fail_gate("costs")
    made.publish(1)
    assert made.published(KPIS) == [("k1", 1, True), ("k2", 3, False), ("k3", 3, False)]
    kpis(made, 3)
    assert made.publish(1).failed == []
    assert made.published(KPIS) == [("k1", 3, False), ("k2", 3, False), ("k3", 3, False)]


def test_rows_of_a_family_never_published_are_left_out(made: Handmade) -> None:
    kpis(made, 1)
    made.fail_gate("costs")
    made.publish()
    assert made.published(KPIS) == [("k2", 1, False), ("k3", 1, False)]


def test_its_own_failed_gate_holds_such_a_family_back_like_any_other(made: Handmade) -> None:
    kpis(made, 1)
    made.publish()
    kpis(made, 2)
    made.fail_gate("goals_of")
    assert [state.name for state in made.publish(1).failed] == ["goals_of"]
    assert made.published(KPIS)[0] == ("k1", 1, False)


# Gates fail closed


@pytest.mark.parametrize(
    "changes",
    [
        {"build_id": "build-0"},
        {"build_id": None},
        {"family": "delivery"},
        {"evaluated": 2},
        {"evaluated": 4},
        {"evaluated": None},
        {"expected": 0, "evaluated": 0},
        {"expected": "3", "evaluated": "3"},
        {"status": "failed"},
        {"status": "running"},
        {"status": None},
        {"results": [{"severity": "critical", "success": False}]},
        {"results": [{"severity": "critical", "success": None}]},
    ],
)
def test_a_gate_that_is_not_a_complete_pass_of_this_build_fails_the_family(
    made: Handmade, changes: dict[str, Any]
) -> None:
    made.gate("swarm", **changes)
    assert [state.name for state in made.publish().failed] == ["swarm"]


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"family": "swarm"}', "\x00"])
def test_a_gate_file_that_cannot_be_read_fails_the_family(made: Handmade, text: str) -> None:
    (made.storage.gates / "swarm.json").write_text(text)
    assert [state.name for state in made.publish().failed] == ["swarm"]


def test_a_missing_gate_fails_the_family(made: Handmade) -> None:
    (made.storage.gates / "swarm.json").unlink()
    assert made.publish().families["swarm"].why == "the gate did not run: agent-analytics gate"


def test_an_accepted_gate_publishes_and_says_so_for_that_build_only(made: Handmade) -> None:
    made.publish()
    made.build({"spend": made.rows("spend", 6)})
    accepted = {"status": "accepted", "results": [{"severity": "critical", "success": False}]}
    made.gate("costs", **accepted)
    assert made.publish(1).failed == []
    assert made.published("select gate_status from ops.publications where mart = 'spend'") == [("accepted",)]
    build = made.build_id
    made.build({"spend": made.rows("spend", 7)})
    made.gate("costs", **accepted, build_id=build)
    assert {state.name for state in made.publish(1).failed} == {"costs", "delivery", "goals_of"}


def test_a_warning_that_failed_does_not_block(made: Handmade) -> None:
    made.gate("swarm", results=[{"severity": "warning", "success": False}])
    assert made.publish().failed == []


# Builds that can't be published


@pytest.mark.parametrize("status", ["running", None, "?"])
def test_an_unfinished_build_changes_nothing(made: Handmade, status: str | None) -> None:
    made.publish()
    made.build({"spend": made.rows("spend", 6)})
    made.write_build(status=status)
    with pytest.raises(AnalyticsError, match=r"the last build did not finish.*run agent-analytics run"):
        made.publish(1)
    assert made.record()["version"] == 1


def test_no_build_and_no_warehouse_and_no_manifest_are_clear_errors(made: Handmade) -> None:
    made.manifest_path.rename(made.root / "elsewhere")
    with pytest.raises(AnalyticsError, match="absent: run `dbt parse`"):
        made.publish()
    (made.root / "elsewhere").rename(made.manifest_path)
    made.storage.warehouse.unlink()
    with pytest.raises(AnalyticsError, match=r"warehouse\.duckdb is absent"):
        made.publish()
    made.storage.build_record.unlink()
    with pytest.raises(AnalyticsError, match="did not finish"):
        made.publish()


def test_a_warehouse_that_someone_else_wrote_to_after_the_build_is_refused(made: Handmade) -> None:
    with duckdb.connect(str(made.storage.warehouse)) as warehouse:
        warehouse.execute("update ops.run set invocation_id = 'by hand'")
    with pytest.raises(AnalyticsError, match="another dbt run wrote to the warehouse"):
        made.publish()


def test_a_warehouse_open_for_writing_is_a_clear_error(made: Handmade) -> None:
    code = f"import duckdb; c = duckdb.connect({str(made.storage.warehouse)!r}); print(1, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout and writer.stdout.readline()
        with pytest.raises(AnalyticsError, match="can't be opened"):
            made.publish()
        writer.communicate("\n")


# Which family reads which


def test_reading_is_by_ref_of_anything_but_staging_through_shared_models_and_transitive(made: Handmade) -> None:
    project = manifest.read(made.manifest_path)
    direct = {name: set(family.reads) for name, family in project.families.items()}
    assert direct == {"costs": set(), "delivery": {"costs"}, "goals_of": {"delivery"}, "swarm": set()}
    assert project.reads("goals_of") == {"delivery", "costs"}


def test_an_intermediate_model_in_a_familys_folder_counts_as_that_familys(made: Handmade) -> None:
    found = json.loads(made.manifest_path.read_text())
    nodes = found["nodes"]
    nodes["model.p.int_swarm"] = made.node("int_swarm", "intermediate", "intermediate/swarm/int_swarm.sql")
    nodes["model.p.budgets"]["depends_on"]["nodes"] = ["model.p.int_swarm", "model.p.stg_events"]
    nodes["model.p.efficiency"]["depends_on"]["nodes"] = ["model.p.stg_events"]
    made.manifest_path.write_text(json.dumps(found))
    project = manifest.read(made.manifest_path)
    assert project.families["costs"].reads == {"swarm"}
    assert project.families["swarm"].reads == frozenset()
    assert [model.name for model in project.families["swarm"].models] == ["efficiency"]


# Fingerprints


COLUMNS = [snapshot.Column("a", "VARCHAR"), snapshot.Column("b", "VARCHAR"), snapshot.Column("x", "DOUBLE")]


def fingerprint(sql: str, columns: list[snapshot.Column] | None = None) -> str:
    with duckdb.connect() as connection:
        connection.execute(f"create table t as {sql}")
        columns = columns or COLUMNS
        return snapshot.fingerprint(
            columns, snapshot.count(connection, "t"), snapshot.text_sum(connection, "t", columns)
        )


def test_fingerprints_know_neither_the_order_of_rows_nor_doubles_nor_loaded_through() -> None:
    rows = (
        "select 'k' || i as a, (i % 7)::varchar as b, {x}::double as x, {l}::bigint as loaded_through"
        " from range(5000) r(i)"
    )
    columns = [*COLUMNS, snapshot.Column("loaded_through", "BIGINT")]
    first = fingerprint(rows.format(x="i / 3", l="1"), columns)
    assert first == fingerprint(rows.format(x="i / 3 + 1e-12", l="i") + " order by random()", columns)
    assert first == fingerprint(rows.format(x="0", l="0"), columns[::-1])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("('a', 'b')", "('b', 'a')"),
        ("('a|b', 'c')", "('a', 'b|c')"),
        ("('1:a', '')", "('', '1:a')"),
        ("('a', null)", "('a', '')"),
        ("(null, 'a')", "('a', null)"),
        ("('a', 'b')", "('a', 'b'), ('a', 'b')"),
        ("('a', 'b'), ('a', 'b')", "('c', 'd'), ('c', 'd')"),
        ("('a', 'b'), ('c', 'd')", "('a', 'd'), ('c', 'b')"),
    ],
)
def test_fingerprints_tell_different_content_apart(one: str, other: str) -> None:
    sql = "select col0::varchar as a, col1::varchar as b, 1.0::double as x from (values {})"
    assert fingerprint(sql.format(one)) != fingerprint(sql.format(other))


def test_a_fingerprint_is_the_same_in_every_version_of_duckdb() -> None:
    """A literal: should this ever change, every fingerprint ever published stops being comparable."""
    sql = "select 'é|' as a, null::varchar as b, date '2026-01-02' as d, 1.5::decimal(18,6) as m,"
    sql += " timestamp '2026-01-02 03:04:05.6' as t"
    types = {"a": "VARCHAR", "b": "VARCHAR", "d": "DATE", "m": "DECIMAL(18,6)", "t": "TIMESTAMP"}
    columns = [snapshot.Column(name, kind) for name, kind in types.items()]
    assert fingerprint(sql, columns) == "f6924b22daf707e6663ef7453006bf38"


def test_an_empty_mart_has_a_fingerprint_and_is_published(made: Handmade) -> None:
    made.build({"efficiency": made.rows("efficiency", 0)})
    assert made.publish().failed == []
    assert made.published("select rows, length(fingerprint) from ops.publications where mart = 'efficiency'") == [
        (0, 32)
    ]


# Compaction


def test_a_snapshot_of_mostly_free_space_is_rewritten_with_its_comments(tmp_path: Path) -> None:
    path = tmp_path / "x.duckdb"
    connection = snapshot.connect(tmp_path / "scratch")
    snapshot.attach_snapshot(connection, path)
    connection.execute("create table snapshot.big as select hash(i)::varchar as h from range(1000000) r(i)")
    connection.execute("create schema snapshot.f; create table snapshot.f.small as select 1 as a")
    snapshot.comment(connection, ("f", "small"), "told", {"a": "column"})
    snapshot.drop(connection, [("main", "big")])
    snapshot.write_rows(connection, ("f", "last"), {"a": "INTEGER"}, [[1]])
    snapshot.detach_snapshot(connection, path)
    grown = path.stat().st_size
    assert snapshot.compact(connection, path, threshold_bytes=grown + 1) is False
    assert grown > 4_000_000
    assert snapshot.compact(connection, path, threshold_bytes=0) is True
    assert path.stat().st_size < 4_000_000
    with duckdb.connect(str(path), read_only=True) as reader:
        assert reader.execute("select comment from duckdb_tables() where table_name = 'small'").fetchall() == [
            ("told",)
        ]
        assert reader.execute("select a from f.small").fetchall() == [(1,)]
    assert sorted(tmp_path.glob("x.duckdb*")) == [path]


# Killed


@pytest.mark.slow
def test_killed_at_any_point_what_is_published_stays_whole_and_the_next_run_ends_right(made: Handmade) -> None:
    made.publish()
    made.build({"spend": made.rows("spend", 6), "efficiency": made.rows("efficiency", 6)})
    made.fail_gate("delivery")
    (made.storage.versions / "0").mkdir()
    shutil.copytree(made.storage.versions / "1", made.storage.versions / "0", dirs_exist_ok=True)
    made.clock += timedelta(days=3)
    backup = made.root.with_name("backup")
    shutil.copytree(made.root, backup, symlinks=True)
    outcomes = set()
    for kill_at in range(1, 40):
        shutil.rmtree(made.root)
        shutil.copytree(backup, made.root, symlinks=True)
        killed = made.publish_in_a_process(kill_at, made.root.with_name(f"{kill_at}.log"))
        assert killed in (0, -9)
        seen = made.published("select count(*) from costs.spend")[0][0], made.record()["version"]
        assert seen in [(5, 1), (6, 2)]
        assert {path.name for path in made.storage.published.iterdir()} >= {f"{mart}.parquet" for mart in made.marts()}
        outcomes.add(seen)
        made.publish()
        assert made.published("select count(*) from costs.spend") == [(6,)]
        assert stale_marts(made) == {"deployments", "targets"}
        assert not list(made.storage.versions.glob("*.part")) and not list(made.root.glob(".published*"))
        if killed == 0:
            break
    assert kill_at > 5 and outcomes == {(5, 1), (6, 2)}


# Readers


READER = """
import duckdb, sys
connection = duckdb.connect(sys.argv[1], read_only=True)
print(connection.execute("select count(*) from costs.spend").fetchone()[0], flush=True)
sys.stdin.readline()
print(connection.execute("select count(*), sum(messages) from costs.spend").fetchone()[0], flush=True)
print(connection.execute("select count(*) from swarm.efficiency").fetchone()[0], flush=True)
"""


@pytest.mark.slow
def test_a_reader_of_an_old_version_goes_on_reading_it_while_new_ones_come_and_it_is_pruned(made: Handmade) -> None:
    made.build({"spend": made.rows("spend", 200_000), "efficiency": made.rows("efficiency", 200_000)}).publish()
    path = str((made.storage.published / "analytics.duckdb").resolve())
    with subprocess.Popen(
        [sys.executable, "-c", READER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as reader:
        assert reader.stdout and reader.stdout.readline() == "200000\n"
        for rows in (7, 8, 9):
            made.build({"spend": made.rows("spend", rows)}).publish(20)
        assert not Path(path).exists()
        assert made.published("select count(*) from costs.spend") == [(9,)]
        answer, _ = reader.communicate("\n")
    assert answer.split() == ["200000", "200000"]


# Pruning


def test_versions_stay_a_day_after_they_stopped_being_current_and_the_current_one_for_ever(made: Handmade) -> None:
    made.publish()
    made.build({"spend": made.rows("spend", 6)}).publish(100)
    assert versions.prune(made.storage, made.clock + timedelta(hours=23, minutes=59)) == []
    assert versions.prune(made.storage, made.clock + timedelta(hours=25)) == [1]
    assert versions.prune(made.storage, made.clock + timedelta(days=1000)) == []
    assert made.record()["version"] == 2


def test_a_version_that_never_became_current_counts_from_when_it_was_made(made: Handmade) -> None:
    made.publish()
    orphan = made.storage.versions / "2"
    shutil.copytree(made.storage.versions / "1", orphan)
    record = made.record() | {"version": 2, "previous": 1, "published_at": "2026-01-02T13:00:00Z"}
    (orphan / "manifest.json").write_text(json.dumps(record))
    made.build({"spend": made.rows("spend", 6)}).publish(10)
    assert made.record()["version"] == 3
    assert versions.prune(made.storage, NOON + timedelta(hours=27)) == [2]
    assert versions.prune(made.storage, NOON + timedelta(hours=33)) == []
    assert versions.prune(made.storage, NOON + timedelta(hours=35)) == [1]


def test_nothing_is_pruned_while_the_link_is_broken(made: Handmade) -> None:
    made.publish()
    made.storage.published.unlink()
    assert versions.prune(made.storage, made.clock + timedelta(days=9)) == []
    assert made.publish(1).version == 2


def test_a_version_whose_record_is_damaged_is_followed_by_one_that_is_made_from_the_version_before(
    made: Handmade,
) -> None:
    made.publish()
    made.build({"spend": made.rows("spend", 6)}).publish()
    record = made.storage.published / "manifest.json"
    record.write_text(record.read_text()[:500])
    publication = made.publish()
    assert (publication.version, publication.replaced) == (3, ("spend",))
    assert made.record()["previous"] == 1
    assert made.published("select count(*) from costs.spend") == [(6,)]
    # Without any version that can be read, all is written anew.
    for number in (1, 2, 3):
        (made.storage.versions / str(number) / "manifest.json").write_text("{")
    assert made.publish().version == 4
    assert made.published("select count(*) from costs.spend") == [(6,)]


def zeros(folder: Path) -> None:
    path = folder / "analytics.duckdb"
    path.write_bytes(bytes(path.stat().st_size))


def cut_off(folder: Path) -> None:
    """Its last bytes are rows: DuckDB opens it all the same."""
    path = folder / "analytics.duckdb"
    os.truncate(path, path.stat().st_size - 100)


def cut_off_early(folder: Path) -> None:
    os.truncate(folder / "analytics.duckdb", 5000)


def without_snapshot(folder: Path) -> None:
    (folder / "analytics.duckdb").unlink(missing_ok=True)


def without_a_mart(folder: Path) -> None:
    (folder / "efficiency.parquet").unlink(missing_ok=True)


DAMAGES = [zeros, cut_off, cut_off_early, without_snapshot, without_a_mart, shutil.rmtree]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_version_is_followed_by_one_that_is_made_from_the_version_before(
    made: Handmade, damage: Callable[[Path], None]
) -> None:
    made.publish()
    made.build({"efficiency": made.rows("efficiency", 6), "spend": made.rows("spend", 6)}).fail_gate("costs")
    made.publish(1)
    damage(made.storage.versions / "2")
    # There is nothing new, and readers are helped.
    assert made.publish(1).changed
    assert made.record()["previous"] == 1
    assert made.published("select count(*) from swarm.efficiency") == [(6,)]
    assert duckdb.sql(f"select count(*) from '{made.storage.published}/efficiency.parquet'").fetchall() == [(6,)]
    assert made.published("select count(*) from costs.spend") == [(5,)]
    assert stale_marts(made) == {"spend", "budgets", "deployments", "targets"}
    assert made.publish(1).changed is False
    # There is something new.
    damage(made.storage.published.resolve())
    made.build({"efficiency": made.rows("efficiency", 7)}).publish(1)
    assert made.published("select count(*) from swarm.efficiency") == [(7,)]
    # There is no other version.
    for version in made.storage.versions.iterdir():
        damage(version)
    assert len(made.publish(1).replaced) == len(made.marts())
    assert made.published("select count(*) from costs.spend") == [(6,)]
    assert made.publish(1).changed is False


def test_a_damaged_version_stays_for_a_day_after_it_was_replaced(made: Handmade) -> None:
    made.publish()
    made.build({"spend": made.rows("spend", 6)}).publish(1)
    cut_off(made.storage.versions / "2")
    # Its Parquet files can be read two days later, and until a day after that.
    made.publish(48)
    assert made.record()["previous"] == 1
    assert "2" in {path.name for path in made.storage.versions.iterdir()}
    made.build({"spend": made.rows("spend", 7)}).publish(25)
    assert {path.name for path in made.storage.versions.iterdir()} == {"3", "4"}


def test_what_may_pass_is_no_damage(made: Handmade, monkeypatch: pytest.MonkeyPatch) -> None:
    made.publish()
    made.build({"spend": made.rows("spend", 6)})

    def attach(*_: Any) -> None:
        raise duckdb.IOException("IO Error: Cannot open file: Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(snapshot, "attach_previous", attach)
        with pytest.raises(AnalyticsError, match=r"analytics.duckdb can't be opened: IO Error: .*Too many open files"):
            made.publish(1)
    made.publish(1)
    assert (made.record()["version"], made.record()["previous"]) == (2, 1)


def test_it_is_noted_which_build_was_published_last_be_there_anything_new_or_not(made: Handmade) -> None:
    def is_noted() -> bool:
        return last_published(made.storage) == json.loads(made.storage.build_record.read_text())["build_id"]

    assert not is_noted()
    made.publish()
    assert is_noted()
    made.build()
    assert not is_noted()
    assert made.publish(1).changed is False
    assert is_noted()


@pytest.mark.slow
@pytest.mark.parametrize("damage", [zeros, without_snapshot, shutil.rmtree])
def test_after_a_damaged_version_the_history_of_goals_goes_on(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    made = WithGoals(tmp_path)
    made.refresh(5).publish()
    made.refresh(6).publish(1)
    damage(made.storage.published.resolve())
    made.publish(1)
    assert [line["values"]["earned"] for line in made.history()] == ([5, 6] if damage is shutil.rmtree else [5, 6, 6])


def test_a_snapshot_that_somebody_holds_is_not_damaged(made: Handmade) -> None:
    made.publish()
    made.build({"spend": made.rows("spend", 6)}).publish(1)
    path = (made.storage.published / "analytics.duckdb").resolve()
    code = f"import duckdb; c = duckdb.connect({str(path)!r}); print(1, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout and holder.stdout.readline()
        assert made.publish(1).changed is False
        made.build({"spend": made.rows("spend", 7)}).publish(1)
        holder.communicate("\n")
    assert made.record()["previous"] == 2
    assert made.published("select count(*) from costs.spend") == [(7,)]


def test_of_a_copy_that_went_wrong_nobody_is_told_to_remove_the_warehouse(
    made: Handmade, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.publish()
    made.build({"spend": made.rows("spend", 6)})
    monkeypatch.setattr(snapshot, "copy_file", lambda source, target: target.write_bytes(bytes(10_000)))
    with pytest.raises(AnalyticsError, match=r"not a valid DuckDB database file.*look after the disk") as refused:
        made.publish(1)
    assert "warehouse" not in str(refused.value)
    monkeypatch.undo()
    assert made.publish(1).version == 2


def test_something_else_in_the_links_place_is_a_clear_error(made: Handmade) -> None:
    made.storage.published.mkdir()
    with pytest.raises(AnalyticsError, match="is not a symlink"):
        made.publish()


# One writer


HOLDER = """
import sys, time
from pathlib import Path
from agent_analytics.locking import writer_lock
from agent_analytics.storage import Storage
with writer_lock(Storage(Path(sys.argv[1])), "agent-analytics run"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_writer_is_told_who_holds_the_lock_and_a_killed_holder_lets_go(made: Handmade) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(made.root)], stdout=subprocess.PIPE, text=True, cwd=PROJECT_ROOT
    ) as first:
        assert first.stdout and first.stdout.readline() == "held\n"
        with pytest.raises(AnalyticsError) as refused:
            made.publish()
        assert f"`agent-analytics run` (pid {first.pid}, since 20" in str(refused.value)
        assert "\n" not in str(refused.value)
        assert (holder(made.storage) or {})["pid"] == first.pid
        first.kill()
        first.wait()
    assert holder(made.storage) is None
    assert made.publish().changed


def test_the_lock_may_be_taken_again_by_its_holder(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    with writer_lock(storage, "run") as outer:
        with writer_lock(storage, "publish") as inner:
            assert inner == outer
        assert (holder(storage) or {})["command"] == "run"
    assert holder(storage) is None


# From nothing


def test_a_fresh_version_takes_nothing_over_and_stays_alone(made: Handmade) -> None:
    made.publish()
    made.build().fail_gate("swarm")
    publication = publish(made.storage, made.manifest_path, NOON, fresh=True)
    assert (publication.version, publication.pruned) == (2, (1,))
    assert [path.name for path in made.storage.versions.iterdir()] == ["2"]
    assert (made.record()["previous"], statuses(made)["swarm"]) == (None, "unpublished")
    assert not stale_marts(made)


def test_when_nothing_passes_a_fresh_publication_leaves_nothing(made: Handmade) -> None:
    made.publish()
    for family in made.MARTS:
        made.fail_gate(family)
    publish(made.storage, made.manifest_path, NOON, fresh=True)
    assert not made.storage.published.exists() or set(statuses(made).values()) == {"unpublished"}
    assert not [mart for mart in made.marts() if list(made.storage.versions.rglob(f"{mart}.parquet"))]
