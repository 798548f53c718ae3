"""KPIs, thresholds, objectives: at the edges of their windows, of stale families, and in the table that people edit."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from events import Event, Generator
from harness import NOW, World, differences
from oracles import slo as oracle
from test_marts import landed, same

from agent_analytics import manifest, transform
from agent_analytics.contract import load_contract
from agent_analytics.dbt_worker import worker
from agent_analytics.gate import gate
from agent_analytics.publish import publish

pytestmark = pytest.mark.slow

MARTS = ("kpi_values", "kpi_breaches", "slo_burn_rates", "slo_status")
SOURCES = ("game", "platform", "provider", "patterns")
EDGES = [
    timedelta(minutes=minutes)
    for minutes in (0, 5, 30, 60, 120, 6 * 60, 24 * 60, 48 * 60, 3 * 24 * 60, 30 * 24 * 60, -60, -19 * 60)
]
INSTANT = timedelta(microseconds=1)


def near_the_clock(generator: Generator, size: int) -> list[Event]:
    """Unkind events of three days before NOW, many on the edge of a window or an instant beside it, some after NOW."""
    pick = generator.random
    events = generator.events(size, *SOURCES)
    for event in events:
        moment = NOW - timedelta(microseconds=pick.randrange(3 * 86_400_000_000))
        if pick.random() < 0.4:
            moment = NOW - pick.choice(EDGES) + pick.choice((-INSTANT, timedelta(), INSTANT))
        event["occurred_at"] = moment.isoformat()
    events[0]["occurred_at"] = NOW.isoformat()
    return events


@pytest.fixture(scope="module")
def recent(template: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """Loads around the data clock, built one by one; not to be changed."""
    world = template.copy(tmp_path_factory.mktemp("recent") / "storage")
    generator = Generator(31)
    for load in generator.loads(near_the_clock(generator, 3000), 3):
        world.tick(load)
    assert world.as_of == NOW
    return world


@pytest.fixture(scope="module")
def shown(recent: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """The same, published; not to be changed."""
    world = recent.copy(tmp_path_factory.mktemp("shown") / "storage")
    assert {name for name, result in gate(world.storage).items() if not result.ok} == set()
    publish(world.storage)
    return world


KEYS = {
    "kpi_values": ("kpi", "scope", "scope_ref", "window_type"),
    "kpi_breaches": ("threshold_id", "scope", "scope_ref", "window_type"),
    "slo_burn_rates": ("slo", "window_type"),
    "slo_status": ("slo",),
}


def check_as_the_oracle_says(world: World, mart: str, failed: str | None = None) -> None:
    """The rows of a mart are those that plain Python computes from the landed lines; but for those of a family that
    failed, and for how many of its events were staged."""
    unknown = ("freshness_hours", "sample_size") if failed else None
    expected = oracle.MARTS[mart](landed(world), world.as_of)
    rows = {tuple(row[name] for name in KEYS[mart]): row for row in world.query(f"from slo.{mart}")}
    assert set(rows) == set(expected)
    wrong = [
        f"{key} {name}: {rows[key][name]!r}, expected {value!r}"
        for key, row in expected.items()
        for name, value in row.items()
        if rows[key]["family"] != failed and (key[0], name) != unknown and not same(rows[key][name], value)
    ]
    assert wrong[:5] == []


@pytest.mark.parametrize("mart", MARTS)
def test_windows_end_at_the_data_clock_to_the_microsecond(mart: str, recent: World) -> None:
    check_as_the_oracle_says(recent, mart)


def test_the_windows_of_that_history_are_worth_comparing(recent: World) -> None:
    values = recent.query(
        "from slo.kpi_values where family in ('game', 'platform_usage', 'provider_costs', 'patterns')"
    )
    for window in ("1h", "24h"):
        of_window = [row for row in values if row["window_type"] == window]
        assert any(row["sample_size"] > 5 and row["previous_value"] is not None for row in of_window)
    assert any(0 < row["value"] < 1 for row in values if row["kpi"] == "stuck_rate" and row["value"] is not None)
    status = recent.query("from slo.slo_status")
    assert {row["page"] for row in status} | {row["ticket"] for row in status} == {True, False}


def test_loads_one_by_one_give_what_one_build_gives(recent: World, tmp_path: Path) -> None:
    whole = recent.copy(tmp_path / "storage")
    before = {mart: recent.query(f"from slo.{mart}") for mart in MARTS}
    whole.build(full_refresh=True, select="+kpi_breaches +slo_status +slo_burn_rates")
    for mart, rows in before.items():
        assert not differences(whole.query(f"from slo.{mart}"), rows)[:3], mart


def test_rows_of_a_stale_family_stay_as_they_were_published_and_say_so(shown: World, tmp_path: Path) -> None:
    """The others move on, and what broke the family doesn't fail the gate of slo."""
    world = shown.copy(tmp_path / "storage")
    before = world.published("from slo.kpi_values")
    generator = Generator(32)
    later = NOW + timedelta(hours=3)
    events = near_the_clock(generator, 300)
    for event in events:
        event["occurred_at"] = (datetime.fromisoformat(event["occurred_at"]) + timedelta(hours=3)).isoformat()
    world.land(events)
    world.ingest(now=later)
    world.build()
    world.execute("update game.game_rollup_daily set turns = -1")
    assert {name for name, result in gate(world.storage).items() if not result.ok} == {"game"}
    assert publish(world.storage).families["slo"].status == "published"

    after = world.published("from slo.kpi_values")
    of_game = [row for row in after if row["family"] == "game"]
    assert of_game
    assert all(row["is_stale"] and row["as_of"] == NOW.replace(tzinfo=None) for row in of_game)
    assert not differences([row for row in before if row["family"] == "game"], of_game, ("is_stale",))
    others = [row for row in after if row["family"] != "game"]
    assert all(not row["is_stale"] and row["as_of"] == later.replace(tzinfo=None) for row in others)
    for mart in MARTS[1:]:
        rows = world.published(f"from slo.{mart}")
        assert {row["is_stale"] for row in rows if row["family"] == "game"} <= {True}, mart
        assert {row["is_stale"] for row in rows if row["family"] != "game"} <= {False}, mart


