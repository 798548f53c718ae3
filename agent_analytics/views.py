"""Dashboards as they are described in views/: what they show of a published version, and whether it is there.

A dashboard names goals, KPIs, thresholds, marts, columns and queries (docs/schemas/dashboard.schema.json). `problems`
compares all of that with a published version, so that no description can name what isn't published.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
from jsonschema import Draft202012Validator

from agent_analytics.errors import AnalyticsError
from agent_analytics.storage import PROJECT_ROOT

Json = dict[str, Any]

FOLDER = PROJECT_ROOT / "views"
SCHEMA = PROJECT_ROOT / "docs" / "schemas" / "dashboard.schema.json"


def load(folder: Path = FOLDER) -> dict[str, Json]:
    """The dashboards by name. Raises AnalyticsError for one that its schema rejects, or whose file has another name."""
    validator = Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))
    found = {}
    for path in sorted(folder.glob("*.json")):
        try:
            view = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise AnalyticsError(f"{path}: not JSON: {error}") from None
        wrong = next(validator.iter_errors(view), None)
        if wrong:
            raise AnalyticsError(f"{path}: {wrong.json_path}: {wrong.message}")
        if view["dashboard"] != path.stem:
            raise AnalyticsError(
                f"{path}: its dashboard is called {view['dashboard']}: give file and dashboard one name"
            )
        found[path.stem] = view
    return found


def problems(view: Json, published: duckdb.DuckDBPyConnection) -> list[str]:
    """One line for each thing that the dashboard names and the published version, which is open, doesn't have."""
    return [
        f"{view['dashboard']}.{module['module']}: {problem}"
        for module in view["modules"]
        for problem in _of_module(module, _Published(published))
    ]


def query(drill_down: Json) -> str:
    """The SQL of a drill-down: its parameters are written $name."""
    return "\n".join(drill_down["sql"])


def choices(published: duckdb.DuckDBPyConnection, parameter: Json) -> list[Any]:
    """The values that a parameter of a drill-down can take."""
    column, mart = parameter["column"], parameter["mart"]
    found = published.sql(f"select distinct {column} from {mart} where {column} is not null order by all").fetchall()
    return [value for (value,) in found]


class _Published:
    """What a published version has."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection = connection
        self.columns: dict[str, set[str]] = {}
        for schema, table, column in connection.sql(
            "select schema_name, table_name, column_name from duckdb_columns() where not internal"
        ).fetchall():
            self.columns.setdefault(f"{schema}.{table}", set()).add(column)
        self.goals = self._keys("goals.goal_kpis", "goal")
        self.kpis = self._keys("slo.kpi_values", "kpi, scope, window_type")

    def _keys(self, mart: str, columns: str) -> set[tuple[Any, ...]]:
        """The different values of some columns; none if the mart isn't published."""
        if mart not in self.columns:
            return set()
        return set(self.connection.sql(f"select distinct {columns} from {mart}").fetchall())

    def missing(self, mart: str, *columns: str) -> Iterator[str]:
        if mart not in self.columns:
            yield f"no mart {mart} is published"
            return
        yield from (f"{mart} has no column {column}" for column in columns if column not in self.columns[mart])


def _of_module(module: Json, published: _Published) -> Iterator[str]:
    for shown in module["kpis"]:
        if "goal" in shown:
            if (shown["goal"],) not in published.goals:
                yield f"no goal is called {shown['goal']}"
        elif (shown["kpi"], shown["scope"], shown["window_type"]) not in published.kpis:
            yield f"no KPI {shown['kpi']} by {shown['scope']} in the window {shown['window_type']}"
    for threshold in module["thresholds"]:
        if (threshold["kpi"], threshold["scope"]) not in {(kpi, scope) for kpi, scope, _ in published.kpis}:
            yield f"no threshold can be set on {threshold['kpi']} by {threshold['scope']}: there is no such KPI"
    for series in module["series"]:
        yield from published.missing(series["mart"], series["x"], *series["y"], *series["by"])
    for drill_down in module["drill_downs"]:
        yield from (f"{drill_down['drill_down']}: {problem}" for problem in _of_drill_down(drill_down, published))


def _of_drill_down(drill_down: Json, published: _Published) -> Iterator[str]:
    sql, parameters = query(drill_down), drill_down["parameters"]
    used = set(re.findall(r"\$(\w+)", sql))
    yield from (f"${name} is no parameter" for name in sorted(used - parameters.keys()))
    yield from (f"the parameter {name} isn't used" for name in sorted(parameters.keys() - used))
    offered = [problem for p in parameters.values() for problem in published.missing(p["mart"], p["column"])]
    yield from offered
    if offered or used != parameters.keys():
        return
    values = {name: next(iter(choices(published.connection, p)), None) for name, p in parameters.items()}
    try:
        answer = published.connection.execute(sql, values)
    except duckdb.Error as error:
        yield str(error).splitlines()[0]
        return
    columns = [column[0] for column in answer.description or ()]
    if columns != drill_down["columns"]:
        yield f"answers with {', '.join(columns)}, not with {', '.join(drill_down['columns'])}"
