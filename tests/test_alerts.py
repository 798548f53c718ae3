"""Breaches become incidents, once: opened, raised, acknowledged, resolved, and never forgotten."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from alerts_world import Kpi, Published

from agent_analytics import alerts, cli
from agent_analytics.errors import AnalyticsError
from agent_analytics.operations import desk
from agent_analytics.storage import PROJECT_ROOT

BAD = Kpi(0.3, breaks=[("t03", "critical")])
GOOD = Kpi(0.01)


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Published:
    for name in [name for name in os.environ if name.startswith("ANALYTICS_") and name != "ANALYTICS_HASH_KEY"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("ANALYTICS_STORAGE", str(tmp_path))
    monkeypatch.setenv("ANALYTICS_ACTOR", "ada")
    thresholds = tmp_path / "thresholds.csv"
    thresholds.write_text("threshold_id,enabled\nt03,true\nt04,true\n")
    monkeypatch.setattr(alerts, "THRESHOLDS", thresholds)
    return Published(tmp_path)


@pytest.fixture
def show(published: Published, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, int]]:
    """Publish these KPIs and evaluate; what happened, by event."""

    def step(*kpis: Kpi, **options: Any) -> dict[str, int]:
        published.publish(*kpis, **options)
        return alerts.evaluate(published.storage).counts

    return step


Show = Callable[..., dict[str, int]]


def the_incident(published: Published) -> dict[str, Any]:
    [row] = desk.listed(published.storage, everything=True)
    return row


def test_a_breach_opens_one_incident_with_what_to_do_about_it(published: Published, show: Show) -> None:
    assert show(BAD) == {"opened": 1}
    row = the_incident(published)
    assert row["title"] == "fallback_rate > 0.05 (global, 1h)"
    assert row["suggested_actions"] == ["reduce input token cap by 10%", "Check it"]
    assert (row["severity"], row["status"], row["family"], row["value"]) == ("critical", "open", "game", 0.3)
    assert row["as_of"] == "2026-01-10T13:00:00Z"


def test_the_same_publication_evaluated_again_changes_nothing(published: Published, show: Show) -> None:
    show(BAD)
    before = desk.show(published.storage, 1)
    again = alerts.evaluate(published.storage)
    assert (again.new, again.counts) == (False, {})
    assert desk.show(published.storage, 1) == before


def test_a_breach_that_goes_on_is_the_same_incident_with_its_new_value(published: Published, show: Show) -> None:
    show(BAD)
    assert show(Kpi(0.4, breaks=[("t03", "critical")])) == {"updated": 1}
    assert show(Kpi(0.4, breaks=[("t03", "critical")])) == {}
    assert the_incident(published)["value"] == 0.4


def test_it_is_resolved_only_after_enough_good_evaluations(published: Published, show: Show) -> None:
    show(BAD)
    assert show(GOOD) == {"good": 1}
    assert show(GOOD) == {"good": 1}
    assert show(GOOD) == {"resolved": 1}
    assert the_incident(published)["resolution"] == "fallback_rate is 0.01"
    assert show(GOOD) == {}


def test_a_flapping_kpi_is_one_incident(published: Published, show: Show) -> None:
    happened = [show(kpi) for kpi in (BAD, GOOD, GOOD, BAD, GOOD, GOOD, BAD, GOOD, GOOD)]
    assert happened[3] == happened[6] == {"broke_again": 1}
    assert the_incident(published)["status"] == "open"
    assert show(GOOD) == {"resolved": 1}


def test_a_publication_of_the_same_data_clock_is_no_new_evidence(published: Published, show: Show) -> None:
    show(BAD)
    assert show(GOOD, hours=0) == {}
    assert [show(GOOD, hours=hours) for hours in (1, 0, 0, 1)] == [{"good": 1}, {}, {}, {"good": 1}]
    assert the_incident(published)["status"] == "open"


def test_after_it_was_resolved_a_new_breach_is_a_new_incident(published: Published, show: Show) -> None:
    for kpi in (BAD, GOOD, GOOD, GOOD):
        show(kpi)
    assert show(BAD) == {"opened": 1}
    assert [(row["id"], row["status"]) for row in desk.listed(published.storage, True)] == [
        (2, "open"),
        (1, "resolved"),
    ]


def test_the_environment_says_how_many_good_evaluations(
    published: Published, show: Show, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANALYTICS_RESOLVE_AFTER", "1")
    show(BAD)
    assert show(GOOD) == {"resolved": 1}
    for wrong in ("0", "-1", "three"):
        monkeypatch.setenv("ANALYTICS_RESOLVE_AFTER", wrong)
        with pytest.raises(AnalyticsError, match="ANALYTICS_RESOLVE_AFTER"):
            show(GOOD)


def test_severity_rises_and_does_not_fall_while_it_is_open(published: Published, show: Show) -> None:
    show(Kpi(0.1, breaks=[("t03", "warning")]))
    assert show(Kpi(0.1, breaks=[("t03", "critical")])) == {"severity_raised": 1}
    assert show(Kpi(0.1, breaks=[("t03", "warning")])) == {}
    assert the_incident(published)["severity"] == "critical"
    events = [(row["event"], row["severity"]) for row in desk.show(published.storage, 1)["history"]]
    assert events == [("opened", "warning"), ("severity_raised", "critical")]


def test_each_member_of_a_scope_and_each_threshold_has_its_own(published: Published, show: Show) -> None:
    here = Kpi(0.3, breaks=[("t03", "critical"), ("t04", "warning")], scope_ref="emberfall")
    there = Kpi(0.2, breaks=[("t03", "critical")], scope_ref="mirefen")
    assert show(here, there) == {"opened": 3}
    rows = desk.listed(published.storage)
    assert [(row["threshold_id"], row["scope_ref"]) for row in rows] == [
        ("t03", "mirefen"),
        ("t03", "emberfall"),
        ("t04", "emberfall"),
    ]


def test_stale_rows_neither_open_nor_resolve(published: Published, show: Show) -> None:
    assert show(Kpi(0.3, breaks=[("t03", "critical")], is_stale=True)) == {}
    show(BAD)
    for _ in range(4):
        assert show(Kpi(0.01, is_stale=True)) == {}
    assert show(Kpi(0.5, breaks=[("t03", "critical")], is_stale=True)) == {}
    assert the_incident(published)["value"] == 0.3


def test_while_the_kpis_themselves_are_stale_nothing_opens_or_resolves(published: Published, show: Show) -> None:
    """The manifest says so; the rows were written when they were fresh."""
    assert show(BAD, is_stale=True) == {}
    assert show(BAD) == {"opened": 1}
    worse = Kpi(0.5, breaks=[("t03", "critical"), ("t04", "critical")])
    for kpis in ([GOOD], [GOOD], [GOOD], [worse], []):
        assert show(*kpis, is_stale=True) == {}
    assert (the_incident(published)["status"], the_incident(published)["value"]) == ("open", 0.3)
    assert [show(GOOD) for _ in range(3)] == [{"good": 1}, {"good": 1}, {"resolved": 1}]


def test_the_rows_are_those_of_the_version_whose_manifest_was_read(
    published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    published.publish(BAD)
    really = alerts._is_evaluated

    def switched(*arguments: Any) -> bool:
        if published.version == 1:
            published.publish(GOOD)
        return really(*arguments)

    monkeypatch.setattr(alerts, "_is_evaluated", switched)
    assert alerts.evaluate(published.storage).counts == {"opened": 1}
    assert alerts.evaluate(published.storage).counts == {"good": 1}


def test_whoever_waited_for_another_evaluation_looks_at_what_is_newest_then(
    published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    published.publish(GOOD)
    really = alerts.database.lock

    def waited(*arguments: Any) -> None:
        really(*arguments)
        if published.version == 1:
            published.publish(BAD)

    monkeypatch.setattr(alerts.database, "lock", waited)
    assert alerts.evaluate(published.storage).counts == {"opened": 1}
    assert not alerts.evaluate(published.storage).new


def test_an_empty_window_breaks_nothing(published: Published, show: Show) -> None:
    show(BAD)
    assert [show(Kpi(None)) for _ in range(3)][-1] == {"resolved": 1}
    assert the_incident(published)["resolution"] == "fallback_rate has no events in its window"


@pytest.mark.parametrize(
    ("line", "why"), [("t03,false\n", "threshold t03 is disabled"), ("", "threshold t03 is removed")]
)
def test_a_threshold_that_is_not_watched_any_more_resolves_its_incident_at_once(
    published: Published, show: Show, line: str, why: str
) -> None:
    show(BAD)
    alerts.THRESHOLDS.write_text("threshold_id,enabled\n" + line)
    assert show(BAD_BUT_UNWATCHED) == {"resolved": 1}
    assert the_incident(published)["resolution"] == why


BAD_BUT_UNWATCHED = Kpi(0.3)


def test_a_member_that_is_gone_resolves_its_incident(published: Published, show: Show) -> None:
    show(Kpi(0.3, breaks=[("t03", "critical")], scope_ref="emberfall"))
    assert show(GOOD) == {"resolved": 1}
    assert "no longer measured" in the_incident(published)["resolution"]


def test_a_root_made_anew_is_not_taken_for_the_one_before(published: Published, show: Show) -> None:
    """Version 1 again, published at another time."""
    show(BAD)
    record = json.loads((published.storage.published / "manifest.json").read_text())
    (published.storage.published / "manifest.json").write_text(json.dumps(record | {"published_at": "2026-02-01"}))
    assert alerts.evaluate(published.storage).new


def test_nothing_published_is_nothing_to_do(published: Published) -> None:
    assert alerts.due(published.storage) is None
    assert not alerts.evaluate(published.storage).new
    assert not published.storage.operations_db.exists()


def test_an_evaluation_is_due_once_for_each_publication(published: Published) -> None:
    published.publish(GOOD)
    assert alerts.due(published.storage) == "version 1 is new"
    alerts.evaluate(published.storage)
    assert alerts.due(published.storage) is None
    before = published.storage.operations_db.read_bytes()
    alerts.evaluate(published.storage)
    assert published.storage.operations_db.read_bytes() == before


def test_evaluations_at_once_open_one_incident(published: Published) -> None:
    published.publish(BAD)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: alerts.evaluate(published.storage), range(8)))
    assert sum(evaluation.new for evaluation in found) == 1
    assert len(desk.listed(published.storage, everything=True)) == 1


def test_processes_at_once_open_one_incident_in_a_database_that_none_of_them_found(published: Published) -> None:
    published.publish(BAD)
    command = [sys.executable, "-m", "agent_analytics.cli", "alerts", "evaluate"]
    running = [
        subprocess.Popen(command, cwd=PROJECT_ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    ended = [(process.communicate(), process.returncode) for process in running]
    assert [code for _, code in ended] == [0, 0, 0, 0], ended
    # The seed of the project has t03 too.
    assert sorted(out for (out, _), _ in ended) == ["1 breaches: 1 opened\n", *["nothing new is published\n"] * 3]
    assert len(desk.listed(published.storage, everything=True)) == 1


# People


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert cli.execute(arguments) == 0
    return capsys.readouterr().out


def test_a_person_acknowledges_with_a_note_and_resolves_with_a_reason(
    published: Published, show: Show, capsys: pytest.CaptureFixture[str]
) -> None:
    show(BAD)
    assert run(capsys, "incidents", "ack", "1", "--note", "looking") == "incident 1 is acknowledged by ada\n"
    assert "acknowledged" in run(capsys, "incidents", "list")
    show(Kpi(0.5, breaks=[("t03", "critical")]))
    assert the_incident(published)["status"] == "acknowledged"
    assert run(capsys, "incidents", "resolve", "1", "--reason", "provider is back") == "incident 1 is resolved by ada\n"
    assert "critical" not in run(capsys, "incidents", "list")
    [row] = json.loads(run(capsys, "incidents", "list", "--all", "--json"))
    assert (row["resolution"], row["resolved_by"], row["note"]) == ("provider is back", "ada", "looking")
    shown = json.loads(run(capsys, "incidents", "show", "1", "--json"))
    assert [(event["event"], event["actor"]) for event in shown["history"]] == [
        ("opened", None),
        ("acknowledged", "ada"),
        ("updated", None),
        ("resolved", "ada"),
    ]
    text = run(capsys, "incidents", "show", "1")
    assert "reduce input token cap by 10%" in text and "provider is back" in text


def test_resolved_by_hand_while_it_goes_on_it_is_opened_anew(published: Published, show: Show) -> None:
    show(BAD)
    desk.resolve(published.storage, 1, "tired of it")
    assert alerts.evaluate(published.storage).counts == {}
    assert show(BAD) == {"opened": 1}


def test_what_cannot_be_done_is_one_line(published: Published, show: Show, capsys: pytest.CaptureFixture[str]) -> None:
    show(BAD)
    assert cli.execute(["incidents", "ack", "7", "--note", "x"]) == 1
    assert "there is no incident 7" in capsys.readouterr().err
    run(capsys, "incidents", "resolve", "1", "--reason", "done")
    for arguments in (["ack", "1", "--note", "x"], ["resolve", "1", "--reason", "x"]):
        assert cli.execute(["incidents", *arguments]) == 1
        assert "was resolved at" in capsys.readouterr().err
    for arguments in (["ack", "1", "--note", " "], ["resolve", "1", "--reason", ""], ["ack", "0", "--note", "x"]):
        assert cli.execute(["incidents", *arguments]) == 2