def test_a_model_that_fails_leaves_the_other_families_their_values(shown: World, tmp_path: Path) -> None:
    """dbt skips what reads it: the KPIs are built all the same, and the rows of the failed family stay behind."""
    world = shown.copy(tmp_path / "storage")
    world.execute("alter table game.game_rollup_daily drop column avg_ticks")
    later = NOW + timedelta(hours=1)
    generator = Generator(33)
    world.land(
        [{**generator.events(1, source)[0], "occurred_at": later.isoformat()} for source in ("game", "provider")]
    )
    world.ingest(now=later)
    report = transform.build(world.storage)
    assert report.models["game_rollup_daily"]["status"] == "error"
    assert {report.models[mart]["status"] for mart in MARTS} == {"success"}
    gate(world.storage)
    families = publish(world.storage).families
    assert (families["slo"].status, families["game"].status) == ("published", "stale")
    for row in world.published("from slo.kpi_values"):
        of_game = row["family"] == "game"
        assert (row["is_stale"], row["as_of"]) == (of_game, (NOW if of_game else later).replace(tzinfo=None))


def test_a_staging_model_that_fails_leaves_the_other_families_their_values_and_loses_no_event(
    recent: World, tmp_path: Path
) -> None:
    """Sums by hour and day hang on all staging models: dbt skips them too."""
    world = recent.copy(tmp_path / "storage")
    world.execute("alter table staging.stg_game__turns add column stray integer")
    later = NOW + timedelta(minutes=1)
    world.land([{**event, "occurred_at": later.isoformat()} for event in Generator(34).events(60, "game", "provider")])
    world.ingest(now=later)
    report = transform.build(world.storage)
    assert report.models["stg_game__turns"]["status"] == "error"
    assert report.families["slo"] == {"ok": True, "why": None, "gated": True}
    assert not report.families["game"]["ok"]
    for mart in ("kpi_values", "slo_burn_rates"):
        check_as_the_oracle_says(world, mart, failed="game")

    world.execute("alter table staging.stg_game__turns drop column stray")
    world.build()
    for mart in MARTS:
        check_as_the_oracle_says(world, mart)


