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
from agent_analytics.storage import PROJECT_ROOT, Storage


class Board(Handmade):
    """The marts that the page shows, with a few rows."""

    MARTS: ClassVar = {
        "goals": ["goal_kpis"],
        "platform_usage": ["platform_metrics_daily"],
        "funnels": ["activation_funnel_weekly"],
    }
    SELECTS: ClassVar = {
        "goal_kpis": (
            "select * replace (value::double as value, previous_value::double as previous_value,"
            " change_pct::double as change_pct) from (values"
            " ('spend_usd', 'provider_costs', 1234.5, 1000.0, 23.45, 'usd', 'critical', false),"
            " ('game_stuck_rate', 'game', 0.125, null, null, 'rate', 'none', true),"
            " ('<script>alert(1)</script>', 'a&b', 1, 2, -50, 'count', 'ok', false))"
            " g(goal, family, value, previous_value, change_pct, unit, status, is_stale)"
        ),
        "platform_metrics_daily": (
            "select 't' || t as tenant_id, date '2026-01-01' + i::int as date, i * 5 as messages"
            " from range(100) r(i), range(2) s(t)"
        ),
        "activation_funnel_weekly": (
            "select date '2026-01-05' as week, 4 as signup_count, 2 as agent_count, 1 as deploy_count,"
            " 1 as conversation_count, 0 as workflow_count, 0 as subscription_count from range(10)"
        ),
    }

    def show(self) -> str:
        self.build(self.SELECTS).publish()
        return report.html(self.storage)


@pytest.fixture(autouse=True)
def own_operations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANALYTICS_OPERATIONS_URL", raising=False)


def test_the_numbers_are_those_of_the_marts(tmp_path: Path) -> None:
    page = Board(tmp_path).show()
    text = re.sub(r"<[^>]+>", " ", page)
    assert re.search(r"spend usd\s+provider_costs\s+\$1,234\.50\s+\$1,000\.00\s+\+23\.4 %\s+critical", text)
    assert re.search(r"game stuck rate\s+game\s+12\.5%\s+–\s+–\s+none, stale", text)
    # The last 60 days before the newest, of both tenants together.
    assert "2026-02-09 to 2026-04-09, highest 980" in text
    assert re.search(r"signup\s+40 \(100%\)\s+agent\s+20 \(50%\)\s+deploy\s+10 \(25%\)", text)
    assert "Version 1, published 2026-01-02 12:00 UTC" in text


def test_a_line_has_a_point_for_each_day_inside_its_frame(tmp_path: Path) -> None:
    [points] = re.findall(r'points="([^"]+)"', Board(tmp_path).show())
    places = [tuple(map(float, point.split(","))) for point in points.split()]
    assert len(places) == 60
    assert all(0 <= x <= report.WIDTH and 0 <= y <= report.HEIGHT for x, y in places)
    assert places[0][0] == 0 and places[-1][0] == report.WIDTH and places[0][1] > places[-1][1]


def test_the_page_loads_nothing_and_names_are_text(tmp_path: Path) -> None:
    page = Board(tmp_path).show()
    found: list[tuple[str, dict[str, str | None]]] = []

    class Tags(HTMLParser):
        def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
            found.append((tag, dict(attributes)))

    Tags().feed(page)
    assert not {"script", "link", "img", "iframe"} & {tag for tag, _ in found}
    assert not any({"src", "href"} & set(attributes) for _, attributes in found)
    assert "url(" not in page and "http" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page and "a&amp;b" in page


def test_what_is_not_published_is_left_out(tmp_path: Path) -> None:
    made = Handmade(tmp_path).build()
    made.publish()
    page = report.html(made.storage)
    assert "Headlines" not in page and "Trends" not in page and "Activation" not in page and "<p>None.</p>" in page


def test_open_incidents_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    thresholds = tmp_path / "thresholds.csv"
    thresholds.write_text("threshold_id,enabled\nt03,true\n")
    monkeypatch.setattr(alerts, "THRESHOLDS", thresholds)
    storage = Published(tmp_path).publish(Kpi(0.3, breaks=[("t03", "critical")])).storage
    alerts.evaluate(storage)
    assert '<tr class="critical"><td>1</td><td>critical</td>' in report._incidents(storage)


def test_the_columns_that_are_asked_for_exist() -> None:
    columns = {}
    for path in (PROJECT_ROOT / "models" / "marts").rglob("*.yml"):
        for model in yaml.safe_load(path.read_text(encoding="utf-8")).get("models", []):
            columns[model["name"]] = {column["name"] for column in model["columns"]}
    for _, _, mart, day, measure in report.TRENDS:
        assert {day, *re.findall(r"\((\w+)\)", measure)} <= columns[mart]
    assert {f"{step}_count" for step in report.FUNNEL} <= columns["activation_funnel_weekly"]
    goals = {"goal", "family", "value", "previous_value", "change_pct", "unit", "status", "is_stale"}
    assert goals <= columns["goal_kpis"]


def test_the_command_writes_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ANALYTICS_STORAGE", str(tmp_path / "none"))
    assert cli.execute(["report", "--out", str(tmp_path / "r.html")]) == 1
    assert "nothing is published yet" in capsys.readouterr().err
    made = Board(tmp_path / "storage")
    made.show()
    monkeypatch.setenv("ANALYTICS_STORAGE", str(made.root))
    assert cli.execute(["report", "--out", str(tmp_path / "r.html")]) == 0
    assert (tmp_path / "r.html").read_text(encoding="utf-8") == report.html(Storage(made.root))
