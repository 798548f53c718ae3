"""The semantic layer says what the marts say: `mf` over what is published, beside the published tables themselves."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from harness import World

from agent_analytics import manifest
from agent_analytics.metrics import Layer, Metric, layer
from agent_analytics.storage import PROJECT_ROOT

pytestmark = pytest.mark.slow

Row = dict[str, Any]

# Questions over coarser grains than the marts', with the answer in SQL of another kind: from events, or row by row.
ELSEWHERE = {
    ("execution_success_rate", "tenant"): """
        select tenant_id, avg((event_type = 'agent.completed')::int) from staging.stg_provider__executions group by all
    """,
    ("avg_execution_duration_ms", "provider"): """
        select provider, avg(duration_ms) from staging.stg_provider__executions group by all
    """,
    ("change_failure_rate", "service"): """
        select service, count(*) filter (d.deployment_id in (
            select f.deployment_id from staging.stg_delivery__failures as f
            where f.tenant_id = d.tenant_id and f.service = d.service
        )) / count(*)
        from staging.stg_delivery__deployments as d
        where environment = 'production' and succeeded
        group by all
    """,
    ("avg_rating", "tenant"): """
        select tenant_id, avg(rating) from staging.stg_platform__feedback group by all
    """,
    ("notebook_automation_rate", "notebook_scope"): """
        select scope, avg((trigger = 'automation')::int) from staging.stg_notebooks__runs group by all
    """,
    ("pattern_success_rate", "pattern"): """
        select pattern_id, avg(succeeded::int) from staging.stg_patterns__executions group by all
    """,
    ("stored_bytes", "tenant"): """
        select tenant_id, sum(last) from (
            select tenant_id, storage_class, max_by(stored_bytes, date) as last
            from platform_usage.storage_daily group by all
        ) group by all
    """,
    ("mrr_usd", "tenant"): """
        select tenant_id, closing_mrr_usd from revenue.mrr_movements_monthly
        where month = (select max(month) from revenue.mrr_movements_monthly)
    """,
    ("deployments_30d", "metric_time__day"): """
        select day, (
            select sum(d.deployments) from delivery.deployment_frequency_daily as d
            where d.date between day - 29 and day
        ) from (select distinct date as day from delivery.deployment_frequency_daily)
    """,
    ("executions_28d", "metric_time__day"): """
        select day, (
            select sum(d.total_executions) from provider_costs.execution_rollup_daily as d
            where d.date between day - 27 and day
        ) from (select distinct date as day from provider_costs.execution_rollup_daily)
    """,
    ("spend_month_to_date_usd", "metric_time__day"): """
        select day, (
            select sum(d.cost_usd) from provider_costs.provider_calls_daily as d
            where d.date between date_trunc('month', day) and day
        ) from (select distinct date as day from provider_costs.provider_calls_daily)
    """,
    ("crc_failure_rate", "blueprint"): """
        select blueprint_id, avg((not succeeded)::int) from staging.stg_crc__tasks group by all
    """,
}


@pytest.fixture(scope="module")
def root(realistic: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that is the project's root to `mf`, with the manifest that this process has parsed."""
    folder = tmp_path_factory.mktemp("root")
    for name in ("dbt_project.yml", "profiles.yml"):
        (folder / name).symlink_to(PROJECT_ROOT / name)
    (folder / "target").symlink_to(manifest.default_path().parent)
    return folder


@pytest.fixture(scope="module")
def semantic() -> Layer:
    return layer()


def environment(world: World) -> dict[str, str]:
    return {**os.environ, "ANALYTICS_STORAGE": str(world.root)}


@pytest.fixture(scope="module")
def answers(realistic: World, root: Path, semantic: Layer) -> dict[str, list[Row]]:
    """Answers of all questions of this module by what they are about: one process for all of them."""
    questions: dict[str, Row] = {}
    for mart in semantic.marts:
        if metrics := [metric.name for metric in own_columns(semantic, mart)]:
            questions[f"own:{mart}"] = {"metrics": metrics, "group_by": list(semantic.grain(mart))}
    for metric, by in ELSEWHERE:
        questions[f"elsewhere:{metric}"] = {"metrics": [metric], "group_by": [by]}
    for mart in semantic.marts:
        if guarded := [metric.name for metric in semantic.metrics_of(mart) if metric.exact_in_mart]:
            questions[f"coarse:{mart}"] = {"metrics": guarded}
    for name in semantic.saved_queries:
        questions[f"saved:{name}"] = {"saved_query": name}
    asked = subprocess.run(
        [sys.executable, str(PROJECT_ROOT / "tests" / "metric_queries.py")],
        input=json.dumps(list(questions.values())),
        cwd=root,
        env=environment(realistic),
        capture_output=True,
        text=True,
    )
    assert asked.returncode == 0, asked.stderr[-3000:]
    return dict(zip(questions, json.loads(asked.stdout), strict=True))


@pytest.fixture(scope="module")
def published(realistic: World) -> Any:
    with duckdb.connect(os.path.realpath(realistic.storage.published / "analytics.duckdb"), read_only=True) as found:
        yield found


def own_columns(semantic: Layer, mart: str) -> list[Metric]:
    return [metric for metric in semantic.metrics_of(mart) if metric.column]


