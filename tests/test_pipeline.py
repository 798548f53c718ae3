"""The main job from landed file to published mart, on the real events of samples/ and on unkind ones."""

from __future__ import annotations

import gzip
import json
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from events import Generator
from events.provider import fault
from harness import World, differences

from agent_analytics.errors import AnalyticsError
from agent_analytics.gate import accept, gate
from agent_analytics.ingest import retract
from agent_analytics.publish import publish
from agent_analytics.storage import PROJECT_ROOT

pytestmark = pytest.mark.slow

SAMPLES = PROJECT_ROOT / "samples" / "landing"


def sample(name: str) -> list[dict[str, Any]]:
    with gzip.open(SAMPLES / name, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def one(world: World, sql: str) -> tuple[Any, ...]:
    return tuple(world.published(sql)[0].values())


def check_published_totals(world: World) -> None:
    """The totals of samples/README.md, which their origins published."""
    assert one(
        world, "select sum(total_executions), sum(successful_executions) from provider_costs.execution_rollup_daily"
    ) == (
        500,
        371,
    )
    swarm = "select sum(assignments), sum(successful_resolutions) from swarm.agent_efficiency_daily"
    assert one(world, swarm) == (500, 371)
    calls = (
        "select sum(calls), sum(tokens_in), sum(tokens_out), sum(calls) / 500 from provider_costs.provider_calls_daily"
    )
    assert one(world, calls) == (20_163, 333_047_929, 5_556_752, 40.326)
    # Every call is priced: those without a cost of their own by the seed's row.
    assert one(world, "select sum(unpriced_calls) from provider_costs.provider_calls_daily") == (0,)
    aider = "select sum(deployments) from delivery.deployment_frequency_daily where service = 'aider' and date between "
    # 21 in August 2024 by the clocks of those who released, mostly UTC-7; by UTC two of them fall into September.
    assert one(world, aider + "'2024-08-01' and '2024-08-31'") == (19,)
    west = world.query(
        "select count(*) as releases from staging.stg_delivery__deployments where service = 'aider' "
        "and environment = 'production' and occurred_at >= '2024-08-01 07:00' and occurred_at < '2024-09-01 07:00'"
    )
    assert west == [{"releases": 21}]
    assert one(world, aider + "'2025-09-01' and '2026-01-31'") == (0,)


def test_the_published_totals_of_the_samples_come_out(world: World) -> None:
    for path in SAMPLES.iterdir():
        world.storage.landing.mkdir(parents=True, exist_ok=True)
        (world.storage.landing / path.name).write_bytes(path.read_bytes())
    report = world.run()
    assert report.problems == []
    check_published_totals(world)
    cost = "select sum(total_cost_usd) from provider_costs.execution_rollup_daily"
    assert one(world, cost)[0].quantize(Decimal("0.01")) == Decimal("229.98")
    logged = world.query(
        "select count(cost_usd) as logged, count(*) - count(cost_usd) as none, sum(cost_usd) as usd, "
        "sum(tokens_cached) as cached from staging.stg_provider__calls"
    )
    costs = logged_costs(sample("swe-bench-verified-2025-11.jsonl.gz"))
    # Published: $224.489205, the sum of costs with up to 7 decimals; money is kept with 6 of them, rounded by event.
    assert sum(costs).quantize(Decimal("1e-6"), ROUND_HALF_UP) == Decimal("224.489205")
    kept = sum(cost.quantize(Decimal("1e-6"), ROUND_HALF_UP) for cost in costs)
    assert logged == [{"logged": 19_584, "none": 579, "usd": kept, "cached": 279_065_308}]
    assert one(world, "select count(*) from ops.publications") == (
        len(set(world.storage.published.glob("*.parquet")) - {world.storage.published / "pipeline_runs.parquet"}),
    )


def logged_costs(events: list[dict[str, Any]]) -> list[Decimal]:
    """The costs that calls carry, as written."""
    calls = [event["properties"] for event in events if event["event_type"] == "provider.called"]
    return [Decimal(str(properties["cost_usd"])) for properties in calls if "cost_usd" in properties]


def at_the_published_price(event: dict[str, Any]) -> Decimal:
    """samples/README.md: $2 a million tokens in, $0.20 from the cache, $12 out; rounded half up to 6 decimals."""
    p = event["properties"]
    usd = (
        (p["tokens_in"] - p["tokens_cached"]) * Decimal("2e-6")
        + p["tokens_cached"] * Decimal("2e-7")
        + p["tokens_out"] * Decimal("12e-6")
    )
    return usd.quantize(Decimal("1e-6"), ROUND_HALF_UP)


def test_the_totals_come_out_of_prices_when_the_events_carry_no_cost(world: World) -> None:
    events = sample("swe-bench-verified-2025-11.jsonl.gz")
    calls = [event for event in events if event["event_type"] == "provider.called"]
    by_price = sum(at_the_published_price(event) for event in calls if "cost_usd" in event["properties"])
    assert by_price == sum(cost.quantize(Decimal("1e-6"), ROUND_HALF_UP) for cost in logged_costs(events))
    for event in events:
        event["properties"].pop("cost_usd", None)
    world.land(events)
    world.land(sample("open-source-releases.jsonl.gz"))
    report = world.run()
    assert report.problems == []
    check_published_totals(world)
    expected = sum(at_the_published_price(event) for event in calls)
    assert one(world, "select sum(cost_usd) from provider_costs.provider_calls_daily") == (expected,)


def test_a_run_over_nothing_publishes_empty_marts_and_a_second_writes_nothing(world: World) -> None:
    report = world.run()
    assert report.problems == []
    # What reference tables name is there without any event.
    named = {"experiment_parameter_sets", "notebook_adoption", "notebook_adoption_by_blueprint"}
    named |= {"slo_burn_rates", "slo_status"}
    assert {name for name, rows in world.published_marts().items() if rows} == named
    before = {path: path.stat().st_mtime_ns for path in world.root.rglob("*") if path.is_file()}
    again = world.run()
    assert not again.publication.changed
    after = {path: path.stat().st_mtime_ns for path in world.root.rglob("*") if path.is_file()}
    assert {path.name for path in after if before.get(path) != after[path]} <= {".lock"}


def test_one_event_is_enough(world: World) -> None:
    event = fault(Generator(1))[0]
    world.land([event])
    report = world.run()
    assert report.problems == []
    rows = world.published("from provider_costs.provider_calls_daily")
    assert [(row["calls"], row["rate_limited"] + row["errors"], row["avg_latency_ms"]) for row in rows] == [
        (0, 1, None)
    ]


class TestGateAndPublish:
    @pytest.fixture(scope="class")
    def candidates(self, in_use: World, tmp_path_factory: pytest.TempPathFactory) -> World:
        world = in_use.copy(tmp_path_factory.mktemp("candidates") / "storage")
        world.tick(Generator(8).events(600, "delivery", "swarm", "provider"))
        return world

    @pytest.fixture
    def built(self, candidates: World, tmp_path: Path) -> World:
        return candidates.copy(tmp_path / "storage")

    def damage(self, world: World) -> None:
        world.execute("update delivery.delivery_performance_monthly set change_failure_rate = 1.5")

    def test_a_failed_gate_keeps_its_family_back_and_lets_the_others_go_then_mends(self, built: World) -> None:
        self.damage(built)
        gates = gate(built.storage)
        assert {name for name, result in gates.items() if not result.ok} == {"delivery"}
        publication = publish(built.storage)
        assert publication.families["delivery"].status == "unpublished"
        assert "change_failure_rate" in (publication.families["delivery"].why or "")
        assert {f.status for name, f in publication.families.items() if name != "delivery"} == {"published"}
        assert not (built.storage.published / "delivery_performance_monthly.parquet").exists()

        built.build(full_refresh=True, select="delivery_performance_monthly")
        assert all(result.ok for result in gate(built.storage).values())
        assert publish(built.storage).failed == []
        assert built.published(
            "select max(change_failure_rate) <= 1 as fine from delivery.delivery_performance_monthly"
        ) == [{"fine": True}]

    def test_a_failed_family_keeps_those_that_read_it_back_and_says_so(self, built: World) -> None:
        built.execute("update provider_costs.routing_savings_daily set executions = -1")
        assert {name for name, result in gate(built.storage).items() if not result.ok} == {"provider_costs"}
        families = publish(built.storage).families
        for reader in ("billing", "platform_usage", "revenue"):
            assert families[reader].status == "unpublished"
            assert (families[reader].why or "").startswith("reads provider_costs, which failed: ")
        assert families["delivery"].status == "published"

    def test_a_family_that_fails_later_keeps_its_last_good_version_marked_stale(self, built: World) -> None:
        gate(built.storage)
        publish(built.storage)
        good = built.published("from delivery.delivery_performance_monthly")
        built.tick(Generator(9).events(200, "delivery"))
        self.damage(built)
        gate(built.storage)
        assert publish(built.storage).families["delivery"].status == "stale"
        assert not differences(good, built.published("from delivery.delivery_performance_monthly"), ignore=())
        stale = built.published("select mart, is_stale, stale_since is not null as since from ops.publications")
        assert {row["mart"] for row in stale if row["is_stale"] and row["since"]} == {
            "delivery_performance_monthly",
            "deployment_frequency_daily",
        }

    def test_an_accepted_gate_lets_the_family_through_and_says_so(self, built: World) -> None:
        self.damage(built)
        gate(built.storage)
        accept(built.storage, "delivery", "known fault of the source", "an operator")
        assert publish(built.storage).failed == []
        status = built.published("select distinct gate_status from ops.publications where family = 'delivery'")
        assert status == [{"gate_status": "accepted"}]

    def test_nothing_is_published_of_a_build_that_did_not_finish(self, built: World) -> None:
        gate(built.storage)
        record = json.loads(built.storage.build_record.read_text())
        built.storage.build_record.write_text(json.dumps(record | {"status": "running"}))
        with pytest.raises(AnalyticsError, match="did not finish"):
            publish(built.storage)
        assert not built.storage.published.exists()


@pytest.mark.in_use
def test_a_retracted_load_leaves_the_marts_as_if_it_had_never_come(world: World, another_world: World) -> None:
    generator = Generator(10)
    good, bad, more = (generator.events(size, "delivery", "swarm") for size in (300, 200, 100))
    # The third load repeats events of the bad one: they count, as the first copies that stand.
    more += bad[:50]
    for load in (good, bad, more):
        world.tick(load)
    retract(world.storage, 3, "a producer's clock was wrong")
    world.build()
    for load in (good, more):
        another_world.land(load)
    another_world.ingest()
    another_world.build()
    expected = another_world.marts()
    for mart, rows in world.marts().items():
        assert not differences(rows, expected[mart])[:3], mart


@pytest.mark.in_use
def test_a_reader_keeps_its_snapshot_while_the_next_is_published(world: World) -> None:
    world.land(Generator(12).events(200, "provider"))
    world.run()
    path = (world.storage.published / "analytics.duckdb").resolve()
    count = "select sum(total_executions) from provider_costs.execution_rollup_daily"
    with duckdb.connect(str(path), read_only=True) as reader:
        before = reader.execute(count).fetchall()
        world.land(Generator(13).events(200, "provider"))
        world.run()
        assert reader.execute(count).fetchall() == before
    assert Path(world.storage.published).resolve() != path.parent
    assert world.published(count) != [{"sum(total_executions)": before[0][0]}]