def test_freshness_knows_every_event_of_the_contract(template: World) -> None:
    models = manifest.model_nodes()
    staging = {key: node for key, node in models.items() if node["fqn"][1] == "staging"}
    read = set(models["model.agent_analytics.int_source_days"]["depends_on"]["nodes"])
    assert read == set(staging)
    staged = {(node["fqn"][2], kind) for node in staging.values() for kind in node["config"]["meta"]["event_types"]}
    assert staged == {(source, kind) for source, kinds in load_contract().sources.items() for kind in kinds}


# The table of thresholds

WRONG = {
    "'fallbackrate', 'global', null, '1h', '>', 'warning'": "unknown kpi: one of p95_latency_ms, fallback_rate, ",
    "'error_rate', 'galaxy', null, '1h', '>', 'warning'": "not a known scope: one of global, tenant, world, ",
    "'error_rate', 'world', null, '1h', '>', 'warning'": "error_rate has no such scope: one of global, tenant",
    "'error_rate', 'tenant', null, '7d', '>', 'warning'": "error_rate has no such window_type: 1h or 24h, or leave it",
    "'error_rate', 'tenant', null, null, '=>', 'warning'": "not a known operator: one of >, <, >=, <=, =, !=",
    "'error_rate', 'tenant', null, null, '>', 'grave'": "not a known severity: one of warning, critical",
    "null, 'tenant', null, null, '>', 'warning'": "kpi is empty: fill it in",
}


@pytest.fixture(scope="module")
def problems(template: World, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What is said of each row of WRONG, and of two rows with the same id, by one run of the table's tests."""
    world = template.copy(tmp_path_factory.mktemp("thresholds") / "storage")
    rows = [f"('{number}', {row}, 0.1, true, 'a')" for number, row in enumerate(WRONG)]
    rows += ["('exact', 'error_rate', 'tenant', null, null, '>', 'warning', 0.123456, true, 'a')"]
    rows += ["('rounded', 'error_rate', 'tenant', null, null, '>', 'warning', 0.1234567, true, 'a')"]
    rows += ["('twice', 'error_rate', 'tenant', 'one', '1h', '>', 'warning', 0.1, true, 'a')"] * 2
    names = "threshold_id, kpi, scope, scope_ref, window_type, operator, severity, value, enabled, suggested_actions"
    world.execute(f"insert into reference.kpi_thresholds ({names}) values {', '.join(rows)}")
    done = worker().invoke(
        ["--quiet", "test", "--target", "prod", "--select", "kpi_thresholds", "--indirect-selection", "cautious"],
        {"ANALYTICS_STORAGE": str(world.root)},
        project=transform.project_digest(),
    )
    found: dict[str, list[str]] = {}
    with duckdb.connect(str(world.storage.warehouse), read_only=True) as warehouse:
        for query in (node.compiled for node in done.nodes.values() if node.status == "fail"):
            for row in said(warehouse, str(query)):
                found.setdefault(row["threshold_id"], []).append(row["problem"])
    return found


def said(warehouse: duckdb.DuckDBPyConnection, query: str) -> Iterator[dict[str, str]]:
    result = warehouse.execute(query)
    names = [column[0] for column in result.description or ()]
    for row in result.fetchall():
        yield dict(zip(names, row, strict=True))


@pytest.mark.parametrize(("number", "problem"), enumerate(WRONG.values()))
def test_a_wrong_threshold_is_told_what_is_wrong(number: int, problem: str, problems: dict[str, list[str]]) -> None:
    assert any(text.startswith(problem) for text in problems[str(number)]), problems[str(number)]


def test_two_thresholds_with_one_id_are_refused(problems: dict[str, list[str]]) -> None:
    assert problems["twice"] == ["more than one row with this threshold_id: keep one of them"]


def test_a_limit_that_would_be_rounded_is_refused(problems: dict[str, list[str]]) -> None:
    assert problems["rounded"] == ["value has more than 6 decimals, which is as many as are compared, so round it to 6"]


def test_no_other_threshold_is_complained_of(problems: dict[str, list[str]]) -> None:
    assert set(problems) == {"twice", "rounded", *map(str, range(len(WRONG)))}