def same(value: Any, expected: Any) -> bool:
    if value is None or expected is None:
        return value is None and expected is None
    # A mart's decimals are rounded to a millionth, the quotients of a metric are not.
    rounding = 6e-7 if isinstance(expected, Decimal) else 1e-9
    return math.isclose(float(value), float(expected), rel_tol=1e-9, abs_tol=rounding)


def key(values: Any) -> tuple[str, ...]:
    """Days, months and times alike: MetricFlow gives timestamps."""
    return tuple(
        datetime.combine(value, datetime.min.time()).isoformat(" ")
        if isinstance(value, date) and not isinstance(value, datetime)
        else str(value)
        for value in values
    )


def test_at_a_marts_own_grain_metrics_are_its_columns(
    answers: dict[str, list[Row]], semantic: Layer, published: duckdb.DuckDBPyConnection
) -> None:
    wrong, compared = [], 0
    for mart in semantic.marts:
        grain, metrics = semantic.grain(mart), own_columns(semantic, mart)
        if not metrics:
            continue
        said = {key(row[name] for name in grain): row for row in answers[f"own:{mart}"]}
        columns = ", ".join(f'"{metric.column}"' for metric in metrics)
        keys = ", ".join(grain.values())
        rows = published.execute(f"select {keys}, {columns} from {semantic.relation(mart)}").fetchall()
        assert rows, mart
        for row in rows:
            answer = said.get(key(row[: len(grain)]))
            for metric, expected in zip(metrics, row[len(grain) :], strict=False):
                compared += 1
                if answer is None or not same(answer[metric.name], expected):
                    found = answer and answer[metric.name]
                    wrong.append(f"{metric.name} at {row[: len(grain)]}: {found}, in {mart} {expected}")
    assert wrong[:10] == []
    assert compared > 50_000


def test_at_coarser_grains_metrics_are_what_the_events_say(answers: dict[str, list[Row]], realistic: World) -> None:
    for (metric, by), sql in ELSEWHERE.items():
        with duckdb.connect(str(realistic.storage.warehouse), read_only=True) as warehouse:
            expected = {key(row[:1]): row[1] for row in warehouse.execute(sql).fetchall()}
        said = {key([row[by]]): row[metric] for row in answers[f"elsewhere:{metric}"]}
        assert expected, metric
        wrong = {at: (said.get(at), value) for at, value in expected.items() if not same(said.get(at), value)}
        assert wrong == {}, metric


def test_what_cannot_be_reaggregated_has_no_answer_at_a_coarser_grain(
    answers: dict[str, list[Row]], semantic: Layer, published: duckdb.DuckDBPyConnection
) -> None:
    asked = 0
    for mart in semantic.marts:
        count = published.execute(f"select count(*) from {semantic.relation(mart)}").fetchone()
        if count and count[0] > 1 and f"coarse:{mart}" in answers:
            asked += 1
            (row,) = answers[f"coarse:{mart}"]
            assert set(row.values()) == {None}, mart
    assert asked > 20


def test_every_board_has_an_answer(answers: dict[str, list[Row]], semantic: Layer) -> None:
    assert len(semantic.saved_queries) >= 9
    for name in semantic.saved_queries:
        assert answers[f"saved:{name}"], name
        assert any(value is not None for row in answers[f"saved:{name}"] for value in row.values()), name


def test_a_percentile_or_a_distinct_count_of_a_mart_is_never_summed(semantic: Layer) -> None:
    """A metric that adds up a column whose name says that it can't be added up would be wrong somewhere."""
    rigid = ("p50_", "p90_", "p95_", "p99_", "median_", "unique_", "avg_", "mean_", "_rate", "_ratio", "_pct", "_score")
    for metric in semantic.metrics.values():
        expression = metric.expression or ""
        if metric.aggregation in ("sum", "average") and expression.isidentifier() and expression != "engagement_score":
            assert not any(part in expression for part in rigid), metric.name


def test_the_configuration_is_valid_and_mf_asks_what_is_published_by_itself(realistic: World, root: Path) -> None:
    mf = Path(sys.executable).parent / "mf"
    valid = subprocess.run(
        [mf, "validate-configs", "--skip-dw", "--show-all"],
        cwd=root,
        env=environment(realistic),
        capture_output=True,
        text=True,
    )
    assert valid.returncode == 0, valid.stdout[-2000:]
    assert "(ERRORS: 0, FUTURE_ERRORS: 0, WARNINGS: 0)" in valid.stdout + valid.stderr
    asked = subprocess.run(
        [mf, "query", "--metrics", "deployments", "--group-by", "service", "--csv", "answer.csv", "--quiet"],
        cwd=root,
        env=environment(realistic),
        capture_output=True,
        text=True,
    )
    assert asked.returncode == 0, asked.stdout[-2000:] + asked.stderr[-2000:]
    with duckdb.connect(os.path.realpath(realistic.storage.published / "analytics.duckdb"), read_only=True) as database:
        expected = database.execute(
            "select service, sum(deployments) from delivery.deployment_frequency_daily group by all"
        ).fetchall()
    lines = (root / "answer.csv").read_text(encoding="utf-8").splitlines()
    assert sorted(lines[1:]) == sorted(f"{service},{int(count)}" for service, count in expected)
