"""Edited reference tables, in a warehouse with history: the marts are those of a full refresh. What changes for one
tenant is made anew for that tenant, and for no other."""

from __future__ import annotations

import shutil
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import pytest
from harness import Row, World, differences
from project_copy import Copy

from agent_analytics import transform
from agent_analytics.dbt_worker import worker

pytestmark = pytest.mark.slow


def test_a_time_zone_changes_its_tenants_history_and_no_others(unkind: World, project: Copy, tmp_path: Path) -> None:
    """tenant-1 moves, tenant-2 is forgotten, nobody, in UTC so far, gets a time zone."""
    shutil.copytree(unkind.root, project.storage, symlinks=True)
    edited = World(project.storage)
    # No other mart reads this one.
    edited.execute("update provider_costs.routing_savings_daily set executions = -1")
    path = project.root / "seeds" / "tenants.csv"
    lines = path.read_text(encoding="utf-8").splitlines()
    changed = {
        "tenant-1": "tenant-1,Aldgate Labs,Pacific/Apia,business,us-east",
        "tenant-2": "",
        "nobody": "nobody,Nobody Labs,Asia/Kathmandu,team,ap-south",
    }
    kept = [line for line in lines if line.split(",")[0] not in changed]
    path.write_text("\n".join([*kept, *filter(None, changed.values())]) + "\n", encoding="utf-8")

    project.call("build")
    savings = edited.query("from provider_costs.routing_savings_daily")
    assert {row["tenant_id"] for row in savings if row["executions"] != -1} == set(changed)
    assert {row["executions"] for row in savings if row["tenant_id"] not in changed} == {-1}

    whole = edited.copy(tmp_path / "whole")
    project.call_in(whole.root, "build", "--full-refresh")
    marts, expected = edited.marts(), whole.marts()
    for rows in (marts["routing_savings_daily"], expected["routing_savings_daily"]):
        rows[:] = [row for row in rows if row["tenant_id"] in changed]
    assert {name: found[:3] for name in marts if (found := differences(marts[name], expected[name]))} == {}
    before = unkind.marts()
    assert differences(marts["platform_metrics_daily"], before["platform_metrics_daily"]), "nothing changed"


def test_an_edited_price_holds_for_all_history(unkind: World, project: Copy, tmp_path: Path) -> None:
    """A price of nine decimals, as those of a million cached tokens are."""
    shutil.copytree(unkind.root, project.storage, symlinks=True)
    edited = World(project.storage)
    path = project.root / "seeds" / "provider_prices.csv"
    with path.open("a", encoding="utf-8") as handle:
        handle.write("openai,gpt-5,2026-01-01,0.000018751,0.000000009,0.75,0\n")

    project.call("build")
    whole = edited.copy(tmp_path / "whole")
    project.call_in(whole.root, "build", "--full-refresh")
    marts, expected, before = edited.marts(), whole.marts(), unkind.marts()
    assert {name: found[:3] for name in marts if (found := differences(marts[name], expected[name]))} == {}
    assert differences(marts["provider_calls_daily"], before["provider_calls_daily"]), "nothing changed"

    which = "provider = 'openai' and model = 'gpt-5' and occurred_at >= '2026-01-01' and occurred_at < '2026-04-20'"
    calls = edited.query(
        "select tokens_in, coalesce(tokens_cached, 0) as cached, tokens_out, cost_usd "
        f"from staging.stg_provider__calls where {which}"
    )
    assert any(call["cost_usd"] is None and call["cached"] for call in calls)
    expected_usd = sum(cost(call) if call["cost_usd"] is None else call["cost_usd"] for call in calls)
    found = edited.query(f"select sum(cost_usd) as usd from intermediate.int_provider_calls_priced where {which}")
    assert found == [{"usd": expected_usd}]


def test_a_price_of_more_decimals_than_are_kept_is_refused(world: World) -> None:
    world.execute("update reference.provider_prices set usd_per_1k_tokens_cached = 0.0000000001 where model = '*'")
    world.execute("update reference.plan_tiers set overage_usd_per_execution = 0.0000001 where plan = 'team'")
    done = worker().invoke(
        ["--quiet", "test", "--target", "prod", "--select", "provider_prices", "plan_tiers"],
        {"ANALYTICS_STORAGE": str(world.root)},
        project=transform.project_digest(),
    )
    failed = sorted(node.unique_id.split(".")[2] for node in done.nodes.values() if node.status == "fail")
    assert failed == [
        "at_most_decimals_plan_tiers_overage_usd_per_execution__6",
        "at_most_decimals_provider_prices_usd_per_1k_tokens_cached__9",
    ]


def test_a_price_that_is_no_number_is_named_with_its_line_and_nothing_else_is(project: Copy) -> None:
    """In a first build, in which slo and goals, that are built although a model failed, lack what they read."""
    path = project.root / "seeds" / "provider_prices.csv"
    header, *lines = path.read_text(encoding="utf-8").splitlines()
    at = header.split(",").index("usd_per_1k_tokens_in")
    lines[1] = ",".join("much" if n == at else value for n, value in enumerate(lines[1].split(",")))
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    with pytest.raises(AssertionError) as failed:
        project.call("build")
    (told,) = [line for line in str(failed.value).splitlines() if line.startswith("agent-analytics: ")]
    assert told == (
        "agent-analytics: 1 models or tests failed: provider_prices: seeds/provider_prices.csv: line 3:"
        " usd_per_1k_tokens_in: Could not convert string \"much\" to 'DECIMAL'"
    )


def cost(call: Row) -> Decimal:
    uncached = (call["tokens_in"] - call["cached"]) * Decimal("0.000018751")
    usd = (uncached + call["cached"] * Decimal("0.000000009") + call["tokens_out"] * Decimal("0.75")) / 1000
    return usd.quantize(Decimal("0.000001"), ROUND_HALF_UP)


def test_a_seed_may_put_its_columns_in_another_order_or_give_them_other_types(unkind: World, project: Copy) -> None:
    """tenants.csv is turned round; of the services only the types change, and all of them are noted with the file."""
    shutil.copytree(unkind.root, project.storage, symlinks=True)
    edited = World(project.storage)
    before = edited.query("from reference.tenants order by tenant_id")
    path = project.root / "seeds" / "tenants.csv"
    lines = [line.split(",") for line in path.read_text(encoding="utf-8").splitlines()]
    path.write_text("".join(",".join(reversed(line)) + "\n" for line in lines), encoding="utf-8")
    types = project.root / "seeds" / "reference" / "_reference__seeds.yml"
    text = types.read_text(encoding="utf-8")
    assert text.count("{service: varchar, team: varchar}") == 1
    types.write_text(text.replace("team: varchar}", "team: varchar(99)}", 1), encoding="utf-8")
    of_services = "select checksum from ops.seeds where seed = 'services'"
    known = edited.query(of_services)

    project.call("build")
    assert edited.query("from reference.tenants order by tenant_id") == before
    assert edited.query(of_services) != known
