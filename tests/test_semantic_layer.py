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
    # The newest month is open, and the days of the time spine go on until its end.
    ("spend_month_to_date_usd", "metric_time__month"): """
        select date_trunc('month', date), sum(cost_usd) from provider_costs.provider_calls_daily group by all
    """,
    ("usage_cost_month_to_date_usd", "tenant,metric_time__month"): """
        select tenant_id, date_trunc('month', date), sum(total_cost_usd)
        from platform_usage.usage_cost_daily
        group by all
    """,
    ("crc_failure_rate", "blueprint"): """
        select blueprint_id, avg((not succeeded)::int) from staging.stg_crc__tasks group by all
    """,
}

# Marts of a few rows, and questions whose answers anyone can reckon. The only customer on basic moves to plus in April.
BY_HAND = """
    create schema revenue;
    create table revenue.unit_economics_monthly as
    from (values ('basic', date '2026-03-01', 1), ('plus', date '2026-03-01', 2), ('plus', date '2026-04-01', 3))
        as rows (plan, month, customers);
    create table revenue.revenue_cohorts_monthly as
    from (values
        (date '2026-03-01', 0, 10, 10, 100), (date '2026-03-01', 1, 10, 8, 80), (date '2026-04-01', 0, 5, 4, 50)
    ) as rows (cohort_month, months_since_start, customers, active_customers, mrr_usd);
    create schema customer_health;
    create table customer_health.retention_weekly as
    from (values (date '2026-03-02', 0, 10, 10), (date '2026-03-02', 1, 10, 7), (date '2026-03-09', 0, 6, 6))
        as rows (cohort_week, weeks_since, cohort_users, active_users);
"""
BY_HAND_ANSWERS: list[tuple[str, list[str], list[tuple[Any, ...]]]] = [
    ("plan_customers", [], [(3,)]),
    ("plan_customers", ["plan"], [("plus", 3)]),
    ("plan_customers", ["metric_time__month"], [("2026-03-01 00:00:00", 3), ("2026-04-01 00:00:00", 3)]),
    ("cohort_mrr_usd", [], [(None,)]),
    ("cohort_mrr_usd", ["metric_time__month"], [("2026-03-01 00:00:00", None), ("2026-04-01 00:00:00", 50)]),
    ("cohort_mrr_usd", ["revenue_cohort_month__months_since_start"], [(0, 150), (1, 80)]),
    ("cohort_active_customers", ["metric_time__month"], [("2026-03-01 00:00:00", None), ("2026-04-01 00:00:00", 4)]),
    ("cohort_active_customers", ["revenue_cohort_month__months_since_start"], [(0, 14), (1, 8)]),
    ("customer_retention", ["revenue_cohort_month__months_since_start"], [(0, 14 / 15), (1, 0.8)]),
    ("retained_users", ["metric_time__week"], [("2026-03-02 00:00:00", None), ("2026-03-09 00:00:00", 6)]),
    ("retained_users", ["cohort_week__weeks_since"], [(0, 16), (1, 7)]),
    ("user_retention", ["cohort_week__weeks_since"], [(0, 1), (1, 0.7)]),
]


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


def environment(storage: Path) -> dict[str, str]:
    return {**os.environ, "ANALYTICS_STORAGE": str(storage)}


def ask(questions: list[Row], root: Path, storage: Path) -> list[list[Row]]:
    """Answers of `mf` over what that storage has published: one process for all of them."""
    asked = subprocess.run(
        [sys.executable, str(PROJECT_ROOT / "tests" / "metric_queries.py")],
        input=json.dumps(questions),
        cwd=root,
        env=environment(storage),
        capture_output=True,
        text=True,
    )
    assert asked.returncode == 0, asked.stderr[-3000:]
    return list(json.loads(asked.stdout))


@pytest.fixture(scope="module")
def answers(realistic: World, root: Path, semantic: Layer) -> dict[str, list[Row]]:
    """Answers of all questions about the realistic world, by what they are about."""
    questions: dict[str, Row] = {}
    for mart in semantic.marts:
        if metrics := [metric.name for metric in own_columns(semantic, mart)]:
            questions[f"own:{mart}"] = {"metrics": metrics, "group_by": list(semantic.grain(mart))}
    for metric, by in ELSEWHERE:
        questions[f"elsewhere:{metric}:{by}"] = {"metrics": [metric], "group_by": by.split(",")}
    for mart in semantic.marts:
        if guarded := [metric.name for metric in semantic.metrics_of(mart) if metric.exact_in_mart]:
            questions[f"coarse:{mart}"] = {"metrics": guarded}
    for name in semantic.saved_queries:
        questions[f"saved:{name}"] = {"saved_query": name}
    return dict(zip(questions, ask(list(questions.values()), root, realistic.root), strict=True))


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
            expected = {key(row[:-1]): row[-1] for row in warehouse.execute(sql).fetchall()}
        said = {key(row[name] for name in by.split(",")): row[metric] for row in answers[f"elsewhere:{metric}:{by}"]}
        assert expected, metric
        wrong = {at: (said.get(at), value) for at, value in expected.items() if not same(said.get(at), value)}
        assert wrong == {}, metric


def test_stocks_and_cohorts_are_not_summed_over_time(root: Path, tmp_path: Path) -> None:
    (tmp_path / "published").mkdir()
    with duckdb.connect(str(tmp_path / "published" / "analytics.duckdb")) as database:
        database.execute(BY_HAND)
    questions = [{"metrics": [metric], "group_by": by} for metric, by, _ in BY_HAND_ANSWERS]
    wrong = []
    for (metric, by, expected), rows in zip(BY_HAND_ANSWERS, ask(questions, root, tmp_path), strict=True):
        said = {key(row[name] for name in by): row[metric] for row in rows}
        wanted = {key(row[:-1]): row[-1] for row in expected}
        if said.keys() != wanted.keys() or not all(same(said[at], value) for at, value in wanted.items()):
            wrong.append((metric, by, said))
    assert wrong == []


def test_what_runs_to_date_ends_with_the_period_and_what_has_a_window_is_for_days(semantic: Layer) -> None:
    to_date, windowed = 0, {name for name in semantic.metrics if "_7d" in name or "_28d" in name or "_30d" in name}
    for node in semantic.document["metrics"].values():
        cumulative = node["type_params"]["cumulative_type_params"] or {}
        if cumulative.get("grain_to_date"):
            to_date += 1
            assert cumulative["period_agg"] == "last", node["name"]
            assert any("the value at its end" in caveat for caveat in semantic.metrics[node["name"]].caveats)
        elif cumulative:
            assert node["name"] in windowed
    assert to_date == 7
    said = {name for name, metric in semantic.metrics.items() if "by metric_time__day only" in metric.caveats}
    exact = {name for name in windowed if semantic.metrics[name].exact_in_mart}
    assert said == windowed - exact
    assert {"messages_7d", "deployments_per_day_7d", "deployments_delta_7d", "messages_change_7d_pct"} <= said


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
        env=environment(realistic.root),
        capture_output=True,
        text=True,
    )
    assert valid.returncode == 0, valid.stdout[-2000:]
    assert "(ERRORS: 0, FUTURE_ERRORS: 0, WARNINGS: 0)" in valid.stdout + valid.stderr
    asked = subprocess.run(
        [mf, "query", "--metrics", "deployments", "--group-by", "service", "--csv", "answer.csv", "--quiet"],
        cwd=root,
        env=environment(realistic.root),
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
