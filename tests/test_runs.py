"""Run records and incidents of failed steps: what was done, what failed and why, also when the process was killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from events import Generator
from harness import World

import expectations
from agent_analytics import cli, pipeline
from agent_analytics.cron import next_time
from agent_analytics.errors import AnalyticsError
from agent_analytics.gate import GateResult
from agent_analytics.ingest import IngestReport
from agent_analytics.operations import desk, runs
from agent_analytics.publish import FamilyState, Publication
from agent_analytics.storage import PROJECT_ROOT, Storage
from expectations import Suite, holds

FULL = "a disk that is full"


def recorded(world: World) -> list[dict[str, Any]]:
    return runs.listed(world.storage)


def incidents(world: World) -> dict[str, dict[str, Any]]:
    """The open incidents by threshold_id and family."""
    return {f"{row['threshold_id']} {row['scope_ref']}".strip(): row for row in desk.listed(world.storage)}


def published_runs(world: World) -> list[dict[str, Any]]:
    return world.published("from ops.pipeline_runs order by started_at")


@pytest.mark.slow
def test_a_run_is_recorded_and_published_with_what_it_did(world: World) -> None:
    world.land(Generator(40).events(200, "swarm"))
    report = world.run()
    assert report.problems == []
    [row] = recorded(world)
    assert (row["outcome"], row["causes"], row["version"]) == ("succeeded", [], 1)
    assert row["events_processed"] == report.ingest.accepted > 0
    assert row["models_built"] == len(report.build.built) > 0
    assert row["rows_published"] == sum(mart["rows"] for mart in world.published("from ops.publications"))
    [shown] = published_runs(world)
    assert (shown["run_id"], shown["outcome"], shown["cause"]) == (row["run_id"], "succeeded", None)
    assert (shown["events_processed"], shown["models_built"], shown["rows_published"]) == (
        row["events_processed"],
        row["models_built"],
        row["rows_published"],
    )
    assert 0 < shown["duration_ms"] <= row["duration_ms"]
    assert shown["events_per_second"] == pytest.approx(1000 * shown["events_processed"] / shown["duration_ms"])
    assert shown["gates_passed"] == len(report.gates) and json.loads(shown["gate_results"])["swarm"] == "passed"
    # Times are marked as UTC in Parquet.
    parquet = f"from '{world.storage.published}/pipeline_runs.parquet'"
    assert world.published(f"select * replace (started_at at time zone 'UTC' as started_at) {parquet}") == [shown]
    manifest = json.loads((world.storage.published / "manifest.json").read_text())
    assert manifest["run_id"] == row["run_id"]


@pytest.mark.in_use
@pytest.mark.slow
def test_a_quiet_run_is_not_recorded(world: World) -> None:
    world.land(Generator(41).events(50, "swarm"))
    world.run()
    before = world.storage.operations_db.read_bytes()
    assert not world.run().publication.changed
    assert world.storage.operations_db.read_bytes() == before
    assert len(recorded(world)) == 1


@pytest.mark.in_use
@pytest.mark.slow
def test_a_failed_gate_files_its_root_cause_and_the_next_good_run_resolves_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    swarm = expectations.load("swarm")
    broken = Suite("swarm", (replace(swarm.marts[0], expectations=(holds("planted", "assignments < 0"),)),))
    plain = expectations.load
    monkeypatch.setattr(expectations, "load", lambda family: broken if family == "swarm" else plain(family))
    world.land(Generator(42).events(100, "swarm"))
    world.run()
    found = incidents(world)
    assert list(found) == ["pipeline:gate swarm"], found
    row = found["pipeline:gate swarm"]
    assert (row["threshold_id"], row["family"], row["severity"]) == ("pipeline:gate", "swarm", "critical")
    [evidence] = row["details"]
    assert evidence["expectation"] == "planted" and evidence["mart"] == "agent_efficiency_daily"
    assert evidence["rows"] > 0 and evidence["examples"]
    assert row["cause"].startswith("agent_efficiency_daily") and "planted fails on" in row["cause"]
    assert row["next_run_at"] > row["opened_at"]
    assert recorded(world)[0]["outcome"] == "failed"
    # The same failure again is neither another incident nor another row.
    before = world.storage.operations_db.read_bytes()
    world.run()
    assert world.storage.operations_db.read_bytes() == before
    assert (len(desk.listed(world.storage, True)), len(recorded(world))) == (1, 1)
    monkeypatch.undo()
    world.land(Generator(43).events(20, "swarm"))
    assert world.run().problems == []
    assert incidents(world) == {}
    [ended] = desk.listed(world.storage, True)
    assert ended["resolution"] == "the next gate succeeded"
    rows = published_runs(world)
    assert [(row["outcome"], row["gates_failed"]) for row in rows] == [("failed", 1), ("succeeded", 0)]
    assert "planted" in rows[0]["cause"]
    assert (rows[0]["incidents_created"], rows[1]["incidents_created"]) == (1, 0)


@pytest.mark.in_use
@pytest.mark.slow
def test_a_file_that_cannot_be_loaded_is_an_incident_until_it_is_gone(world: World) -> None:
    path = world.land(Generator(44).events(20, "swarm"))
    world.run()
    path.write_text(path.read_text() * 2)
    (path.parent / "broken.jsonl.gz").write_bytes(b"no gzip")
    world.run()
    row = incidents(world)["pipeline:ingest"]
    assert row["severity"] == "warning" and row["title"] == "2 landed files are not loaded"
    assert {entry["file"] for entry in row["details"]} == {"00001.jsonl", "broken.jsonl.gz"}
    path.unlink()
    (path.parent / "broken.jsonl.gz").unlink()
    assert world.run().problems == []
    assert incidents(world) == {}


@pytest.mark.in_use
@pytest.mark.slow
def test_a_file_of_which_every_line_is_rejected_is_an_incident_until_a_load_is_good(world: World) -> None:
    world.land([{"nothing": "of an event"}] * 3, name="wrong.jsonl")
    world.run()
    row = incidents(world)["pipeline:quarantine"]
    assert row["details"][0]["file"] == "wrong.jsonl" and "missing:" in row["details"][0]["why"]
    world.run()
    assert "pipeline:quarantine" in incidents(world)
    world.land(Generator(45).events(5, "swarm"))
    world.run()
    assert incidents(world) == {}


@pytest.mark.in_use
@pytest.mark.slow
def test_a_model_that_fails_is_an_incident_of_its_family(world: World) -> None:
    world.land(Generator(46).events(20, "swarm"))
    world.run()
    world.execute("alter table swarm.agent_efficiency_daily drop column assignments")
    world.land(Generator(47).events(20, "swarm"))
    world.run()
    row = incidents(world)["pipeline:build swarm"]
    assert row["details"][0]["model"] == "agent_efficiency_daily" and row["family"] == "swarm"
    assert "assignments" in row["cause"]


@pytest.mark.in_use
@pytest.mark.slow
def test_a_step_that_cannot_be_done_is_recorded_as_failed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise AnalyticsError(FULL)

    world.land(Generator(48).events(20, "swarm"))
    monkeypatch.setattr(pipeline, "publish", full)
    with pytest.raises(AnalyticsError, match=FULL):
        world.run()
    assert incidents(world)["pipeline:publish"]["cause"] == FULL
    [row] = recorded(world)
    assert (row["outcome"], row["causes"]) == ("failed", [f"publish failed: {FULL}"])
    monkeypatch.undo()
    world.run()
    assert incidents(world) == {}


@pytest.mark.in_use
@pytest.mark.slow
def test_a_killed_run_is_found_by_the_next(world: World, tmp_path: Path) -> None:
    world.land(Generator(49).events(20, "swarm"))
    killed = subprocess.run(
        [sys.executable, "-m", "agent_analytics.cli", "run"],
        cwd=PROJECT_ROOT,
        env={
            **os.environ,
            "ANALYTICS_STORAGE": str(world.root),
            "ANALYTICS_KILL_AT": "3",
            "ANALYTICS_KILL_LOG": str(tmp_path / "log"),
        },
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    assert [row["outcome"] for row in recorded(world)] == ["running"]
    world.run()
    rows = recorded(world)
    assert [row["outcome"] for row in rows] == ["aborted", "succeeded"]
    assert "killed" in rows[0]["causes"][0] and rows[0]["duration_ms"] is None
    [row] = desk.listed(world.storage, everything=True)
    assert (row["threshold_id"], row["status"]) == ("pipeline:run", "resolved")
    assert [shown["outcome"] for shown in published_runs(world)] == ["aborted", "succeeded"]


@pytest.mark.in_use
@pytest.mark.slow
def test_an_operations_database_that_is_down_stops_no_run_and_is_told(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.land(Generator(50).events(20, "swarm"))
    world.run()
    monkeypatch.setenv("ANALYTICS_OPERATIONS_URL", "sqlite:////nowhere/at/all.db")
    world.land(Generator(51).events(20, "swarm"))
    report = world.run()
    assert report.publication.version == 2
    [problem] = report.problems
    assert "check ANALYTICS_OPERATIONS_URL" in problem
    assert len(published_runs(world)) == 1


@pytest.mark.slow
def test_a_command_of_one_step_is_recorded_when_it_fails(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ANALYTICS_STORAGE", str(world.root))
    world.storage.build_record.write_text("{}")
    assert cli.execute(["publish"]) == 1
    assert incidents(world)["pipeline:publish"]["cause"].startswith("the last build did not finish")
    assert cli.execute(["status"]) == 0
    assert "publish failed" in capsys.readouterr().out
    assert cli.execute(["status", "--json"]) == 0
    [row] = json.loads(capsys.readouterr().out)["incidents"]
    assert row["threshold_id"] == "pipeline:publish"


def test_a_replay_and_a_retraction_are_runs_too(
    new_world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ANALYTICS_STORAGE", str(new_world.root))
    new_world.land(Generator(52).events(20, "swarm"))
    # The clock was wrong: every event seemed to come from the future.
    new_world.ingest(now=datetime(2020, 1, 1, tzinfo=UTC))
    assert cli.execute(["loads", "retract", "9", "--reason", "mistyped"]) == 1
    assert "load 9 doesn't exist" in capsys.readouterr().err
    assert cli.execute(["replay"]) == 0
    assert cli.execute(["replay"]) == 0, "nothing is left to replay, and nothing to record"
    assert cli.execute(["loads", "retract", "2", "--reason", "an export of test data"]) == 0
    rows = [(row["command"], row["outcome"], row["events_processed"] > 0) for row in recorded(new_world)]
    assert rows == [
        ("loads retract", "failed", False),
        ("replay", "succeeded", True),
        ("loads retract", "succeeded", False),
    ]
    assert incidents(new_world) == {}, "whoever typed it was told"


def test_steps_that_are_calls_of_their_own_are_one_run_and_tell_a_failure_once(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    gate = runs.Run(storage, runs.DAGSTER, "one run", whole=False)
    gate.begin()
    gate.gated({"swarm": GateResult("swarm", "b", "failed", 1, 1, why="planted")})
    gate.finish()
    publish = runs.Run(storage, runs.DAGSTER, "one run")
    publish.begin()
    states = {
        "swarm": FamilyState("swarm", "stale", "the gate failed (planted)"),
        "crc": FamilyState("crc", "published"),
    }
    publish.published(Publication(1, True, states, rows_written=7))
    publish.finish()
    assert [row["threshold_id"] for row in desk.listed(storage)] == ["pipeline:gate"]
    [row] = runs.listed(storage)
    assert (row["outcome"], row["gates"], row["rows_published"]) == ("failed", {"swarm": "failed"}, 7)
    assert row["causes"] == ["the gate of swarm failed: planted"]


def test_a_step_that_could_not_be_done_is_good_again_when_it_could(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    step = "backfill__days"

    def attempt(fails: bool) -> None:
        with runs.recording(storage, runs.DAGSTER, step, whole=True) as run:
            run.begin()
            if fails:
                raise AnalyticsError(FULL)

    with pytest.raises(AnalyticsError):
        attempt(fails=True)
    assert [row["threshold_id"] for row in desk.listed(storage)] == [f"pipeline:{step}"]
    attempt(fails=False)
    assert desk.listed(storage) == []


def test_a_step_that_says_what_is_wrong_is_not_good_for_want_of_an_exception(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    with runs.recording(storage, runs.DAGSTER, "ingest") as run:
        run.begin()
        run.ingested(IngestReport("load", refused=["changed.jsonl"]))
    assert [row["threshold_id"] for row in desk.listed(storage)] == ["pipeline:ingest"]


@pytest.fixture(params=[("ANALYTICS_WEBHOOK_URL", "https://example.com/hook"), ("ANALYTICS_WEBHOOK_TIMEOUT", "soon")])
def wrong_setting(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANALYTICS_WEBHOOK_SECRET", raising=False)
    monkeypatch.setenv(*request.param)


@pytest.mark.usefixtures("wrong_setting")
def test_a_wrong_notification_setting_costs_neither_record_nor_incident(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    run = runs.Run(storage, runs.DAGSTER, "one run")
    run.begin()
    run.gated({"swarm": GateResult("swarm", "b", "failed", 1, 1, why="planted")})
    run.save()
    run.failed("publish", AnalyticsError(FULL))
    run.finish()
    assert {row["threshold_id"] for row in desk.listed(storage)} == {"pipeline:gate", "pipeline:publish"}
    [row] = runs.listed(storage)
    assert (row["outcome"], len(row["causes"])) == ("failed", 2)
    assert run.problem is not None and "ANALYTICS_WEBHOOK_" in run.problem


@pytest.mark.usefixtures("wrong_setting")
def test_what_fails_outside_of_runs_is_filed_whatever_the_notification_settings(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    runs.file(storage, "schedule incremental", AnalyticsError(FULL))
    assert runs.fail(storage, "one run", "pipeline", "run", "it was killed")
    assert {row["threshold_id"] for row in desk.listed(storage)} == {"pipeline:schedule incremental", "pipeline:run"}
    runs.mended(storage, "schedule incremental")
    assert [row["threshold_id"] for row in desk.listed(storage)] == ["pipeline:run"]


# The next scheduled run


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("*/15 * * * *", "2026-01-31 23:00"),
        ("0 2 * * *", "2026-02-01 02:00"),
        ("30 8-18/2 * * 1-5", "2026-02-02 08:30"),
        ("0 0 29 2 *", "2028-02-29 00:00"),
        ("5,35 * 1 * 7", "2026-02-01 00:05"),
        ("0 0 30 2 *", None),
        ("0 0 * * mon", None),
        ("61 * * * *", None),
        ("nonsense", None),
    ],
)
def test_when_a_schedule_runs_next(schedule: str, expected: str | None) -> None:
    found = next_time(schedule, datetime(2026, 1, 31, 22, 45, 30))
    assert found == (datetime.fromisoformat(expected) if expected else None)


@pytest.mark.parametrize("schedule", ["*/7 3-5 * * *", "1 1 13 * 5", "0 */6 1-7 * *", "59 23 31 12 *", "0 12 * 2,5 0"])
def test_schedules_run_when_dagster_says(schedule: str) -> None:
    from dagster._utils.schedules import cron_string_iterator

    moment = datetime(2026, 1, 1)
    theirs = cron_string_iterator(datetime(2026, 1, 1, 0, 1).timestamp(), schedule, "UTC")
    for _ in range(20):
        found = next_time(schedule, moment)
        assert found is not None and found > moment
        assert found == next(theirs).replace(tzinfo=None)
        moment = found + timedelta(seconds=59)
