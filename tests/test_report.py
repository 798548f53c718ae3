"""The page of headline numbers: complete by itself, true to the marts, and safe against what names hold."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import ClassVar

import pytest
import yaml
from alerts_world import Kpi, Published
from handmade import Handmade

from agent_analytics import alerts, cli, report
from agent_analytics.report import drawing, measures
from agent_analytics.storage import PROJECT_ROOT, Storage


class Board(Handmade):
    """Some of the marts that the page shows, with a few rows. The data clock is midnight of 2 January 2026."""

    MARTS: ClassVar = {
        "goals": ["goal_kpis"],
        "platform_usage": ["platform_metrics_daily", "platform_overview"],
        "provider_costs": ["execution_rollup_daily"],
        "customer_health": ["customer_health_daily", "time_to_value"],
        "funnels": ["activation_funnel_weekly"],
    }
    REFS: ClassVar = {}
    SELECTS: ClassVar = {
        "goal_kpis": (
            "select * replace (value::double as value, previous_value::double as previous_value,"
            " change_pct::double as change_pct) from (values"
            " ('spend_usd', 'provider_costs', 1234.5, 1000.0, 23.45, 'usd', 'critical', false),"
            " ('game_stuck_rate', 'game', 0.125, null, null, 'rate', 'none', true),"
            " ('messages', 'platform_usage', 900, 1000, -10, 'count', 'ok', false),"
            " ('mttr_minutes', 'swarm', 30, 60, -50, 'minutes', 'warning', false),"
            " ('<script>alert(1)</script>', 'a&b', 1, 2, -50, 'count', 'ok', false))"
            " g(goal, family, value, previous_value, change_pct, unit, status, is_stale)"
        ),
        # Every day until 31 December 2025 has 5 messages of t0 and 10 of t1; the newest two are none of t0's.
        "platform_metrics_daily": (
            "select 't' || t as tenant_id, date '2026-01-01' - i::int as date, 5 * (t + 1) as messages,"
            " 0::bigint as conversations from range(100) r(i), range(2) s(t) where t = 1 or i > 1"
        ),
        "platform_overview": (
            "select 't' || t as tenant_id, 30 as window_days, 7 + t as unique_users,"
            " 14::bigint as previous_unique_users,"
            " 120.5::double as avg_response_time_ms, 100::double as previous_avg_response_time_ms,"
            " 0.25::double as error_rate, null::double as previous_error_rate from range(2) r(t)"
        ),
        "execution_rollup_daily": (
            "select 't1' as tenant_id, date '2025-12-31' - 2 * i::int as date, 4::bigint as total_executions,"
            " 3::bigint as successful_executions, 1.25::decimal(18,6) as total_cost_usd from range(30) r(i)"
        ),
        "customer_health_daily": (
            "select 't1' as tenant_id, date '2025-12-31' - i::int as date, 'low' as churn_risk,"
            " 80::double as engagement_score from range(5) r(i)"
        ),
        "time_to_value": (
            "select 't1' as tenant_id, timestamp '2025-10-01 10:00' as signed_up_at,"
            " timestamp '2025-10-01 12:30' as first_agent_at, 2.5::double as hours_to_first_agent,"
            + ", ".join(
                f"null::timestamp as first_{step}_at, null::double as hours_to_first_{step}"
                for step in ("deploy", "conversation", "resolved")
            )
        ),
        "activation_funnel_weekly": (
            "select date '2025-10-06' + 7 * i::int as week, 4 as signup_count, 2 as agent_count, 1 as deploy_count,"
            " 1 as conversation_count, 0 as workflow_count, 0 as subscription_count,"
            " 0.0::double as overall_completion_rate from range(10) r(i)"
        ),
    }


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Board:
    board = Board(tmp_path_factory.mktemp("board") / "storage")
    board.root.mkdir()
    assert board.build(board.SELECTS).publish().failed == []
    return board


@pytest.fixture(autouse=True)
def own_operations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANALYTICS_OPERATIONS_URL", raising=False)


def text(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page.split("</style>")[1]).split())


def charts(page: str) -> dict[str, list[list[tuple[float, float]]]]:
    """The points of the lines of each chart, by its title; those of small ones are left out."""
    found = re.findall(r'<svg class="chart".*?aria-label="([^"]+)">(.*?)</svg>', page)
    return {
        title: [
            [tuple(map(float, point.split(","))) for point in points.split()]  # type: ignore[misc]
            for points in re.findall(r'<polyline class="line" points="([^"]+)"', drawn)
        ]
        for title, drawn in found
    }


# The numbers


def test_the_numbers_are_those_of_the_marts(board: Board) -> None:
    page = text(report.html(board.storage))
    assert "Provider spend critical $1,234.50 ▲ 23.4% before: $1,000" in page
    assert "Messages 900 ▼ 10.0% worse before: 1,000" in page
    assert "Time to resolve warning 30 min ▼ 50.0% better before: 60 min" in page
    assert "Sessions stuck stale 12.5% nothing before it" in page
    assert "Version 1, published 2 January 2026, 12:00 UTC. All tenants." in page
    assert "Data up to 2 January 2026, 00:00 UTC" in page
    assert "signup 40 100% agent 20 50% deploy 10 25%" in page
    assert "tenants that began in the weeks from 6 Oct 2025 to 8 Dec 2025" in page


@pytest.mark.parametrize(
    ("better", "change", "side", "said"),
    [
        ("up", 5.0, "good", "▲ 5.0% better"),
        ("up", -5.0, "bad", "▼ 5.0% worse"),
        ("down", 5.0, "bad", "▲ 5.0% worse"),
        ("down", -1234.56, "good", "▼ 1,234.6% better"),
        ("", 5.0, "", "▲ 5.0%"),
        ("up", 0.04, "", "unchanged"),
        ("down", 0.0, "", "unchanged"),
        ("up", None, "", ""),
    ],
)
def test_a_change_says_whether_it_is_a_good_one(
    better: measures.Better, change: float | None, side: str, said: str
) -> None:
    card = report.Card("A number", "count", 1.0, 1.0, change, better)
    assert (card.side, card.delta) == (side, said)


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (None, "count", "–"),
        (0.0, "count", "0"),
        (99999.0, "count", "99,999"),
        (123456.0, "count", "123k"),
        (999499.0, "count", "999k"),
        (999600.0, "count", "1M"),
        (999.7e6, "usd", "$1B"),
        (999.6e9, "count", "1,000B"),
        (1234.5e9, "count", "1,234B"),
        (1234567.0, "count", "1.23M"),
        (-2.5, "usd", "-$2.50"),
        (-12345.0, "usd", "-$12.3k"),
        (2e9, "usd", "$2B"),
        (1.307, "rate", "130.7%"),
        (90.0, "minutes", "90 min"),
        (180.0, "minutes", "3.0 hours"),
        (1735.23, "ms", "1,735.2 ms"),
        (0.0001234, "per_hour", "0.000123"),
    ],
)
def test_a_number_is_short_and_in_its_unit(value: float | None, unit: str, shown: str) -> None:
    assert report.number(value, unit) == shown


def test_a_tenants_page_has_its_numbers_alone(board: Board) -> None:
    page = text(report.html(board.storage, "t1"))
    # 30 complete days up to 31 December, by the tenant's own calendar, and the 30 before.
    assert "Messages 300 unchanged before: 300" in page
    assert "Users 8 ▼ 42.9% worse before: 14" in page
    assert "Response time 120.5 ms ▲ 20.5% worse before: 100 ms" in page
    assert "Messages with an error 25.0% nothing before it" in page
    assert "Executions 60 unchanged before: 60" in page
    assert "Executions that succeed 75.0%" in page and "Cost of executions" in page
    assert "Engagement score 80 of 100" in page
    assert "First agent 1 October 2025, 12:30 2.5 First deployment of one not yet" in page
    assert "This tenant alone." in page and "Provider spend" not in page and "Activation" not in page


def test_days_without_a_row_count_as_nothing(board: Board) -> None:
    # t0 has no calendar of its own here: its last day is one that is over in every zone, 31 December.
    page = text(report.html(board.storage, "t0"))
    assert "Messages 145 ▼ 3.3% worse before: 150" in page and "Executions" not in page


def test_a_tenant_of_whom_nothing_is_published_is_one_line(board: Board) -> None:
    with pytest.raises(report.AnalyticsError, match=r"^nothing is published of tenant t11: did you mean t1"):
        report.html(board.storage, "t11")
    with pytest.raises(report.AnalyticsError, match=r"^nothing is published of tenant ' or true --: agent-analytics"):
        report.html(board.storage, "' or true --")


def test_what_is_stale_says_so_and_tenants_are_not_told_why(tmp_path: Path) -> None:
    made = Board(tmp_path)
    made.build(made.SELECTS).publish()
    changed = made.SELECTS["platform_metrics_daily"].replace("5 *", "6 *")
    made.build({"platform_metrics_daily": changed}).fail_gate("platform_usage")
    made.publish(1)
    page = report.html(made.storage)
    assert "Not everything here is up to date." in page
    assert "platform usage shows what was published last, stale since 2 January 2026, 13:00 UTC: " in text(page)
    assert "2 critical expectations failed" in text(page)
    assert '<figure class="is-stale"><figcaption><b>Messages</b>' in page
    assert "<figure><figcaption><b>Executions</b>" in page
    theirs = report.html(made.storage, "t1")
    assert "stale since 2 January 2026, 13:00 UTC Use and cost" in text(theirs) and "expectations" not in theirs
    assert re.search(r'is-stale">\s*<h3>Messages<span class="chip stale">', theirs)


class Later(Board):
    """The Board, then a version whose data clock is 20 days later and some of whose families fail.

    t1 is east of UTC: 1 January is over there. It has 10 messages a day, 40 of them on 1 January, 20 on those after it.
    """

    MARTS: ClassVar = {
        "platform_usage": ["platform_metrics_daily"],
        "customer_health": ["customer_health_daily"],
        "delivery": ["deployment_frequency_daily", "delivery_performance_monthly"],
    }

    def selects(self, last: str) -> dict[str, str]:
        """The marts whose last day, of t1's as of UTC's, is this."""
        return {
            "platform_metrics_daily": (
                f"select 't1' as tenant_id, date '{last}' - i::int as date, 0::bigint as conversations, case"
                f" when date '{last}' - i::int < date '2026-01-01' then 10"
                f" when date '{last}' - i::int = date '2026-01-01' then 40 else 20 end as messages from range(100) r(i)"
            ),
            "customer_health_daily": (
                f"select 't1' as tenant_id, date '{last}' - i::int as date, 'low' as churn_risk,"
                " 80::double as engagement_score from range(100) r(i)"
            ),
            "deployment_frequency_daily": (
                f"select 't1' as tenant_id, date '{last}' - i::int as date, 1 as deployments from range(100) r(i)"
            ),
            "delivery_performance_monthly": (
                "select 't1' as tenant_id, date '2025-12-01' as month, 30 as deployments, 0.2 as change_failure_rate"
            ),
        }

    def publish_both(self, *failed: str, clock: str = "2026-01-22", last: str = "2026-01-21") -> tuple[str, str]:
        """The pages of t1 of the two versions."""
        self.build(self.selects("2026-01-01")).publish()
        before = text(report.html(self.storage, "t1"))
        self.build(self.selects(last)).write_build(as_of=f"{clock}T00:00:00.000000Z")
        for family in failed:
            self.fail_gate(family)
        assert [state.name for state in self.publish(1).failed] == sorted(failed)
        return before, text(report.html(self.storage, "t1"))


def test_a_stale_calendar_of_the_tenant_holds_no_other_number_back(tmp_path: Path) -> None:
    before, after = Later(tmp_path).publish_both("customer_health")
    # Up to 1 January by the tenant's calendar: 29 * 10 + 40.
    assert "Messages 330 ▲ 10.0% better before: 300" in before
    # From 22 December to 20 January, which is over everywhere: 10 * 10 + 40 + 19 * 20; 30 * 10 before that.
    assert "Messages 520 ▲ 73.3% better before: 300" in after
    assert "Engagement score stale 80 of 100 unchanged" in after


@pytest.mark.parametrize(
    ("failed", "shown"),
    [
        (["platform_usage", "customer_health"], "330 ▲ 10.0% better"),
        # The tenant's calendar is that of another time: up to 31 December, which was over everywhere.
        (["platform_usage"], "300 unchanged"),
    ],
)
def test_the_days_that_a_stale_mart_lacks_are_no_drop(tmp_path: Path, failed: list[str], shown: str) -> None:
    made = Later(tmp_path)
    before, after = made.publish_both(*failed)
    assert "Messages 330 ▲ 10.0% better before: 300" in before
    assert f"Messages stale {shown} before: 300" in after
    assert "Messages stale 2 Nov 2025 to 31 Dec 2025" in text(report.html(made.storage))


def test_stale_days_and_months_are_counted_as_they_were_published_last(tmp_path: Path) -> None:
    before, after = Later(tmp_path).publish_both("delivery", clock="2026-02-05", last="2026-02-04")
    for page, chip in ((before, ""), (after, " stale")):
        assert f"Deployments{chip} 30 unchanged before: 30" in page
        assert f"Changes that fail{chip} 20.0% nothing before it, newest complete month" in page


class Months(Handmade):
    """Tenants with and without a row of December, the newest complete month."""

    MARTS: ClassVar = {"delivery": ["delivery_performance_monthly"], "revenue": ["mrr_movements_monthly"]}
    REFS: ClassVar = {}
    SELECTS: ClassVar = {
        "delivery_performance_monthly": (
            "select tenant_id, month::date as month, deployments, change_failure_rate from (values"
            " ('stopped', '2025-07-01', 10, 0.1), ('stopped', '2025-08-01', 10, 0.5),"
            " ('paused', '2025-10-01', 10, 0.5), ('paused', '2025-12-01', 10, 0.2),"
            " ('steady', '2025-11-01', 10, 0.4), ('steady', '2025-12-01', 10, 0.1), ('steady', '2025-12-01', 20, 0.4))"
            " d(tenant_id, month, deployments, change_failure_rate)"
        ),
        "mrr_movements_monthly": (
            "select tenant_id, month::date as month, closing_mrr_usd::decimal(18, 6) as closing_mrr_usd from (values"
            " ('stopped', '2025-07-01', 100), ('stopped', '2025-08-01', 0),"
            " ('paused', '2025-11-01', 100), ('paused', '2025-12-01', 0),"
            " ('steady', '2025-11-01', 100), ('steady', '2025-12-01', 150)) m(tenant_id, month, closing_mrr_usd)"
        ),
    }


def test_the_newest_month_is_the_one_that_is_over_and_not_the_last_with_a_row(tmp_path: Path) -> None:
    made = Months(tmp_path)
    made.build(made.SELECTS).publish()
    stopped, paused, steady = (text(report.html(made.storage, tenant)) for tenant in ("stopped", "paused", "steady"))
    assert "Changes that fail" not in stopped
    assert "Changes that fail 20.0% nothing before it, newest complete month" in paused
    # (10 * 0.1 + 20 * 0.4) / 30
    assert "Changes that fail 30.0% ▼ 25.0% better before: 40.0%, newest complete month" in steady
    # A customer without a row has no MRR, which is known.
    assert "MRR $0 before: $0, newest complete month" in stopped
    assert "MRR $0 ▼ 100.0% worse before: $100, newest complete month" in paused
    assert "MRR $150 ▲ 50.0% better before: $100, newest complete month" in steady


# The pictures


def test_a_line_has_a_point_for_each_day_inside_its_frame(board: Board) -> None:
    [line] = charts(report.html(board.storage, "t1"))["Messages"]
    width, height = drawing.CHART
    assert len(line) == report.DAYS
    assert line[0][0] == drawing.LEFT and line[-1][0] == width - drawing.RIGHT
    assert all(drawing.TOP <= y <= height - drawing.BOTTOM for _, y in line)
    assert len({y for _, y in line}) == 1


def test_an_unknown_day_is_nothing_of_a_sum_and_a_gap_of_a_share(board: Board) -> None:
    drawn = charts(report.html(board.storage))
    [line] = drawn["Executions"]
    base = drawing.CHART[1] - drawing.BOTTOM
    assert {y == base for _, y in line[0::2]} != {y == base for _, y in line[1::2]}
    assert len(drawn["Executions that succeed"]) == 30


@pytest.mark.parametrize("values", [[], [None], [1.0], [None, 2.0], [3.0, 3.0], [-1.0, None, 1e12], [0.0, 0.0]])
def test_no_series_is_too_odd_to_draw(values: list[float | None]) -> None:
    from datetime import date, timedelta

    days = [date(2026, 1, 1) + timedelta(days=place) for place in range(len(values))]
    for drawn in (drawing.sparkline(values, "a"), drawing.line_chart(days, values, "a", str)):
        assert not re.search("nan|inf", drawn)


def test_the_page_loads_nothing_and_names_are_text(board: Board) -> None:
    page = report.html(board.storage)
    found: list[tuple[str, dict[str, str | None]]] = []

    class Tags(HTMLParser):
        def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
            found.append((tag, dict(attributes)))

    Tags().feed(page)
    assert not {"script", "link", "img", "iframe"} & {tag for tag, _ in found}
    assert not any({"src", "href"} & set(attributes) for _, attributes in found)
    assert "url(" not in page and "http" not in page and "@import" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_what_is_not_published_is_left_out(tmp_path: Path) -> None:
    made = Handmade(tmp_path).build()
    made.publish()
    for page in (report.html(made.storage), report.html(made.storage, "t1")):
        assert (
            "Use and cost" not in page and "Trends" not in page and ">Funnels<" not in page and "<p>None.</p>" in page
        )


def test_open_incidents_are_listed_and_a_tenant_sees_its_own(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = [
        {
            "severity": "critical",
            "title": title,
            "family": "game",
            "status": "open",
            "opened_at": "2026-01-01T10:00:00Z",
        }
        | {"scope": scope, "scope_ref": member}
        for title, scope, member in (("A world", "world", "t1"), ("Of t1", "tenant", "t1"), ("Of t0", "tenant", "t0"))
    ]
    monkeypatch.setattr(report.desk, "listed", lambda _: opened)
    everyone, theirs = text(report.html(board.storage)), text(report.html(board.storage, "t1"))
    assert "critical A world game 1 Jan 2026, 10:00 open critical Of t1" in everyone and "Of t0" in everyone
    assert "Of t1" in theirs and "A world" not in theirs and "Of t0" not in theirs


def test_incidents_come_from_the_desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    thresholds = tmp_path / "thresholds.csv"
    thresholds.write_text("threshold_id,enabled\nt03,true\n")
    monkeypatch.setattr(alerts, "THRESHOLDS", thresholds)
    alerts.evaluate(Published(tmp_path).publish(Kpi(0.3, breaks=[("t03", "critical")])).storage)
    [row] = report.desk.listed(Storage(tmp_path))
    assert {"severity", "title", "family", "opened_at", "status", "scope", "scope_ref"} <= set(row)


# What it asks for


def test_the_columns_that_are_asked_for_exist() -> None:
    columns = {}
    for path in (PROJECT_ROOT / "models" / "marts").rglob("*.yml"):
        for model in yaml.safe_load(path.read_text(encoding="utf-8")).get("models", []):
            columns[model["name"]] = {column["name"] for column in model["columns"]}
    words = {"sum", "nullif", "double", "count", "filter", "where", "high", "avg", "max", "is", "not", "null"}
    for measure in measures.MEASURES.values():
        assert {measure.day, *re.findall(r"[a-z_]+", measure.sql)} - words <= columns[measure.mart], measure
    for _, mart, day, steps, _ in measures.FUNNELS:
        assert {day, *(f"{step}_count" for step in steps)} <= columns[mart]
    for _, name, _ in measures.TENANT_OVERVIEW:
        assert {name, f"previous_{name}", "window_days"} <= columns["platform_overview"]
    assert {name for _, *names in measures.MILESTONES for name in names if name} <= columns["time_to_value"]
    goals = {"goal", "family", "value", "previous_value", "change_pct", "unit", "status", "is_stale"}
    assert goals <= columns["goal_kpis"]
    headlines = [*measures.GOALS.values(), *(one for _, one in measures.TENANT_WINDOWS + measures.TENANT_STANDS)]
    assert {one.measure for one in headlines if one.measure} | {name for _, name in measures.TRENDS} <= set(
        measures.MEASURES
    )


def test_every_goal_has_a_title_and_a_theme() -> None:
    macro = (PROJECT_ROOT / "macros" / "metrics" / "goals.sql").read_text(encoding="utf-8")
    goals = dict(re.findall(r"^        \['(\w+)', '(\w+)'", macro, re.MULTILINE))
    assert len(goals) > 20 and list(goals) == list(measures.GOALS)
    assert set(goals.values()) <= {family for families in measures.THEMES.values() for family in families}


# The command, and the PDF


def test_the_command_writes_the_page_and_a_pdf_of_it(
    board: Board, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ANALYTICS_STORAGE", str(tmp_path / "none"))
    assert cli.execute(["report", "--out", str(tmp_path / "r.html")]) == 1
    assert "nothing is published yet" in capsys.readouterr().err
    monkeypatch.setenv("ANALYTICS_STORAGE", str(board.root))
    assert cli.execute(["report", "--out", str(tmp_path / "r.html"), "--tenant", "t1"]) == 0
    assert (tmp_path / "r.html").read_text(encoding="utf-8") == report.html(board.storage, "t1")
    assert (tmp_path / "r.pdf").read_bytes().startswith(b"%PDF-")
    assert cli.execute(["report", "--out", str(tmp_path / "s.html"), "--no-pdf"]) == 0
    assert not (tmp_path / "s.pdf").exists()
    (tmp_path / "file").touch()
    assert cli.execute(["report", "--out", str(tmp_path / "file" / "r.html")]) == 1
    assert capsys.readouterr().err.endswith("r.html can't be written: File exists\n")


def test_the_sheets_of_the_pdf_are_a4(board: Board) -> None:
    from weasyprint import HTML

    pages = HTML(string=report.html(board.storage)).render().pages
    assert {(round(page.width), round(page.height)) for page in pages} == {(794, 1123)}


def test_without_pango_the_page_is_written_and_the_pdf_is_said_to_be_missing(
    board: Board, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import builtins
    from typing import Any

    really = builtins.__import__

    def without(name: str, *others: Any, **named: Any) -> Any:
        if name == "weasyprint":
            raise OSError("cannot load library 'libpango-1.0-0'")
        return really(name, *others, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    monkeypatch.setenv("ANALYTICS_STORAGE", str(board.root))
    assert cli.execute(["report", "--out", str(tmp_path / "r.html")]) == 1
    assert "Pango, which is not installed: apt-get install" in capsys.readouterr().err
    assert (tmp_path / "r.html").exists() and not (tmp_path / "r.pdf").exists()


def test_the_pdf_does_not_take_the_place_of_the_page(
    board: Board, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ANALYTICS_STORAGE", str(board.root))
    assert cli.execute(["report", "--out", str(tmp_path / "page.pdf")]) == 1
    assert "end its name in .html" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
