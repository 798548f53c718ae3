"""Readers of the published version: what docs/bi.md tells them to do works, and shows the same numbers."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import duckdb
import openpyxl
import polars
import pytest
import sqlalchemy
import yaml
from handmade import Handmade

from agent_analytics.publish import PUBLICATIONS
from agent_analytics.storage import PROJECT_ROOT

PAGE = (PROJECT_ROOT / "docs" / "bi.md").read_text(encoding="utf-8")
BLOCKS = [
    (heading.strip(), language, code)
    for section in PAGE.split("\n## ")[1:]
    for heading in [section.split("\n")[0]]
    for language, code in re.findall(r"```(\w*)\n(.*?)```", section, re.DOTALL)
]


class Spend(Handmade):
    """One mart, by the name that the page uses."""

    MARTS: ClassVar = {"provider_costs": ["spend_monthly"]}

    @staticmethod
    def rows(mart: str, count: int = 6, double: str = "") -> str:
        return (
            "select 't' || i as tenant_id, (date '2026-01-01' + to_months((i % 2)::int))::date as month,"
            " (i + 0.000001)::decimal(18,6) as spend_usd, timestamp '2026-01-02 03:04:05' as at,"
            " 1::bigint as loaded_through"
            f" from range({count}) as r(i)"
        )


MONTHS = [(date(2026, 1, 1), Decimal("6.000003")), (date(2026, 2, 1), Decimal("9.000003"))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds storage/, with a published version."""
    folder = tmp_path_factory.mktemp("bi")
    (folder / "storage").mkdir()
    made = Spend(folder / "storage").build(
        {"spend_monthly": f"select * replace (month::date as month) from ({Spend.rows('')})"}
    )
    assert made.publish().failed == []
    return folder


def blocks(language: str) -> list[tuple[str, str]]:
    return [(heading, code) for heading, found, code in BLOCKS if found == language and "not run" not in code]


@pytest.mark.parametrize(("heading", "code"), blocks("python"), ids=[heading for heading, _ in blocks("python")])
def test_a_python_snippet_shows_what_is_published(folder: Path, heading: str, code: str) -> None:
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "2026-01-01" in done.stdout and "6.000003" in done.stdout and "9.000003" in done.stdout


@pytest.mark.parametrize(("heading", "code"), blocks("sql"), ids=[heading for heading, _ in blocks("sql")])
def test_the_statements_for_duckdb_answer(folder: Path, heading: str, code: str) -> None:
    with duckdb.connect(os.path.realpath(folder / "storage/published/analytics.duckdb"), read_only=True) as published:
        spend, publications, columns = (published.execute(statement).fetchall() for statement in code.split(";\n")[:3])
    assert spend == MONTHS
    assert [row[:2] for row in publications] == [("spend_monthly", 6)]
    assert [row[:2] for row in columns][2:4] == [("spend_usd", "DECIMAL(18,6)"), ("at", "TIMESTAMP")]


def test_the_excel_command_makes_a_sheet(folder: Path, tmp_path: Path) -> None:
    [(_, code)] = [block for block in blocks("sh") if block[0] == "Excel"]
    command = code.replace("agent-analytics", f"{sys.executable} -m agent_analytics.cli")
    environment = os.environ | {"ANALYTICS_STORAGE": str(folder / "storage"), "PYTHONPATH": str(PROJECT_ROOT)}
    subprocess.run(["bash", "-euc", command], cwd=tmp_path, env=environment, check=True, capture_output=True)
    header, *rows = openpyxl.load_workbook(tmp_path / "spend.xlsx").active.iter_rows(values_only=True)
    assert header[:3] == ("tenant_id", "month", "spend_usd") and len(rows) == 6


def test_supersets_address_is_one_that_sqlalchemy_opens_read_only(folder: Path) -> None:
    [address] = [code.strip() for heading, _, code in BLOCKS if heading == "Superset"]
    engine = sqlalchemy.create_engine(address.replace("/srv/agent-analytics", str(folder)))
    with engine.connect() as connection:
        sql = "select month, sum(spend_usd) from provider_costs.spend_monthly group by month order by month"
        assert [tuple(row) for row in connection.execute(sqlalchemy.text(sql))] == MONTHS
        assert "spend_monthly" in sqlalchemy.inspect(engine).get_table_names(schema="provider_costs")
        with pytest.raises(sqlalchemy.exc.DBAPIError, match="read-only"):
            connection.execute(sqlalchemy.text("drop table provider_costs.spend_monthly"))
    engine.dispose()


