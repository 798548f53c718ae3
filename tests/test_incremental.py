"""Promises 5 and 6: incremental equals full, whatever the order; and a tick writes only what it touches."""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import random
import shutil
import subprocess
import sys
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import ticks
from events import Generator
from harness import Event, Row, World, differences, incremental_marts
from ticks import Touched

from agent_analytics import manifest, transform
from agent_analytics.dbt_worker import worker
from agent_analytics.errors import AnalyticsError
from agent_analytics.storage import PROJECT_ROOT

pytestmark = pytest.mark.slow


def test_incremental_equals_full_for_random_splits_orders_lateness_and_copies(unkind: World, tmp_path: Path) -> None:
    """All loads one by one, and all at once from the lake alone: the same marts, published as the same."""
    incremental = unkind.marts()
    assert all(incremental.values()), [name for name, rows in incremental.items() if not rows]
    rebuilt = unkind.copy(tmp_path / "storage")
    rebuilt.storage.warehouse.unlink()
    assert rebuilt.run().problems == []
    for mart, rows in rebuilt.marts().items():
        assert not differences(rows, incremental[mart])[:3], mart
    assert rebuilt.fingerprints() == unkind.fingerprints()


def test_models_built_without_those_above_them_come_right_with_the_next_run(unkind: World, tmp_path: Path) -> None:
    """Whichever of them somebody selects: after new events, and after an event by which the data clock moves on."""
    world = unkind.copy(tmp_path / "storage")
    generator, chance = Generator(22), random.Random(22)
    names = sorted(node["name"] for node in manifest.model_nodes().values())
    later = world.as_of + timedelta(hours=31)
    # Of a source that usage_cost_daily doesn't read.
    clock = generator.event("crm", "marketing.spent", later, channel="ads", amount_usd=1)
    any_of_them = chance.sample(names, len(names) // 3)
    for events, selected in ((generator.events(1200), any_of_them), ([clock], ["usage_cost_daily"])):
        world.land(events)
        world.ingest()
        world.build(select=" ".join(selected))
        world.build()
    incremental = world.marts()
    world.build(full_refresh=True)
    wrong = {mart: differences(rows, incremental[mart])[:1] for mart, rows in world.marts().items()}
    assert not {mart: found for mart, found in wrong.items() if found}


def test_a_tick_writes_no_row_outside_of_the_partitions_that_it_touches(unkind: World, tmp_path: Path) -> None:
    generator = Generator(3)
    world = unkind.copy(tmp_path / "storage")
    marts = incremental_marts()
    for mart in marts:
        world.execute(f"update {mart['schema']}.{mart['name']} set loaded_through = -1")
    events: list[Event] = []
    touched: Touched = {}
    families = [importlib.import_module(f"ticks.{module.name}") for module in pkgutil.iter_modules(ticks.__path__)]
    for family in families:
        found, partitions = family.tick(generator)
        events += found
        for name, of_mart in partitions.items():
            touched.setdefault(name, set()).update(of_mart)
    for family in families:
        for name, of_mart in getattr(family, "touched", lambda _: {})(events).items():
            touched.setdefault(name, set()).update(of_mart)
    world.tick(events)
    assert set(touched) == {mart["name"] for mart in marts}
    for mart in marts:
        name, partition = mart["name"], mart["config"]["meta"]["partition"]
        rows = world.query(f"from {mart['schema']}.{name}")
        written = {tuple(row[column] for column in partition) for row in rows if row["loaded_through"] != -1}
        assert written, name
        assert written <= touched[name], name
        assert {tuple(row[column] for column in partition) for row in rows} - written, (
            f"{name}: nothing was left unwritten"
        )


@pytest.fixture(scope="module")
def one_load(in_use: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    world = in_use.copy(tmp_path_factory.mktemp("states") / "storage")
    world.tick(TestStates.EVENTS)
    return world


@pytest.fixture
def built(one_load: World, tmp_path: Path) -> World:
    return one_load.copy(tmp_path / "storage")


class TestStates:
    """Each state of docs/incremental.md."""

    MART = "provider_costs.execution_rollup_daily"

    EVENTS = Generator(4).events(300, "provider")

    def rows(self, world: World) -> list[Row]:
        return world.query(f"from {self.MART}")

    def watermark(self, world: World, model: str = "execution_rollup_daily") -> Row:
        return world.query(f"from ops.model_watermarks where model = '{model}'")[0]

    def tokens(self, world: World) -> dict[str, str]:
        return {row["model"]: row["token"] for row in world.query("from ops.model_watermarks")}

    def damage(self, world: World) -> None:
        """A change that only a build of the whole table mends."""
        world.execute(f"update {self.MART} set total_executions = -1")

    def test_new_warehouse_builds_everything_and_notes_the_newest_load(self, realistic: World) -> None:
        assert {row["loaded_through"] for row in realistic.query("from ops.watermarks")} == {1}
        assert all(realistic.marts().values())

    def test_nothing_new_starts_no_dbt_and_leaves_the_warehouse_alone(self, built: World) -> None:
        before = built.storage.warehouse.stat().st_mtime_ns
        report = built.build()
        assert built.storage.warehouse.stat().st_mtime_ns == before
        assert report.build_id == self.watermark(built)["built_by"]

    def test_new_model_in_an_old_warehouse_reads_all_loads(self, built: World) -> None:
        before = self.rows(built)
        built.execute(f"drop table {self.MART}")
        built.build()
        assert not differences(before, self.rows(built))

    def test_a_table_replaced_by_hand_has_no_watermark_and_is_built_whole(self, built: World) -> None:
        before = self.rows(built)
        built.execute(f"create or replace table {self.MART} as from {self.MART} limit 1")
        built.build()
        assert not differences(before, self.rows(built))

    def test_a_lost_watermark_row_means_a_whole_build(self, built: World) -> None:
        before = self.rows(built)
        self.damage(built)
        built.execute("delete from ops.model_watermarks where model = 'execution_rollup_daily'")
        built.build()
        assert not differences(before, self.rows(built))

    def test_another_definition_means_a_whole_build(self, built: World) -> None:
        before = self.rows(built)
        self.damage(built)
        built.execute(
            "update ops.model_watermarks set fingerprint = 'of older SQL' where model = 'execution_rollup_daily'"
        )
        built.build(select="execution_rollup_daily")
        assert not differences(before, self.rows(built))

    @pytest.mark.in_use
    def test_a_model_behind_by_several_loads_catches_up_in_one_run(self, built: World, another_world: World) -> None:
        generator = Generator(5)
        loads = [generator.events(100, "provider") for _ in range(2)]
        for load in loads:
            built.land(load)
            built.ingest()
            built.build(select="stg_provider__executions+ --exclude execution_rollup_daily")
        assert self.watermark(built)["loaded_through"] == 2
        built.build(select="execution_rollup_daily")
        assert self.watermark(built)["loaded_through"] == 4
        for load in [self.EVENTS, *loads]:
            another_world.land(load)
        another_world.ingest()
        another_world.build()
        assert not differences(self.rows(built), self.rows(another_world))

    def test_a_model_built_without_those_above_it_is_built_whole_by_the_next_run(self, built: World) -> None:
        built.land(Generator(7).events(100, "provider"))
        built.ingest()
        tokens = self.tokens(built)
        built.build(select="execution_rollup_daily")
        assert self.watermark(built)["loaded_through"] == 2, "as far as what it is made of"
        built.build(select="stg_provider__calls")
        built.build()
        assert self.watermark(built)["loaded_through"] == 3
        assert self.tokens(built)["execution_rollup_daily"] != tokens["execution_rollup_daily"]
        assert self.tokens(built)["execution_rollup_hourly"] == tokens["execution_rollup_hourly"]
        incremental = self.rows(built)
        built.build(full_refresh=True, select="+execution_rollup_daily")
        assert not differences(incremental, self.rows(built))

    def test_a_model_built_below_an_edited_view_is_built_whole_by_the_next_run(self, built: World) -> None:
        built.execute("update ops.views set fingerprint = 'of older SQL' where model = 'int_daily_metrics'")
        built.execute("update ops.model_watermarks set fingerprint = 'of older SQL' where model = 'metric_anomalies'")
        built.build(select="metric_anomalies")
        assert self.watermark(built, "metric_anomalies")["fingerprint"] == "held back"
        built.build()
        (present,) = built.query("select fingerprint from ops.model_fingerprints where model = 'metric_anomalies'")
        assert self.watermark(built, "metric_anomalies")["fingerprint"] == present["fingerprint"]

    def test_a_backfill_recomputes_the_range_and_nothing_else(self, unkind: World, tmp_path: Path) -> None:
        world = unkind.copy(tmp_path / "storage")
        # No other mart reads these.
        world.execute("update provider_costs.routing_savings_daily set executions = -1")
        world.execute("update customer_health.retention_weekly set cohort_users = -1")
        world.build(start="2026-03-05", end="2026-03-07")
        before, after = unkind.marts(), world.marts()
        start, end = date(2026, 3, 5), date(2026, 3, 7)
        was, now = before.pop("retention_weekly"), after.pop("retention_weekly")
        week = date(2026, 3, 2)
        assert not differences(*([row for row in rows if row["cohort_week"] == week] for rows in (was, now)))
        assert {row["cohort_users"] for row in now if row["cohort_week"] != week} == {-1}
        was, now = before.pop("routing_savings_daily"), after.pop("routing_savings_daily")
        assert not differences(
            [row for row in was if start <= row["date"] <= end],
            [row for row in now if start <= row["date"] <= end],
        )
        assert {row["executions"] for row in now if not start <= row["date"] <= end} == {-1}
        assert not [problem for mart in before for problem in differences(before[mart], after[mart])][:3]

    def test_a_backfill_of_hours_recomputes_these_hours(self, unkind: World, tmp_path: Path) -> None:
        world = unkind.copy(tmp_path / "storage")
        world.execute("update provider_costs.execution_rollup_hourly set total_executions = -1")
        world.execute("update provider_costs.routing_savings_daily set executions = -1")
        world.build(start="2026-03-05 03:00", end="2026-03-06 01:00")
        start, end = datetime(2026, 3, 5, 3), datetime(2026, 3, 6, 1)
        was, now = (each.query("from provider_costs.execution_rollup_hourly") for each in (unkind, world))
        assert not differences(
            [row for row in was if start <= row["hour"] <= end], [row for row in now if start <= row["hour"] <= end]
        )
        assert {row["total_executions"] for row in now if not start <= row["hour"] <= end} == {-1}
        # A mart by day: the days that hold the hours.
        days = world.query("from provider_costs.routing_savings_daily where executions > -1")
        assert {row["date"] for row in days} == {start.date(), end.date()}

    def test_a_full_refresh_builds_everything(self, built: World) -> None:
        before, tokens = self.rows(built), self.tokens(built)
        self.damage(built)
        built.build(full_refresh=True, select="+execution_rollup_daily")
        assert not differences(before, self.rows(built))
        models = {"stg_provider__executions", "int_executions_priced", "execution_rollup_daily"}
        assert models <= {model for model, token in self.tokens(built).items() if token != tokens[model]}

    def test_a_ledger_behind_the_watermark_is_another_ledger(self, built: World) -> None:
        built.tick(Generator(6).events(50, "provider"))
        (built.storage.loads / "3.json").unlink()
        built.build(select="+execution_rollup_daily")
        assert self.watermark(built)["loaded_through"] == 2
        assert sum(row["total_executions"] for row in self.rows(built)) == sum(
            event["event_type"] in ("agent.completed", "agent.failed", "agent.timed_out") for event in self.EVENTS
        )


def test_a_definition_stays_what_it_was_while_nothing_is_edited(template: World, unkind: World) -> None:
    """Also that of a model whose incremental runs call macros that its first build doesn't."""
    definitions = "from ops.model_fingerprints order by model"
    assert unkind.query(definitions) == template.query(definitions)


def test_what_dbt_parsed_of_another_project_is_not_planned_by(built: World, tmp_path: Path) -> None:
    """dbt by hand, in a branch, leaves a manifest in which models of this project are missing."""
    target = tmp_path / "target"
    target.mkdir()
    for path in manifest.default_path().parent.iterdir():
        if path.is_file():
            shutil.copy(path, target)
    parsed = json.loads((target / "manifest.json").read_text(encoding="utf-8"))
    del parsed["nodes"]["model.agent_analytics.execution_rollup_daily"]
    (target / "manifest.json").write_text(json.dumps(parsed), encoding="utf-8")
    built.land(Generator(8).events(50, "provider"))
    built.ingest()
    environment = os.environ | {"ANALYTICS_STORAGE": str(built.root), "DBT_TARGET_PATH": str(target)}
    command = [sys.executable, "-m", "agent_analytics.cli", "build"]
    subprocess.run(command, cwd=PROJECT_ROOT, env=environment, check=True, capture_output=True)
    assert TestStates().watermark(built)["loaded_through"] == 3


MOMENTS = [None, *(datetime.fromisoformat(moment) for moment in (
    "2026-03-01 03:59:59", "2026-03-01 04:00:00", "2026-03-01 04:59:59.999999", "2026-03-01 05:00:00",
    "2026-03-02 00:00:00", "2026-04-01 00:00:00", "2026-03-31 23:59:59", "2027-03-01 04:00:00",
))]  # fmt: skip


def test_python_and_dbt_tell_alike_whether_a_boundary_has_passed(one_load: World) -> None:
    """The plan asks the one, dbt by hand the other."""
    cases = [
        (boundary, before, after)
        for boundary in ("instant", "hour", "day", "local_day", "month")
        for before in MOMENTS
        for after in MOMENTS
    ]

    def quoted(moment: datetime | None) -> str:
        return "none" if moment is None else f"'{moment}'"

    calls = (f"{{{{ boundary_passed('{name}', {quoted(one)}, {quoted(other)}) }}}}" for name, one, other in cases)
    inline = ["--quiet", "--log-path", str(one_load.root / "logs"), "compile", "--target", "prod", "--inline"]
    asked = f"{{% if execute %}}{';'.join(calls)}{{% endif %}}"
    done = worker().invoke([*inline, asked], {"ANALYTICS_STORAGE": str(one_load.root)})
    assert done.success, done.error
    (node,) = done.nodes.values()
    told = [answer.strip() == "True" for answer in str(node.compiled).split(";")]
    assert told == [transform.boundary_passed(*case) for case in cases]


def test_a_selection_of_nothing_is_refused(built: World) -> None:
    with pytest.raises(AnalyticsError, match="--select nonsense: nothing in the project is called that"):
        built.build(select="nonsense")
    built.build()


def test_a_part_of_a_selection_that_names_nothing_is_told(built: World) -> None:
    report = transform.build(built.storage, select="agents nonsense+ +other.nonsense")
    assert report.models["agents"]["status"] == "success"
    assert report.unmatched == ("nonsense+", "+other.nonsense")
    again = transform.build(built.storage)
    assert not again.unmatched


def test_a_dbt_test_that_failed_is_run_again_until_it_passes(built: World) -> None:
    """Also by builds that run no tests; and a selection that leaves it out doesn't forget it."""
    test = "not_null_execution_rollup_daily_tenant_id"
    damage = f"update {TestStates.MART} set tenant_id = {{}} where rowid = (select min(rowid) from {TestStates.MART})"
    (before,) = built.query(
        f"select tenant_id from {TestStates.MART} where rowid = (select min(rowid) from {TestStates.MART})"
    )
    built.execute(damage.format("null"))

    def failed(**options: Any) -> list[str]:
        report = transform.build(built.storage, **options)
        assert report.families["provider_costs"]["ok"] is (not report.failed_tests)
        return [found["test"] for found in report.failed_tests]

    assert failed(select=test) == [test]
    assert failed(select="stg_swarm__assignments") == [test]
    # A build in which its model can't be built skips it.
    built.land(Generator(9).events(50, "provider"))
    built.ingest()
    newest = max((built.storage.lake / "provider").glob("[0-9]*.parquet"), key=lambda path: path.stat().st_mtime_ns)
    away = newest.rename(built.root / "away.parquet")
    report = transform.build(built.storage)
    assert report.models["execution_rollup_daily"]["status"] == "skipped"
    assert test in [found["test"] for found in report.failed_tests]
    away.rename(newest)
    assert failed() == [test]
    built.execute(damage.format(f"'{before['tenant_id']}'"))
    assert failed() == []
