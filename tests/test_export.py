"""What is asked of the published marts as a file or a chart; and what there is to ask for."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import openpyxl
import polars
import pytest
from handmade import Handmade

from agent_analytics import chart, cli, export
from agent_analytics.errors import AnalyticsError
from agent_analytics.query import open_published, run_query, write_parquet
from agent_analytics.storage import PROJECT_ROOT

EVERYTHING = (
    "select 123456789012.123456::decimal(18,6) as money, 1.5::decimal(18,6) as price, 9007199254740993 as big,"
    " 12::hugeint as total, 'a \"b\", é' as text, '=1+1' as formula, null as nothing, 'nan'::double as rate,"
    " timestamp '2026-01-02 03:04:05.5' as at, date '2026-01-02' as day, [1, 2] as list, true as flag"
)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Handmade:
    made = Handmade(tmp_path_factory.mktemp("export"), descriptions={"spend": "What was spent. In detail: all of it."})
    made.build().publish()
    return made


@pytest.fixture
def made(published: Handmade, monkeypatch: pytest.MonkeyPatch) -> Handmade:
    monkeypatch.setenv("ANALYTICS_STORAGE", str(published.root))
    monkeypatch.delenv("EXPORT_MAX_ROWS", raising=False)
    return published


def fails(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert cli.execute(list(arguments)) == 1
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1
    return printed.err.removeprefix("agent-analytics: ").rstrip("\n")


# Files


@pytest.mark.parametrize("suffix", ["csv", "json", "parquet", "xlsx"])
def test_the_name_of_the_file_says_what_it_becomes(made: Handmade, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"answer.{suffix}"
    assert cli.execute(["query", "from spend order by date", "--out", str(out)]) == 0
    readers: dict[str, Any] = {
        "csv": lambda: len(list(csv.DictReader(out.open()))),
        "json": lambda: len(json.loads(out.read_text())),
        "parquet": lambda: polars.read_parquet(out).height,
        "xlsx": lambda: openpyxl.load_workbook(out).active.max_row - 1,
    }
    assert readers[suffix]() == 5
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


def test_parquet_keeps_money_exact_and_marks_times_as_utc(made: Handmade, tmp_path: Path) -> None:
    out = tmp_path / "x.parquet"
    write_parquet(made.storage, EVERYTHING, out)
    frame = polars.read_parquet(out)
    assert frame.schema["money"] == polars.Decimal(18, 6)
    assert frame.schema["total"] == polars.Decimal(38, 0)
    assert frame.schema["at"] == polars.Datetime("us", "UTC")
    assert frame["money"][0] == Decimal("123456789012.123456")
    assert frame["big"][0] == 9007199254740993
    assert frame["at"][0].replace(tzinfo=None) == datetime(2026, 1, 2, 3, 4, 5, 500_000)


def test_excel_shows_values_as_they_are(made: Handmade, tmp_path: Path) -> None:
    out = tmp_path / "x.xlsx"
    export.write(made.storage, EVERYTHING, "excel", out)
    header, values = openpyxl.load_workbook(out).active.iter_rows()
    row = {name.value: value for name, value in zip(header, values, strict=True)}
    assert {name: cell.value for name, cell in row.items()} == {
        # More digits than Excel's numbers have: kept as text.
        "money": "123456789012.123456",
        "big": "9007199254740993",
        "price": 1.5,
        "total": 12,
        "text": 'a "b", é',
        "formula": "=1+1",
        "nothing": None,
        "rate": None,
        "at": datetime(2026, 1, 2, 3, 4, 5, 500_000),
        "day": datetime(2026, 1, 2),
        "list": "[1, 2]",
        "flag": True,
    }
    assert row["formula"].data_type == "s" and row["day"].number_format == "yyyy-mm-dd"


def test_excel_holds_control_characters_and_refuses_what_it_cannot_hold(
    made: Handmade, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "x.xlsx"
    export.write(made.storage, "select 'a' || chr(1) || 'b' as text", "excel", out)
    openpyxl.load_workbook(out)
    with pytest.raises(AnalyticsError, match="32,767 characters"):
        export.write(made.storage, "select repeat('x', 40000)", "excel", tmp_path / "y.xlsx")
    monkeypatch.setattr(export, "EXCEL_ROWS", 10)
    with pytest.raises(AnalyticsError, match="a sheet holds 10 rows"):
        export.write(made.storage, "from range(11)", "excel", tmp_path / "y.xlsx")
    assert [path.name for path in tmp_path.iterdir()] == ["x.xlsx"]


@pytest.mark.parametrize("kind", ["csv", "json", "parquet", "excel"])
def test_a_failed_answer_leaves_the_file_that_was_there(made: Handmade, tmp_path: Path, kind: str) -> None:
    out = tmp_path / "x"
    out.write_text("before")
    for sql in ("select nope from spend", "drop table spend", "select error('late') from spend"):
        with pytest.raises(AnalyticsError):
            export.write(made.storage, sql, kind, out)
    assert out.read_text() == "before" and list(tmp_path.iterdir()) == [out]


def test_a_folder_that_is_absent_is_one_line(
    made: Handmade, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = fails(capsys, "query", "from spend", "--out", str(tmp_path / "none" / "x.csv"))
    assert line == f"{tmp_path}/none is not a folder: make it first"
    assert "can't be written" in fails(capsys, "query", "from spend", "--format", "csv", "--out", str(tmp_path))


def test_parquet_and_excel_go_through_a_pipe(made: Handmade) -> None:
    command = [sys.executable, "-m", "agent_analytics.cli", "query", "from spend order by date", "--format"]
    for kind in ("parquet", "excel"):
        done = subprocess.run([*command, kind], cwd=PROJECT_ROOT, capture_output=True, check=True)
        content = io.BytesIO(done.stdout)
        rows = polars.read_parquet(content).height if kind == "parquet" else openpyxl.load_workbook(content).active
        assert rows == 5 if kind == "parquet" else rows.max_row == 6


@pytest.mark.parametrize(
    "arguments",
    [
        ["--out", "x.txt"],
        ["--out", "x.csv", "--format", "table"],
        ["--chart", "--format", "csv"],
        ["--chart", "--out", "x.csv"],
    ],
)
def test_wrong_usage_is_status_2(made: Handmade, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.execute(["query", "from spend", *arguments]) == 2


# The limit


@pytest.mark.parametrize("kind", ["table", "csv", "json", "parquet", "excel"])
def test_no_answer_is_longer_than_the_limit(
    made: Handmade, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EXPORT_MAX_ROWS", "3")
    to = [] if kind == "table" else ["--out", str(tmp_path / "x")]
    assert cli.execute(["query", "from spend", "--max-rows", "4", "--format", kind, *to]) == 0
    printed = capsys.readouterr()
    assert printed.err.splitlines()[-1] == "only the first 3 rows are shown: set EXPORT_MAX_ROWS higher for more"
    found = {
        "table": lambda: printed.out.count("\n") - 1,
        "csv": lambda: len((tmp_path / "x").read_text().splitlines()) - 1,
        "json": lambda: len(json.loads((tmp_path / "x").read_text())),
        "parquet": lambda: polars.read_parquet(tmp_path / "x").height,
        "excel": lambda: openpyxl.load_workbook((tmp_path / "x").open("rb")).active.max_row - 1,
    }[kind]()
    assert found == 3


def test_an_answer_of_just_the_limit_is_whole(
    made: Handmade, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EXPORT_MAX_ROWS", "5")
    for kind in ("csv", "parquet"):
        assert cli.execute(["query", "from spend", "--format", kind, "--out", str(tmp_path / "x")]) == 0
    assert "only the first" not in capsys.readouterr().err


@pytest.mark.parametrize("value", ["many", "0", "-1", "1.5"])
def test_a_limit_that_is_no_number_is_one_line(
    made: Handmade, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EXPORT_MAX_ROWS", value)
    assert "set it to a whole number of rows" in fails(capsys, "query", "from spend")


# Out of reach: nothing but the one file


def test_parquet_is_written_in_the_order_asked_for_whatever_reads(made: Handmade, tmp_path: Path) -> None:
    out = tmp_path / "x.parquet"
    for sql in (
        "from range(300000) r(i) order by -i; -- why",
        "describe spend",
        "pivot spend on label using count(*) order by all",
    ):
        write_parquet(made.storage, sql, out)
        assert duckdb.sql(f"from '{out}'").fetchall() == run_query(made.storage, sql).rows


@pytest.mark.parametrize(
    "sql",
    [
        "copy (select 1) to '{folder}/other.csv'",
        "select * from read_text('{folder}/secret')",
        "from '{folder}/secret.csv'",
        "select * from glob('{folder}/*')",
        "select 1) to '{folder}/other.parquet' (format parquet); select (1",
        "select 1); attach '{folder}/other.duckdb' as other; select (1",
    ],
)
def test_an_export_reaches_no_other_file(made: Handmade, tmp_path: Path, sql: str) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "secret.csv").write_text("secret\n1\n")
    with pytest.raises(AnalyticsError):
        write_parquet(made.storage, sql.format(folder=tmp_path), tmp_path / "x.parquet")
    assert {path.name for path in tmp_path.iterdir()} <= {"secret", "secret.csv"}


def test_the_connection_that_writes_one_file_cannot_write_beside_it(made: Handmade, tmp_path: Path) -> None:
    out = tmp_path / "x.parquet"
    with open_published(made.storage, writes=out) as connection:
        for path in (tmp_path / "y.parquet", f"{out}.y", f"{out}/../y", made.storage.published / "spend.parquet"):
            with pytest.raises(duckdb.Error):
                connection.execute(f"copy (select 1) to '{path}' (format parquet)")
        for setting in ("allowed_paths = ['/etc/passwd']", "allowed_directories = ['/']"):
            with pytest.raises(duckdb.Error):
                connection.execute(f"set {setting}")
    assert not out.exists() and not (tmp_path / "y").exists()


# Charts


def test_a_chart_draws_a_line_for_each_number_over_time(made: Handmade, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.execute(["query", "select date, messages, rate from spend order by date", "--chart"]) == 0
    drawn = capsys.readouterr().out
    assert "messages" in drawn and "rate" in drawn and "2026-01-01" in drawn and "2026-01-05" in drawn
    assert "\x1b" not in drawn


def test_a_line_rises_with_its_values() -> None:
    rows = [(date(2026, 1, day), Decimal(day)) for day in range(1, 11)]
    lines = chart.chart(("date", "usd"), rows, 60, 12).splitlines()
    inside = [line.split("┤")[-1].split("│")[1 if line.count("│") > 1 else 0] for line in lines if "│" in line]
    first = [len(line) - len(line.lstrip()) for line in inside if line.strip()]
    assert first == sorted(first, reverse=True) and first[0] > 40 and first[-1] < 5


def test_texts_beside_a_date_become_series_and_alone_become_bars() -> None:
    rows = [(date(2026, 1, day), name, day) for day in (1, 2, 3) for name in ("ada", "bob")]
    drawn = chart.chart(("date", "who", "n"), rows, 80, 15)
    assert "ada" in drawn and "bob" in drawn
    bars = chart.chart(("who", "n"), [("ada", 1), ("bob", 2), ("eve", None)], 60, 15).splitlines()
    assert bars[1].count("▇") * 2 == pytest.approx(bars[2].count("▇"), abs=2)


def test_numbers_are_plotted_over_the_first_and_gaps_are_left_out() -> None:
    assert "3.0" in chart.chart(("x", "y"), [(1, 1.0), (2, None), (3, float("nan")), (None, 9.0), (4, 3.0)], 60, 12)


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([], "no rows"),
        ([("a", "b")], "a chart takes"),
        ([("a", None)], "a chart takes"),
        ([(date(2026, 1, 1), float("nan"))], "no row has both"),
        ([(str(i), i) for i in range(60)], "60 bars are too many"),
        ([("a", -1)], "negative"),
    ],
)
def test_what_cannot_be_drawn_says_why(rows: list[tuple[Any, ...]], why: str) -> None:
    with pytest.raises(AnalyticsError, match=why):
        chart.chart(("x", "y"), rows, 60, 12)


# The catalogue


def test_marts_lists_every_mart_with_rows_freshness_and_description(
    made: Handmade, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.execute(["marts"]) == 0
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split() == ["family", "mart", "rows", "newest", "event", "freshness", "description"]
    assert [line.split()[1] for line in lines] == ["budgets", "spend", "deployments", "targets", "efficiency"]
    assert lines[1].split("  ")[-1] == "What was spent." and "2026-01-01 23:00" in lines[1] and "current" in lines[1]
    assert cli.execute(["marts", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[1]["rows"] == 5


def test_a_stale_mart_is_listed_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = Handmade(tmp_path).build()
    made.publish()
    made.build({"efficiency": made.rows("efficiency", 8)}).fail_gate("swarm")
    made.publish(1)
    monkeypatch.setenv("ANALYTICS_STORAGE", str(tmp_path))
    assert cli.execute(["marts"]) == 0
    assert "stale since 2026-01-02 13:00" in capsys.readouterr().out.splitlines()[-1]


@pytest.mark.parametrize("name", ["spend", "costs.spend", "SPEND"])
def test_describe_shows_the_columns_with_their_meaning(
    made: Handmade, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.execute(["describe", name]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[:2] == ["costs.spend: 5 rows, current", "What was spent. In detail: all of it."]
    assert "rate            DOUBLE         A third of the messages" in printed
    assert cli.execute(["describe", name, "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["columns"]) == 7


def test_a_mart_that_is_unknown_is_one_line(made: Handmade, capsys: pytest.CaptureFixture[str]) -> None:
    assert fails(capsys, "describe", "spent") == "there is no published mart spent: did you mean spend?"
    assert fails(capsys, "describe", "zzz") == "there is no published mart zzz: agent-analytics marts lists them"


def test_columns_of_one_name_are_all_there_and_named_as_in_parquet(made: Handmade, tmp_path: Path) -> None:
    sql = "select a.tenant_id, 2 as v, b.tenant_id, 3 as V from spend a join spend b using (date) order by date limit 1"
    for kind in ("json", "parquet"):
        assert cli.execute(["query", sql, "--out", str(tmp_path / f"answer.{kind}")]) == 0
    (row,) = json.loads((tmp_path / "answer.json").read_text())
    assert row == {"tenant_id": "t0", "v": 2, "tenant_id_1": "t0", "V_1": 3}
    assert list(row) == duckdb.sql(f"from '{tmp_path / 'answer.parquet'}'").columns


def test_lists_in_csv_are_json(made: Handmade, capsys: pytest.CaptureFixture[str]) -> None:
    sql = "select [1.5::decimal(18,6), null] as list, {'a': 'b', 'at': date '2026-01-02'} as struct, [] as nothing"
    assert cli.execute(["query", sql, "--format", "csv"]) == 0
    _, row = csv.reader(io.StringIO(capsys.readouterr().out))
    assert row == ["[1.500000, null]", '{"a": "b", "at": "2026-01-02"}', "[]"]


@pytest.mark.parametrize("suffix", ["csv", "json", "parquet", "xlsx"])
def test_a_file_that_cannot_be_written_is_one_line(
    made: Handmade, tmp_path: Path, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    line = fails(capsys, "query", "select 1", "--out", str(tmp_path / f"{'x' * 300}.{suffix}"))
    assert "too long" in line and "unexpected" not in line


@pytest.mark.parametrize("folder", [".", "..", "/"])
def test_a_folder_is_no_file_to_write(
    made: Handmade, tmp_path: Path, folder: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for command in (["query", "select 1", "--format", "csv"], ["report"], ["export", "experiment", "x"]):
        assert (
            fails(capsys, *command, "--out", folder)
            == f"{folder} can't be written: it is a folder, so name a file in it"
        )