def test_the_file_is_of_the_format_that_every_duckdb_1_x_reads(folder: Path) -> None:
    header = (folder / "storage/published/analytics.duckdb").read_bytes()[:20]
    assert (header[8:12], int.from_bytes(header[12:20], "little")) == (b"DUCK", 64)


def test_parquet_has_exact_money_and_times_in_utc(folder: Path) -> None:
    schema = polars.scan_parquet(folder / "storage/published/spend_monthly.parquet").collect_schema()
    assert schema["spend_usd"] == polars.Decimal(18, 6)
    assert schema["at"] == polars.Datetime("us", "UTC")
    assert schema["month"] == polars.Date


def test_pandas_reads_parquet_with_decimals_through_pyarrow(folder: Path) -> None:
    pytest.importorskip("pyarrow")
    import pandas

    path = folder / "storage/published/spend_monthly.parquet"
    frame = pandas.read_parquet(path, dtype_backend="pyarrow")
    assert frame.groupby("month")["spend_usd"].sum().tolist() == [usd for _, usd in MONTHS]
    assert str(frame["at"].dtype) == "timestamp[us, tz=UTC][pyarrow]"


def test_every_table_and_column_of_the_snapshot_that_is_described_has_its_comment(folder: Path) -> None:
    with duckdb.connect(os.path.realpath(folder / "storage/published/analytics.duckdb"), read_only=True) as published:
        tables = dict(published.execute("select table_name, comment from duckdb_tables()").fetchall())
        assert tables["spend_monthly"] == "The spend_monthly's description"
        assert tables["publications"] and tables["watermarks"] and tables["pipeline_runs"]
        sql = "select table_name, column_name from duckdb_columns() where schema_name = 'ops' and comment is null"
        assert published.execute(sql).fetchall() == []


# Superset's bundle

BUNDLE = PROJECT_ROOT / "bi" / "superset" / "bundle"


def bundle(kind: str) -> dict[str, dict[str, Any]]:
    """The files of a kind, by their uuid."""
    found = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in (BUNDLE / kind).rglob("*.yaml")]
    return {entry["uuid"]: entry for entry in found}


def test_supersets_datasets_are_the_marts_with_their_columns_and_types() -> None:
    marts = {}
    for path in (PROJECT_ROOT / "models" / "marts").rglob("*.yml"):
        for model in yaml.safe_load(path.read_text(encoding="utf-8")).get("models", []):
            columns = {column["name"]: column["data_type"].upper() for column in model["columns"]}
            marts[path.parent.name, model["name"]] = columns
    marts["ops", "publications"] = {name: kind for name, kind, _ in PUBLICATIONS}
    for dataset in bundle("datasets").values():
        assert dataset["database_uuid"] in bundle("databases")
        if dataset["sql"]:
            assert set(re.findall(r"\w+_count", dataset["sql"])) <= set(marts["funnels", "activation_funnel_weekly"])
        else:
            known = marts[dataset["schema"], dataset["table_name"]]
            shown = {column["column_name"]: column["type"] for column in dataset["columns"]}
            assert shown.items() <= known.items()
            words = {word for metric in dataset["metrics"] for word in re.findall(r"[a-z_]+", metric["expression"])}
            assert words - {"sum", "nullif", "count", "max", "filter", "where"} <= set(known)
        assert dataset["main_dttm_col"] in {None, *(column["column_name"] for column in dataset["columns"])}


def test_supersets_charts_ask_for_what_their_datasets_have_and_are_on_the_dashboard() -> None:
    datasets, charts = bundle("datasets"), bundle("charts")
    for chart in charts.values():
        dataset, asked = datasets[chart["dataset_uuid"]], chart["params"]
        columns = {column["column_name"] for column in dataset["columns"]}
        metrics = {metric["metric_name"] for metric in dataset["metrics"]}
        assert {*asked.get("metrics", []), *filter(None, [asked.get("metric")])} <= metrics
        named = {*asked.get("groupby", []), *asked.get("all_columns", []), *filter(None, [asked.get("x_axis")])}
        assert named <= columns and chart["description"]
        assert chart["viz_type"] == asked["viz_type"]
    [dashboard] = bundle("dashboards").values()
    parts = [part for part in dashboard["position"].values() if isinstance(part, dict)]
    placed = [part["meta"]["uuid"] for part in parts if part["type"] == "CHART"]
    assert sorted(placed) == sorted(charts)
    for found in dashboard["metadata"]["native_filter_configuration"]:
        for target in found["targets"]:
            names = {column["column_name"] for column in datasets[target["datasetUuid"]]["columns"]}
            assert target["column"]["name"] in names
