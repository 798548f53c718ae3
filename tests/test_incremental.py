"""Promises 5 and 6: incremental equals full, whatever the order; and a tick writes only what it touches."""

from __future__ import annotations

import importlib
import pkgutil
import random
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
import ticks
from events import Generator
from harness import Event, Row, World, differences, incremental_marts
from ticks import Touched

from agent_analytics import manifest

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


class TestStates:
    """Each state of docs/incremental.md."""

    MART = "provider_costs.execution_rollup_daily"

    EVENTS = Generator(4).events(300, "provider")

    @pytest.fixture(scope="class")
    def one_load(self, in_use: World, tmp_path_factory: pytest.TempPathFactory) -> World:
        world = in_use.copy(tmp_path_factory.mktemp("states") / "storage")
        world.tick(self.EVENTS)
        return world

    @pytest.fixture
    def built(self, one_load: World, tmp_path: Path) -> World:
        return one_load.copy(tmp_path / "storage")

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
        built.build(select="execution_rollup_daily")
        assert not differences(before, self.rows(built))

    def test_a_table_replaced_by_hand_has_no_watermark_and_is_built_whole(self, built: World) -> None:
        before = self.rows(built)
        built.execute(f"create or replace table {self.MART} as from {self.MART} limit 1")
        built.build(select="execution_rollup_daily")
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

    def test_a_backfill_recomputes_the_range_and_nothing_else(self, unkind: World, tmp_path: Path) -> None:
        world = unkind.copy(tmp_path / "storage")
        # No other mart reads this one.
        world.execute("update provider_costs.routing_savings_daily set executions = -1")
        world.build(start="2026-03-05", end="2026-03-07")
        before, after = unkind.marts(), world.marts()
        start, end = date(2026, 3, 5), date(2026, 3, 7)
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
