"""Dashboards name nothing that isn't published: each name that one can hold is spoilt in turn, and found."""

from __future__ import annotations

import copy
import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from harness import World

from agent_analytics import views
from agent_analytics.errors import AnalyticsError
from agent_analytics.storage import PROJECT_ROOT

Json = dict[str, Any]


@pytest.fixture(scope="module")
def published(realistic: World) -> Iterator[duckdb.DuckDBPyConnection]:
    path = (realistic.storage.published / "analytics.duckdb").resolve()
    with duckdb.connect(str(path), read_only=True) as connection:
        yield connection


@pytest.mark.slow
@pytest.mark.parametrize("name", ["value_stream", "notebook_operations"])
def test_a_dashboard_names_only_what_is_published(name: str, published: duckdb.DuckDBPyConnection) -> None:
    assert views.problems(views.load()[name], published) == []


@pytest.mark.slow
def test_a_drill_down_answers_for_every_choice_of_its_parameters(published: duckdb.DuckDBPyConnection) -> None:
    for view in views.load().values():
        for drill_down in (found for module in view["modules"] for found in module["drill_downs"]):
            for name, parameter in drill_down["parameters"].items():
                offered = views.choices(published, parameter)
                assert offered
                for value in offered:
                    assert published.execute(views.query(drill_down), {name: value}).fetchall(), (drill_down, value)


def test_a_threshold_that_colours_a_number_is_one_that_analysts_have_set() -> None:
    with (PROJECT_ROOT / "seeds" / "kpi_thresholds.csv").open(encoding="utf-8", newline="") as rows:
        known = {(row["kpi"], row["scope"]) for row in csv.DictReader(rows)}
    modules = [module for view in views.load().values() for module in view["modules"]]
    named = {(threshold["kpi"], threshold["scope"]) for module in modules for threshold in module["thresholds"]}
    assert named and named <= known
    for module in modules:
        shown = {(kpi["kpi"], kpi["scope"]) for kpi in module["kpis"] if "kpi" in kpi}
        assert {(threshold["kpi"], threshold["scope"]) for threshold in module["thresholds"]} <= shown


def test_a_version_without_goals_or_kpis_is_told_of() -> None:
    with duckdb.connect() as empty:
        found = views.problems(views.load()["notebook_operations"], empty)
    assert "notebook_operations.coverage: no goal is called notebook_coverage" in found
    assert "notebook_operations.cadence: no mart notebooks.notebook_update_cadence_daily is published" in found


def first(view: Json, kind: str, having: str) -> Json:
    """The first entry of a kind in any module that has a key or, for parameters, a value."""
    return next(found for module in view["modules"] for found in module[kind] if found.get(having))


SPOILT: dict[str, tuple[Callable[[Json], Any], str]] = {
    "goal": (
        lambda view: first(view, "kpis", "goal").update(goal="happiness"),
        "value_stream.delivery: no goal is called happiness",
    ),
    "kpi": (
        lambda view: first(view, "kpis", "kpi").update(kpi="happiness"),
        "value_stream.delivery: no KPI happiness by service in the window 7d",
    ),
    "window": (
        lambda view: first(view, "kpis", "kpi").update(window_type="1h"),
        "value_stream.delivery: no KPI deployments_7d by service in the window 1h",
    ),
    "threshold": (
        lambda view: first(view, "thresholds", "kpi").update(scope="tenant"),
        "value_stream.delivery: no threshold can be set on deployments_7d by tenant: there is no such KPI",
    ),
    "mart": (
        lambda view: first(view, "series", "mart").update(mart="delivery.happiness"),
        "value_stream.delivery: no mart delivery.happiness is published",
    ),
    "x": (
        lambda view: first(view, "series", "x").update(x="happened_on"),
        "value_stream.delivery: delivery.deployment_frequency_daily has no column happened_on",
    ),
    "y": (
        lambda view: first(view, "series", "y")["y"].append("happiness"),
        "value_stream.delivery: delivery.deployment_frequency_daily has no column happiness",
    ),
    "by": (
        lambda view: first(view, "series", "by")["by"].append("region"),
        "value_stream.delivery: delivery.deployment_frequency_daily has no column region",
    ),
    "column of a query": (
        lambda view: first(view, "drill_downs", "sql").update(sql=["select happiness from goals.goal_kpis"]),
        'value_stream.delivery: dora_of_the_newest_month: Binder Error: Referenced column "happiness" not found',
    ),
    "mart of a query": (
        lambda view: first(view, "drill_downs", "sql").update(sql=["select 1 as one from goals.happiness"]),
        "value_stream.delivery: dora_of_the_newest_month: Catalog Error: Table with name happiness does not exist",
    ),
    "columns of the answer": (
        lambda view: first(view, "drill_downs", "sql").update(sql=["select goal, unit from goals.goal_kpis"]),
        "value_stream.delivery: dora_of_the_newest_month: answers with goal, unit, not with tenant_id, ",
    ),
    "parameter of a query": (
        lambda view: first(view, "drill_downs", "parameters").update(parameters={}),
        "value_stream.delivery: months_of_a_service: $service is no parameter",
    ),
    "parameter that is not used": (
        lambda view: first(view, "drill_downs", "parameters")["parameters"].update(
            tenant_id={"mart": "goals.goal_kpis", "column": "goal"}
        ),
        "value_stream.delivery: months_of_a_service: the parameter tenant_id isn't used",
    ),
    "choices": (
        lambda view: first(view, "drill_downs", "parameters")["parameters"]["service"].update(column="team"),
        "value_stream.delivery: months_of_a_service: delivery.delivery_performance_monthly has no column team",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("spoilt", SPOILT)
def test_a_name_that_is_not_published_is_told(spoilt: str, published: duckdb.DuckDBPyConnection) -> None:
    spoil, told = SPOILT[spoilt]
    view = copy.deepcopy(views.load()["value_stream"])
    spoil(view)
    found = views.problems(view, published)
    assert len(found) == 1 and found[0].startswith(told), found


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "view.json: not JSON: Expecting property name"),
        ('{"dashboard": "view"}', r"view.json: \$: 'title' is a required property"),
        (
            json.dumps({"dashboard": "v", "title": "V", "description": "V", "modules": []}),
            r"view.json: \$.modules: \[\]",
        ),
    ],
)
def test_a_file_that_is_no_dashboard_is_refused_in_one_line(text: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "view.json").write_text(text)
    with pytest.raises(AnalyticsError, match=told) as refused:
        views.load(tmp_path)
    assert "\n" not in str(refused.value)


def test_a_dashboard_is_called_as_its_file(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text((views.FOLDER / "value_stream.json").read_text())
    with pytest.raises(AnalyticsError, match="its dashboard is called value_stream: give file and dashboard one name"):
        views.load(tmp_path)
