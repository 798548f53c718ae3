"""The goals as files beside the marts: what they say, that a refresh adds one line, and that kills tear nothing."""

from __future__ import annotations

import json
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from events import Event, Generator
from handmade import Handmade
from harness import Row, World
from jsonschema import Draft202012Validator
from oracles.goals import KPIS

from agent_analytics import goals, manifest
from agent_analytics.dbt_worker import Invocation, NodeResult
from agent_analytics.gate import gate
from agent_analytics.publish import publish
from agent_analytics.storage import PROJECT_ROOT
from agent_analytics.transform import models_held_back

Json = dict[str, Any]


class WithGoals(Handmade):
    """The families by hand, and goals: one of costs, one of swarm, one without a value."""

    MARTS = Handmade.MARTS | {"goals": ["goal_kpis"]}
    REFS = Handmade.REFS | {"goal_kpis": ["spend", "efficiency"]}

    def node(self, name: str, schema: str, path: str, meta: Json | None = None) -> Json:
        own = {"key": ["goal"], "stale_rows_by": "family"} if name == "goal_kpis" else meta
        return super().node(name, schema, path, own)

    @staticmethod
    def rows(mart: str, count: int = 5, double: str = "i / 3.0") -> str:
        return goal_rows(count) if mart == "goal_kpis" else Handmade.rows(mart, count, double)

    def refresh(self, value: int) -> WithGoals:
        """A build with new rows in all marts."""
        self.build({mart: self.rows(mart, value) for mart in self.marts()})
        return self

    def file(self, name: str) -> str:
        return (self.storage.published / name).read_text(encoding="utf-8")

    def current(self) -> Json:
        return dict(valid("goal_kpis", json.loads(self.file(goals.CURRENT))))

    def history(self) -> list[Json]:
        text = self.file(goals.HISTORY)
        assert text.endswith("\n")
        return [valid("goal_metrics", json.loads(line)) for line in text.splitlines()]


def goal_rows(value: int) -> str:
    return f"""
        select
            goal, family, value::double as value, unit, 2::double as previous_value, null::double as change_pct, status,
            'spend' as source_mart, timestamp '2026-01-01' + {value} * interval 1 hour as as_of, false as is_stale,
            {value}::bigint as loaded_through
        from (values
            ('earned', 'costs', {value}, 'usd', 'critical'),
            ('learned', 'swarm', {value} / 3, 'rate', 'ok'),
            ('unknown', 'swarm', null, 'minutes', 'none')
        ) as found (goal, family, value, unit, status)
    """


def valid(schema: str, document: Json) -> Json:
    """The document, once it has been compared with its schema."""
    found = json.loads((PROJECT_ROOT / "docs" / "schemas" / f"{schema}.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(found)
    Draft202012Validator(found).validate(document)
    return document


@pytest.fixture
def made(tmp_path: Path) -> WithGoals:
    found = WithGoals(tmp_path)
    found.build()
    return found


def test_the_current_goals_are_the_rows_of_the_mart(made: WithGoals) -> None:
    made.publish()
    current = made.current()
    columns = list(current["goals"][0])
    rows = made.published(f"select {', '.join(columns)} from goals.goal_kpis order by family, goal")
    as_text = [[f"{value:%Y-%m-%dT%H:%M:%S.%fZ}" if hasattr(value, "hour") else value for value in row] for row in rows]
    assert [list(goal.values()) for goal in current["goals"]] == as_text
    assert columns == [name for (name,) in made.published("select column_name from (describe goals.goal_kpis)")]
    assert (current["version"], current["published_at"]) == (1, "2026-01-02T12:00:00.000000Z")
    assert (current["as_of"], current["is_stale"]) == ("2026-01-02T00:00:00.000000Z", False)


def test_each_version_adds_one_line_and_a_quiet_tick_none(made: WithGoals) -> None:
    for value in (5, 6, 7):
        made.refresh(value).publish(1)
        made.publish(1)
    assert [line["version"] for line in made.history()] == [1, 2, 3]
    assert [line["values"]["earned"] for line in made.history()] == [5, 6, 7]
    assert made.history()[-1] == {
        "version": 3,
        "published_at": "2026-01-02T17:00:00.000000Z",
        "as_of": "2026-01-02T00:00:00.000000Z",
        "values": {"earned": 7, "learned": 7 / 3, "unknown": None},
        "warning": [],
        "critical": ["earned"],
        "stale": [],
    }


def test_a_version_in_which_no_goal_changed_has_its_line_too(made: WithGoals) -> None:
    made.publish()
    made.build({"spend": made.rows("spend", 9)}).publish(1)
    assert [line["values"]["earned"] for line in made.history()] == [5, 5]


def test_an_old_version_keeps_the_lines_that_it_had(made: WithGoals) -> None:
    made.publish()
    old = made.storage.published.resolve() / goals.HISTORY
    before = old.read_bytes()
    made.refresh(6).publish(1)
    assert old.read_bytes() == before
    assert made.file(goals.HISTORY).encode().startswith(before)


def test_goals_of_a_stale_family_stay_as_they_were_and_say_so_while_the_others_move_on(made: WithGoals) -> None:
    made.publish()
    made.refresh(6)
    made.fail_gate("costs")
    made.publish(1)
    found = {goal["goal"]: goal for goal in made.current()["goals"]}
    assert {name: (goal["value"], goal["is_stale"]) for name, goal in found.items()} == {
        "earned": (5, True),
        "learned": (2, False),
        "unknown": (None, False),
    }
    assert found["earned"]["as_of"] < found["learned"]["as_of"]
    assert made.history()[-1]["stale"] == ["earned"]


def test_goals_whose_own_gate_failed_are_stale_as_a_whole(made: WithGoals) -> None:
    made.publish()
    made.refresh(6)
    made.fail_gate("goals")
    made.publish(1)
    current = made.current()
    assert (current["is_stale"], current["stale_since"]) == (True, "2026-01-02T13:00:00.000000Z")
    assert current["stale_why"] == "the gate failed (2 critical expectations failed)"
    assert [goal["value"] for goal in current["goals"] if goal["goal"] == "earned"] == [5]
    assert made.history()[-1]["stale"] == ["earned", "learned", "unknown"]


def test_goals_that_were_never_published_have_no_files(made: WithGoals) -> None:
    made.fail_gate("goals")
    made.publish()
    assert not (made.storage.published / goals.CURRENT).exists()
    assert not (made.storage.published / goals.HISTORY).exists()
    made.gate("goals")
    made.publish(1)
    assert [line["version"] for line in made.history()] == [2]


@pytest.mark.slow
def test_killed_at_any_point_a_refresh_has_one_whole_line(
    made: WithGoals, tmp_path_factory: pytest.TempPathFactory
) -> None:
    beside = tmp_path_factory.mktemp("beside")
    made.publish()
    made.refresh(6)
    backup = beside / "made"
    shutil.copytree(made.root, backup, symlinks=True)
    outcomes = set()
    for kill_at in range(1, 40):
        shutil.rmtree(made.root)
        shutil.copytree(backup, made.root, symlinks=True)
        killed = made.publish_in_a_process(kill_at, beside / f"{kill_at}.log")
        assert killed in (0, -9)
        seen = [line["values"]["earned"] for line in made.history()]
        assert seen in ([5], [5, 6])
        assert made.current()["version"] == made.history()[-1]["version"]
        outcomes.add(len(seen))
        made.publish()
        assert [line["values"]["earned"] for line in made.history()] == [5, 6]
        if killed == 0:
            break
    assert kill_at > 5 and outcomes == {1, 2}


# In the pipeline


def a_day_later(world: World) -> list[Event]:
    """Deployments and notebook runs, the last of which moves the data clock on by a day."""
    generator, later = Generator(41), world.as_of + timedelta(days=1)
    events = [*generator.events(20, "delivery"), *generator.events(20, "notebooks")]
    return [event | {"occurred_at": later.isoformat()} for event in events]


@pytest.mark.slow
def test_every_goal_is_one_of_a_family_that_goals_reads_and_names_a_mart_of_it(realistic: World) -> None:
    families = manifest.read().families
    assert families["goals"].always_published
    for row in realistic.published("from goals.goal_kpis"):
        assert row["family"] in families["goals"].reads, row["goal"]
        assert row["source_mart"] in {model.name for model in families[row["family"]].models}, row["goal"]
    assert families["goals"].reads == {row["family"] for row in realistic.published("from goals.goal_kpis")}


@pytest.mark.slow
def test_a_goal_is_judged_by_a_kpi_of_its_own_family(realistic: World) -> None:
    family_of = {row["kpi"]: row["family"] for row in realistic.published("from slo.kpi_values")}
    judged = {row["goal"]: row for row in realistic.published("from goals.goal_kpis where status <> 'none'")}
    assert judged.keys() == KPIS.keys()
    assert {goal: family_of[kpi] for goal, kpi in KPIS.items()} == {g: row["family"] for g, row in judged.items()}


@pytest.mark.slow
def test_the_files_of_a_real_version_have_their_schemas(realistic: World) -> None:
    current = valid("goal_kpis", json.loads((realistic.storage.published / goals.CURRENT).read_text()))
    rows = {row["goal"]: row for row in realistic.published("from goals.goal_kpis")}
    assert {goal["goal"]: goal["value"] for goal in current["goals"]} == {name: rows[name]["value"] for name in rows}
    for text in (realistic.storage.published / goals.HISTORY).read_text().splitlines():
        valid("goal_metrics", json.loads(text))


@pytest.mark.slow
def test_a_family_that_fails_its_gate_keeps_its_goals_as_published_last(realistic: World, tmp_path: Path) -> None:
    world = realistic.copy(tmp_path / "storage")
    before = {row["goal"]: row for row in world.published("from goals.goal_kpis")}
    world.tick(a_day_later(world))
    world.execute("update delivery.delivery_performance_monthly set change_failure_rate = 1.5")
    assert {name for name, result in gate(world.storage).items() if not result.ok} == {"delivery"}
    assert [state.name for state in publish(world.storage).failed] == ["delivery"]
    check_delivery_stayed_behind(world, before)


@pytest.mark.slow
def test_a_family_whose_model_fails_keeps_its_goals_as_published_last(realistic: World, tmp_path: Path) -> None:
    """dbt skips goal_kpis then, which reads that model: it is built all the same."""
    world = realistic.copy(tmp_path / "storage")
    before = {row["goal"]: row for row in world.published("from goals.goal_kpis")}
    world.execute("alter table intermediate.int_production_deployments add column stray integer")
    world.land(a_day_later(world))
    report = world.run()
    assert any(problem.startswith("int_production_deployments: ") for problem in report.problems)
    assert [state.name for state in report.publication.failed] == ["delivery"]
    check_delivery_stayed_behind(world, before)


@pytest.mark.slow
def test_goals_wait_for_a_reference_table_of_theirs_that_fails_its_checks(realistic: World) -> None:
    ids = {node["name"]: key for key, node in manifest.nodes().items()}

    def held_back(**ended: str) -> frozenset[str]:
        nodes = {ids[name]: NodeResult(ids[name], status, 0.0, None, None) for name, status in ended.items()}
        return models_held_back(Invocation(False, None, nodes))

    assert held_back(int_production_deployments="error", goal_kpis="skipped") == {"goal_kpis"}
    assert held_back(int_spend_days="error", goal_kpis="skipped") == {"goal_kpis"}
    assert held_back(stg_provider__calls="error", int_spend_days="skipped", goal_kpis="skipped") == {"goal_kpis"}
    assert held_back(unique_kpi_thresholds_threshold_id="fail", goal_kpis="skipped") == frozenset()
    assert held_back(tenants="error", goal_kpis="skipped") == frozenset()
    assert held_back(int_production_deployments="error", delivery_performance_monthly="skipped") == frozenset()
    assert held_back(goal_kpis="error") == frozenset()


def check_delivery_stayed_behind(world: World, before: dict[str, Row]) -> None:
    after = {row["goal"]: row for row in world.published("from goals.goal_kpis")}
    assert set(after) == set(before)
    stale = {name for name, row in after.items() if row["is_stale"]}
    assert stale == {"deployments", "change_failure_rate"}
    for name, row in after.items():
        if name in stale:
            assert row == before[name] | {"is_stale": True}
        else:
            assert row["as_of"] == before[name]["as_of"] + timedelta(days=1)
    assert after["notebook_cadence_per_hour"]["value"] != before["notebook_cadence_per_hour"]["value"]
    current = json.loads((world.storage.published / goals.CURRENT).read_text())
    assert {goal["goal"] for goal in current["goals"] if goal["is_stale"]} == stale
    lines = (world.storage.published / goals.HISTORY).read_text().splitlines()
    assert set(json.loads(lines[-1])["stale"]) == stale and len(lines) == 2
