"""What Dagster shows and does: the asset graph, when runs start, and that one family's failure stays its own."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alerts_world import Kpi, Published
from dagster import (
    AssetCheckEvaluation,
    AssetCheckSeverity,
    AssetKey,
    AssetMaterialization,
    AssetSelection,
    DagsterEvent,
    DagsterEventType,
    DagsterInstance,
    DagsterRun,
    DagsterRunStatus,
    DailyPartitionsDefinition,
    DataVersion,
    DefaultScheduleStatus,
    DefaultSensorStatus,
    Definitions,
    ExecuteInProcessResult,
    FreshnessPolicy,
    JobDefinition,
    MaterializeResult,
    RunRequest,
    SensorResult,
    SkipReason,
    asset,
    build_run_status_sensor_context,
    build_schedule_context,
    build_sensor_context,
    execute_job,
    materialize,
    reconstructable,
)
from dagster._core.definitions.reconstruct import ReconstructableRepository
from dagster._core.events import StepMaterializationData
from dagster._core.events.log import EventLogEntry
from dagster._core.launcher.base import LaunchRunContext, WorkerStatus
from dagster._core.storage.runs import SqliteRunStorage
from dagster._core.utils import make_new_run_id
from events import Generator
from harness import World, differences, held

import expectations
from agent_analytics import alerts, durable, postgres, transform
from agent_analytics.dbt_worker import DbtWorker, Invocation
from agent_analytics.errors import AnalyticsError, TransientError
from agent_analytics.gate import ExpectationResult, GateResult
from agent_analytics.ingest import IngestReport
from agent_analytics.ledger import Ledger
from agent_analytics.locking import writer_lock
from agent_analytics.operations import desk
from agent_analytics.operations import runs as records
from agent_analytics.policy import Policy
from agent_analytics.publish import Publication
from agent_analytics.retention import Retention
from agent_analytics.storage import PROJECT_ROOT, Storage
from agent_analytics.transform import BuildReport
from expectations import Suite, holds
from orchestration import __main__ as entry
from orchestration.definitions import defs as load_definitions
from orchestration.defs.alerts.checks import alerts_schedule, failure_sensor
from orchestration.defs.automation.triggers import landing_sensor, tick_schedule
from orchestration.defs.backfill import assets as backfill_assets
from orchestration.defs.backfill.assets import first_day_of_hours
from orchestration.defs.ingest import assets as ingest_assets
from orchestration.defs.publish import assets as publish_assets
from orchestration.defs.retention import job as retention_job
from orchestration.lib import due, launcher, results
from orchestration.lib import project as dbt
from orchestration.lib.facts import Facts
from orchestration.lib.home import hold, prepared
from orchestration.lib.settings import Settings


@cache
def definitions() -> Definitions:
    return load_definitions()


def pipeline() -> JobDefinition:
    return definitions().resolve_job_def("pipeline")


# The asset graph


def test_the_definitions_can_be_loaded_as_dagsters_servers_do() -> None:
    Definitions.validate_loadable(definitions())


def lineage(key: str) -> set[str]:
    graph = definitions().resolve_asset_graph()
    return {parent.to_user_string() for parent in graph.get(AssetKey(key.split("/"))).parent_keys}


def test_every_model_is_an_asset_whose_lineage_is_dbts() -> None:
    project = dbt.dbt_project()
    graph = definitions().resolve_asset_graph()
    assert len(project.keys) == len([n for n in project.manifest["nodes"].values() if n["resource_type"] == "model"])
    for name, key in project.keys.items():
        models = {parent for parent in graph.get(key).parent_keys if parent in set(project.keys.values())}
        assert models == {project.keys[parent] for parent in project.parents[name]}, name
        assert graph.get(key).is_materializable
        assert graph.get(key).description


def test_every_family_is_gated_on_its_marts_and_published_on_its_gate() -> None:
    project = dbt.dbt_project()
    assert {family.name for family in project.gated} >= {"provider_costs", "delivery", "swarm"}
    for family in project.gated:
        assert lineage(f"gate/{family.name}") == {key.to_user_string() for key in project.marts(family)}
        assert lineage(f"published/{family.name}") == {f"gate/{name}" for name in {family.name, *family.reads}}


def test_swarm_from_the_landed_file_to_the_published_mart() -> None:
    assert lineage("landing") == set()
    assert lineage("lake/swarm") == {"landing"}
    assert lineage("staging/stg_swarm__assignments") == {"lake/swarm"}
    assert lineage("intermediate/int_swarm_tasks") == {
        "staging/stg_swarm__assignments",
        "staging/stg_swarm__escalations",
        "staging/stg_swarm__resolutions",
    }
    assert "intermediate/int_swarm_days" in lineage("swarm/agent_efficiency_daily")
    assert lineage("gate/swarm") == {"swarm/agent_efficiency_daily"}
    assert lineage("published/swarm") == {"gate/swarm"}


def test_groups_name_the_family_and_the_layer() -> None:
    graph = definitions().resolve_asset_graph()
    groups = {
        key: graph.get(AssetKey(key.split("/"))).group_name
        for key in (
            "landing",
            "lake/swarm",
            "reference/tenants",
            "staging/stg_swarm__assignments",
            "intermediate/int_swarm_days",
            "swarm/agent_efficiency_daily",
            "gate/swarm",
            "published/swarm",
            "backfill/days",
            "backfill/hours",
        )
    }
    assert groups == {
        "landing": "lake",
        "lake/swarm": "lake",
        "reference/tenants": "reference",
        "staging/stg_swarm__assignments": "swarm_staging",
        "intermediate/int_swarm_days": "swarm_intermediate",
        "swarm/agent_efficiency_daily": "swarm_marts",
        "gate/swarm": "gate",
        "published/swarm": "published",
        "backfill/days": "backfill",
        "backfill/hours": "backfill",
    }


def test_gates_block_and_dbt_tests_report() -> None:
    """A dbt check that blocks would hold back every family for a test of one; publish decides that family by family."""
    graph = definitions().resolve_asset_graph()
    blocking = {key for key in graph.asset_check_keys if graph.get(key).blocking}
    assert blocking == {dbt.gate_check_key(family.name) for family in dbt.dbt_project().gated}
    tests = [key for key in graph.asset_check_keys if key.asset_key.path[0] in ("staging", "intermediate", "swarm")]
    assert len(tests) > 10


def test_the_steps_of_a_run_are_four_and_share_one_writer() -> None:
    nodes = {node.name: node.definition for node in pipeline().nodes}
    assert set(nodes) == {"ingest", "build", "gate", "publish"}
    assert {node.pool for node in nodes.values()} == {"writer"}


def test_incidents_are_looked_at_by_a_job_of_its_own_that_waits_for_no_writer() -> None:
    job = definitions().resolve_job_def("alerts")
    assert [(node.name, node.definition.pool) for node in job.nodes] == [("evaluate", None)]
    checked = {key.asset_key for key in job.asset_layer.asset_graph.asset_check_keys}
    assert checked == {dbt.published_key(name) for name in dbt.dbt_project().families}
    for name in ("pipeline", "pipeline_with_tests"):
        graph = definitions().resolve_job_def(name).asset_layer.asset_graph
        assert not {key for key in graph.asset_check_keys if key.name == "no_critical_incident"}


def test_what_is_published_is_to_be_renewed_within_a_day() -> None:
    graph = definitions().resolve_asset_graph()
    day = FreshnessPolicy.time_window(fail_window=timedelta(hours=24))
    fresh = {key for key in graph.get_all_asset_keys() if graph.get(key).freshness_policy_or_from_metadata == day}
    assert fresh == {dbt.published_key(name) for name in dbt.dbt_project().families}


def test_only_the_run_with_tests_has_the_checks_of_dbt() -> None:
    def models_checked(job: str) -> set[AssetKey]:
        checks = definitions().resolve_job_def(job).asset_layer.asset_graph.asset_check_keys
        return {key.asset_key for key in checks} & set(dbt.dbt_project().keys.values())

    assert models_checked("pipeline") == set()
    assert len(models_checked("pipeline_with_tests")) > 10


@pytest.mark.parametrize(("unit", "partition"), [("days", "%Y-%m-%d"), ("hours", "%Y-%m-%d-%H:00")])
def test_a_backfill_is_one_run_for_all_its_partitions(unit: str, partition: str) -> None:
    node = definitions().resolve_asset_graph().get(dbt.backfill_key(unit))
    assert node.backfill_policy is not None
    assert node.backfill_policy.max_partitions_per_run is None
    assert node.partitions_def is not None
    assert node.partitions_def.has_partition_key(datetime.now(UTC).strftime(partition))


@pytest.mark.parametrize(
    ("clock", "first"),
    [(None, "2026-09-01"), ("2026-05-03T12:00:00Z", "2026-02-01"), ("2026-03-31T00:00:00Z", "2025-12-01")],
)
def test_hours_that_hourly_marts_hold_can_be_backfilled(
    clock: str | None, first: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """90 days before the data clock, and what is left of that month."""
    monkeypatch.setattr(Ledger, "as_of", lambda self: clock)
    assert first_day_of_hours(Storage(tmp_path), date(2026, 11, 30)) == first


def test_a_ledger_that_cannot_be_read_takes_no_assets_away(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    storage.loads.mkdir(parents=True)
    (storage.loads / "1.json").write_text("{")
    with pytest.raises(AnalyticsError):
        Ledger(storage).as_of()
    assert first_day_of_hours(storage, date(2026, 11, 30)) == "2026-09-01"


# What starts by itself


def test_schedules_and_the_sensor_are_on_unless_told_otherwise() -> None:
    repository = definitions().get_repository_def()
    schedules = {each.name: (each.cron_schedule, each.job_name) for each in repository.schedule_defs}
    assert schedules == {
        "incremental": ("*/15 * * * *", "pipeline"),
        "daily_with_tests": ("0 2 * * *", "pipeline_with_tests"),
        "alerts": ("*/5 * * * *", "alerts"),
        "retention": ("30 3 * * *", "retention"),
    }
    assert {each.default_status for each in repository.schedule_defs} == {DefaultScheduleStatus.RUNNING}
    assert {each.name: each.default_status for each in repository.sensor_defs} == {
        "landed_files": DefaultSensorStatus.RUNNING,
        "failed_runs": DefaultSensorStatus.RUNNING,
    }


def test_the_environment_sets_crons_and_switches() -> None:
    settings = Settings.from_env(
        {
            "ANALYTICS_TICK_CRON": "*/5 * * * *",
            "ANALYTICS_ALERTS_CRON": "* * * * *",
            "ANALYTICS_SCHEDULES": "off",
            "ANALYTICS_SENSOR": "off",
            "ANALYTICS_SENSOR_SECONDS": "7",
            "ANALYTICS_BACKFILL_START": "2024-02-29",
        }
    )
    assert tick_schedule(settings).cron_schedule == "*/5 * * * *"
    assert alerts_schedule(settings).cron_schedule == "* * * * *"
    assert tick_schedule(settings).default_status is DefaultScheduleStatus.STOPPED
    assert landing_sensor(settings).default_status is DefaultSensorStatus.STOPPED
    assert landing_sensor(settings).minimum_interval_seconds == 7
    assert settings.backfill_start == "2024-02-29"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ANALYTICS_TICK_CRON", "every 15 minutes"),
        ("ANALYTICS_DAILY_CRON", "61 2 * * *"),
        ("ANALYTICS_ALERTS_CRON", "every 5 minutes"),
        ("ANALYTICS_SCHEDULES", "yes"),
        ("ANALYTICS_SENSOR_SECONDS", "0"),
        ("ANALYTICS_BACKFILL_START", "2024-02-30"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(AnalyticsError, match=f"{name}.*{value[:3]}"):
        Settings.from_env({name: value})


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.local_temp() as found:
        yield found


def test_the_sensor_asks_once_for_what_landed(
    world: World, instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANALYTICS_STORAGE", str(world.root))
    look = landing_sensor(Settings())
    path = world.land([], name="a/first.jsonl")
    found = look(build_sensor_context(instance=instance))
    assert isinstance(found, SensorResult)
    assert [request.tags["agent_analytics/why"] for request in found.run_requests or ()] == [
        "new in landing: a/first.jsonl"
    ]
    assert isinstance(look(build_sensor_context(instance=instance, cursor=found.cursor)), SkipReason)
    path.with_name("second.jsonl.part").write_text("not yet")
    assert isinstance(look(build_sensor_context(instance=instance, cursor=found.cursor)), SkipReason)
    path.with_name("second.jsonl").write_text("now")
    again = look(build_sensor_context(instance=instance, cursor=found.cursor))
    assert isinstance(again, SensorResult)
    assert again.run_requests
    assert again.cursor != found.cursor


# Alerts


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Published:
    monkeypatch.setenv("ANALYTICS_STORAGE", str(tmp_path))
    return Published(tmp_path)


BREACH = Kpi(0.3, breaks=[("t03", "critical")])


def test_alerts_are_evaluated_when_something_new_is_published(published: Published, instance: DagsterInstance) -> None:
    def look() -> RunRequest | SkipReason:
        found = alerts_schedule(Settings())(build_schedule_context(instance=instance))
        assert isinstance(found, RunRequest | SkipReason)
        return found

    assert isinstance(look(), SkipReason)
    published.publish(BREACH)
    found = look()
    assert isinstance(found, RunRequest) and found.tags["agent_analytics/why"] == "version 1 is new"
    alerts.evaluate(published.storage)
    assert isinstance(look(), SkipReason)


def test_a_family_shows_its_critical_incidents(published: Published, instance: DagsterInstance) -> None:
    published.publish(BREACH)
    job = definitions().resolve_job_def("alerts")
    result = job.execute_in_process(instance=instance)
    assert result.success
    checks = {check.asset_key.to_user_string(): check for check in result.get_asset_check_evaluations()}
    assert [name for name, check in checks.items() if not check.passed] == ["published/game"]
    game = checks["published/game"]
    assert (game.severity, game.blocking) == (AssetCheckSeverity.ERROR, False)
    assert game.description == "incident 1: fallback_rate > 0.05 (global, 1h)"
    desk.resolve(published.storage, 1, "done")
    again = job.execute_in_process(instance=instance)
    assert all(check.passed for check in again.get_asset_check_evaluations())


def test_an_evaluation_under_way_neither_holds_up_nor_restarts_a_run(
    world: World, instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANALYTICS_STORAGE", str(world.root))
    world.land([], name="first.jsonl")
    instance.create_run_for_job(definitions().resolve_job_def("alerts"), status=DagsterRunStatus.STARTED)
    assert isinstance(tick_schedule(Settings())(build_schedule_context(instance=instance)), RunRequest)
    assert isinstance(alerts_schedule(Settings())(build_schedule_context(instance=instance)), SkipReason)


def test_a_run_that_fails_files_an_incident_once(
    published: Published, instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Storage) -> None:
        raise AnalyticsError("no such table")

    monkeypatch.setattr(alerts, "evaluate", broken)
    job = definitions().resolve_job_def("alerts")
    result = job.execute_in_process(instance=instance, raise_on_error=False)
    looks_at_failure(instance, result)
    looks_at_failure(instance, result)
    [row] = desk.listed(published.storage)
    assert (row["threshold_id"], row["cause"]) == ("pipeline:alerts", "evaluate: no such table")
    monkeypatch.undo()
    monkeypatch.setenv("ANALYTICS_STORAGE", str(published.root))
    assert job.execute_in_process(instance=instance).success
    assert desk.listed(published.storage) == []


def test_a_schedule_that_cannot_look_files_an_incident_until_it_can(
    world: World, instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANALYTICS_STORAGE", str(world.root))
    world.land([], name="first.jsonl")
    entry = world.storage.loads / "1.json"
    entry.parent.mkdir(parents=True)
    entry.write_text("{", encoding="utf-8")
    looks = {
        "landed_files": lambda: landing_sensor(Settings())(build_sensor_context(instance=instance)),
        "incremental": lambda: tick_schedule(Settings())(build_schedule_context(instance=instance)),
    }
    for name, look in looks.items():
        with pytest.raises(AnalyticsError) as error:
            look()
        row = desk.listed(world.storage)[0]
        assert (row["threshold_id"], row["cause"]) == (f"pipeline:schedule {name}", str(error.value))
    entry.unlink()
    for look in looks.values():
        look()
    assert desk.listed(world.storage) == []


def test_a_run_whose_steps_filed_their_failure_is_not_filed_again(
    published: Published, instance: DagsterInstance
) -> None:
    run = records.Run(published.storage, records.DAGSTER, "a run of dagster")
    run.begin()
    run.failed("gate", AnalyticsError("the warehouse is gone"))
    run.finish()
    assert not records.fail(published.storage, "a run of dagster", "pipeline", "run", "gate: the warehouse is gone")
    assert records.fail(published.storage, "another", "pipeline", "run", "it was killed")
    assert {row["threshold_id"] for row in desk.listed(published.storage)} == {"pipeline:gate", "pipeline:run"}


def test_nothing_starts_while_somebody_writes(
    world: World, instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANALYTICS_STORAGE", str(world.root))
    world.land([], name="first.jsonl")
    with writer_lock(world.storage, "agent-analytics run"):
        for skipped in (
            landing_sensor(Settings())(build_sensor_context(instance=instance)),
            tick_schedule(Settings())(build_schedule_context(instance=instance)),
        ):
            assert isinstance(skipped, SkipReason)
            assert f"`agent-analytics run` (pid {os.getpid()}" in str(skipped.skip_message)
    assert isinstance(tick_schedule(Settings())(build_schedule_context(instance=instance)), RunRequest)


def test_nothing_starts_where_nothing_landed(
    world: World, instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANALYTICS_STORAGE", str(world.root))
    skipped = tick_schedule(Settings())(build_schedule_context(instance=instance))
    assert isinstance(skipped, SkipReason)
    assert skipped.skip_message == "nothing is new"


# Pure functions


def expectation(name: str, **changes: Any) -> ExpectationResult:
    plain = ExpectationResult(name, "a_mart", ["a"], "critical", True, "0", 0, [])
    return replace(plain, **changes)


def gated(status: str, *found: ExpectationResult, **changes: Any) -> GateResult:
    return replace(GateResult("swarm", "build-1", status, len(found), len(found), list(found)), **changes)


def test_a_failed_gate_is_an_error_that_lists_what_failed() -> None:
    bad = expectation("rates", success=False, unexpected=3, observed="3 rows", sample=[{"a": "x|y"}])
    check = results.gate_check(gated("failed", bad, expectation("counts"), why="a_mart (a): rates fails on 3 rows"))
    assert (check.passed, check.severity) == (False, AssetCheckSeverity.ERROR)
    assert check.description == "a_mart (a): rates fails on 3 rows"
    assert check.metadata["failing"].value == (
        "| mart | expectation | severity | rows | observed | sample |\n"
        "| --- | --- | --- | --- | --- | --- |\n"
        "| a_mart | rates | critical | 3 | 3 rows | {'a': 'x\\|y'} |"
    )


def test_a_gate_that_only_warns_is_a_warning() -> None:
    check = results.gate_check(gated("passed", expectation("fresh", success=False, severity="warning")))
    assert (check.passed, check.severity) == (False, AssetCheckSeverity.WARN)


def test_an_accepted_gate_is_a_warning_that_says_who_accepted_it() -> None:
    accepted = {"reason": "known outage", "actor": "ann", "at": "2026-01-02T03:04:05Z"}
    check = results.gate_check(gated("accepted", expectation("rates", success=False), accepted=accepted))
    assert (check.passed, check.severity) == (False, AssetCheckSeverity.WARN)
    assert check.metadata["accepted"].value == "known outage, ann, 2026-01-02T03:04:05Z"


def test_a_gate_that_was_not_evaluated_is_an_error() -> None:
    check = results.gate_check(gated("failed", evaluated=0, expected=4, why="the gate could not validate swarm"))
    assert (check.passed, check.severity) == (False, AssetCheckSeverity.ERROR)
    assert check.metadata["evaluated"].value == 0


def test_a_models_metadata_are_those_of_its_build_and_its_watermark() -> None:
    outcome = {"status": "success", "rows_changed": True, "seconds": 0.5, "message": None}
    found = results.model_metadata(outcome, Facts(7, 3, datetime(2026, 1, 2), 0, 0.25, "v"))
    moment = found.pop("newest_event_at")
    assert moment.value == 1767312000.0
    assert found == {
        "status": "success",
        "rows_changed": True,
        "seconds": 0.5,
        "dagster/row_count": 7,
        "loaded_through": 3,
        "lag_loads": 0,
        "lag_hours": 0.25,
    }


def test_files_that_were_not_loaded_are_told_by_name() -> None:
    report = IngestReport("load", refused=["a.jsonl"], failed={"b.jsonl.gz": "the gzip file is cut off"})
    assert results.ingest_problems(report) == [
        "landing/a.jsonl: its content changed after it was loaded; land it under a new name",
        "landing/b.jsonl.gz: the gzip file is cut off",
    ]


def test_a_manifest_is_stale_when_a_project_file_is_newer_or_gone(tmp_path: Path) -> None:
    manifest = tmp_path / "target" / "manifest.json"
    model = tmp_path / "models" / "a.sql"
    for path in (model, manifest):
        path.parent.mkdir()
    assert dbt.is_stale(manifest, tmp_path)
    model.write_text("select 1")
    manifest.write_text("{}")
    os.utime(manifest, (4_000_000_000, 4_000_000_000))
    assert not dbt.is_stale(manifest, tmp_path)
    os.utime(model, (4_000_000_001, 4_000_000_001))
    assert dbt.is_stale(manifest, tmp_path)
    model.unlink()
    os.utime(model.parent, (4_000_000_001, 4_000_000_001))
    assert dbt.is_stale(manifest, tmp_path)


# Runs, as the daemon executes them


class Runs:
    """A storage root and a Dagster instance, used by one run after the other."""

    def __init__(self, world: World, instance: DagsterInstance) -> None:
        self.world, self.instance = world, instance

    def run(self) -> Run:
        with execute_job(reconstructable(pipeline), instance=self.instance) as result:
            return Run(self.instance, result.run_id)

    def step(self, *keys: AssetKey) -> Run:
        """One step of the pipeline."""
        result = pipeline().execute_in_process(instance=self.instance, asset_selection=list(keys), raise_on_error=False)
        return Run(self.instance, result.run_id)


class Run:
    """What one run left in the event log."""

    def __init__(self, instance: DagsterInstance, run_id: str) -> None:
        run = instance.get_run_by_id(run_id)
        assert run is not None
        self.status = run.status
        events = [entry.dagster_event for entry in instance.all_logs(run_id) if entry.dagster_event]
        self.materialized: dict[str, Any] = {}
        self.checks: dict[str, AssetCheckEvaluation] = {}
        self.failures: dict[str, str] = {}
        self.retries = [str(event.step_key) for event in events if event.is_step_up_for_retry]
        for event in events:
            if event.is_step_materialization:
                materialization = event.step_materialization_data.materialization
                self.materialized[materialization.asset_key.to_user_string()] = materialization.metadata
            elif isinstance(event.event_specific_data, AssetCheckEvaluation):
                check = event.event_specific_data
                self.checks[check.asset_key.to_user_string()] = check
            elif event.is_step_failure:
                self.failures[str(event.step_key)] = told(event.step_failure_data)


def told(data: Any) -> str:
    return str(data.user_failure_data.description if data.user_failure_data else data.error.message)


@pytest.fixture(scope="module")
def runs(in_use: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch, DagsterInstance.local_temp() as instance:
        patch.setenv("ANALYTICS_STORAGE", str(folder / "storage"))
        yield Runs(in_use.copy(folder / "storage"), instance)


@pytest.fixture(scope="module")
def first(runs: Runs) -> Run:
    runs.world.land(Generator(1).events(300, "provider", "delivery", "swarm"))
    return runs.run()


@pytest.mark.slow
def test_a_run_materializes_everything_and_publishes(runs: Runs, first: Run) -> None:
    assert first.failures == {}
    assert first.status is DagsterRunStatus.SUCCESS
    pipeline_keys = {key.to_user_string() for key in pipeline().asset_layer.executable_asset_keys}
    assert set(first.materialized) == pipeline_keys
    assert all(check.passed or check.severity is AssetCheckSeverity.WARN for check in first.checks.values())
    assert {f"gate/{name}" for name in ("provider_costs", "delivery", "swarm")} <= set(first.checks)
    (row,) = runs.world.published("select count(*) as rows from swarm.agent_efficiency_daily")
    assert row["rows"] > 0
    assert first.materialized["published/swarm"]["rows"].value == row["rows"]
    mart = first.materialized["swarm/agent_efficiency_daily"]
    assert (mart["status"].value, mart["loaded_through"].value) == ("success", 2)
    assert (mart["dagster/row_count"].value, mart["lag_loads"].value) == (row["rows"], 0)
    accepted = sum(first.materialized[f"lake/{name}"]["rows"].value for name in dbt.dbt_project().sources)
    assert accepted == first.materialized["lake/swarm"]["accepted"].value > 0


@pytest.mark.slow
def test_a_failing_gate_withholds_its_family_and_no_other(
    runs: Runs, first: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    swarm = expectations.load("swarm")
    mart = replace(swarm.marts[0], expectations=(*swarm.marts[0].expectations, holds("planted", "assignments < 0")))
    suites = {"swarm": Suite("swarm", (mart,))}
    plain = expectations.load
    monkeypatch.setattr(expectations, "load", lambda family: suites.get(family) or plain(family))
    before = runs.world.published("from swarm.agent_efficiency_daily")
    calls = "select sum(calls) as calls from provider_costs.provider_calls_daily"
    (calls_before,) = runs.world.published(calls)
    runs.world.land(Generator(2).events(200, "provider", "swarm"))
    run = runs.run()
    assert run.status is DagsterRunStatus.FAILURE
    assert set(run.failures) == {"gate", "publish"}
    assert "swarm is stale" in run.failures["publish"]
    assert "planted" in run.failures["publish"]
    assert "published/swarm" not in run.materialized
    assert {"published/delivery", "published/provider_costs"} <= set(run.materialized)
    gate = run.checks["gate/swarm"]
    assert (gate.passed, gate.severity, gate.blocking) == (False, AssetCheckSeverity.ERROR, True)
    assert "| planted | critical |" in gate.metadata["failing"].value
    assert run.checks["gate/delivery"].passed or run.checks["gate/delivery"].severity is AssetCheckSeverity.WARN
    assert "planted" in str(run.checks["published/swarm"].description)
    assert [row["threshold_id"] for row in desk.listed(runs.world.storage)] == ["pipeline:gate"]
    assert [row["outcome"] for row in records.listed(runs.world.storage)] == ["succeeded", "failed"]
    assert runs.world.published("from swarm.agent_efficiency_daily") == before
    assert runs.world.published(calls)[0]["calls"] > calls_before["calls"]


@pytest.mark.slow
def test_a_model_that_fails_is_not_materialized_and_the_others_go_on(
    runs: Runs, first: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = transform.build

    def build_with_a_broken_model(storage: Storage, **options: Any) -> BuildReport:
        report = build(storage, **options)
        broken = {"status": "error", "rows_changed": False, "seconds": 0.0, "message": "division by zero"}
        report = replace(report, models=report.models | {"agent_efficiency_daily": broken})
        durable.write_json(storage.build_record, vars(report))
        return report

    monkeypatch.setattr(transform, "build", build_with_a_broken_model)
    runs.world.land(Generator(3).events(50, "swarm"))
    run = runs.run()
    assert run.status is DagsterRunStatus.FAILURE
    assert run.failures["build"] == "1 models or tests failed: agent_efficiency_daily: division by zero"
    assert "agent_efficiency_daily: error (division by zero)" in run.failures["publish"]
    assert "swarm/agent_efficiency_daily" not in run.materialized
    assert "published/swarm" not in run.materialized
    assert {"gate/swarm", "published/delivery", "published/provider_costs"} <= set(run.materialized)


@pytest.mark.slow
def test_a_run_says_who_else_is_writing(runs: Runs, first: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANALYTICS_RETRIES", "2")
    descriptor = os.open(runs.world.storage.lock, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        run = runs.run()
    finally:
        os.close(descriptor)
    assert set(run.failures) == {"ingest"}
    assert "is writing to" in run.failures["ingest"]
    assert run.materialized == {}
    assert run.retries == ["ingest", "ingest"]


@pytest.mark.slow
def test_a_family_that_is_materialized_by_itself_leaves_the_others_published(runs: Runs, first: Run) -> None:
    assert runs.run().failures == {}
    names = (("swarm", "agent_efficiency_daily"), ("gate", "swarm"), ("published", "swarm"))
    run = runs.step(*(AssetKey(list(name)) for name in names))
    assert run.failures == {}
    assert {"/".join(name) for name in names} <= set(run.materialized)
    assert runs.world.published("select mart from ops.publications where is_stale") == []


def lakes() -> list[AssetKey]:
    return [dbt.lake_key(name) for name in dbt.dbt_project().sources]


@pytest.fixture
def step(world: World, instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> Runs:
    monkeypatch.setenv("ANALYTICS_STORAGE", str(world.root))
    return Runs(world, instance)


def failing(times: int, error: Exception) -> Callable[..., Any]:
    """Ingest, which fails so many times before it does what it does."""
    left, plain = [error] * times, ingest_assets.step

    def ingest(storage: Storage) -> IngestReport:
        if left:
            raise left.pop()
        return plain(storage)

    return ingest


def test_what_may_pass_is_tried_again_and_files_nothing(step: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    step.world.land(Generator(4).events(20, "swarm"))
    full = OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr(ingest_assets, "step", failing(2, full))
    run = step.step(*lakes())
    assert (run.status, run.retries) == (DagsterRunStatus.SUCCESS, ["ingest", "ingest"])
    assert run.materialized["lake/swarm"]["accepted"].value > 0
    assert desk.listed(step.world.storage) == []


def test_what_does_not_pass_fails_in_the_end_and_files_an_incident(step: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr(ingest_assets, "step", failing(99, full))
    run = step.step(*lakes())
    assert run.retries == ["ingest"] * 4
    assert run.failures == {"ingest": "OSError: [Errno 28] No space left on device"}
    assert [row["threshold_id"] for row in desk.listed(step.world.storage)] == ["pipeline:ingest"]


@pytest.mark.parametrize("error", [AnalyticsError("contracts/events.yml: line 3: mend it"), ZeroDivisionError("0")])
def test_what_stays_wrong_is_not_tried_again(step: Runs, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    monkeypatch.setattr(ingest_assets, "step", failing(1, error))
    run = step.step(*lakes())
    assert (set(run.failures), run.retries) == ({"ingest"}, [])


@pytest.mark.slow
def test_models_that_failed_on_a_full_disk_are_built_again(step: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    build, calls = transform.build, []

    def build_on_a_disk_that_is_cleared(storage: Storage, **options: Any) -> BuildReport:
        report = build(storage, **options)
        calls.append(report)
        if len(calls) > 1:
            return report
        full = {"status": "error", "rows_changed": False, "seconds": 0.0, "message": "No space left on device"}
        return replace(report, models=report.models | {"agent_efficiency_daily": full})

    monkeypatch.setattr(transform, "build", build_on_a_disk_that_is_cleared)
    run = step.step(AssetKey(["swarm", "agent_efficiency_daily"]))
    assert (run.status, run.retries, len(calls)) == (DagsterRunStatus.SUCCESS, ["build"], 2)
    assert "swarm/agent_efficiency_daily" in run.materialized


@pytest.mark.slow
def test_a_tool_that_holds_the_warehouse_is_named(step: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANALYTICS_RETRIES", "1")
    monkeypatch.setattr(transform, "PAUSES", (0.01, 0.02))
    step.world.land(Generator(4).events(20, "swarm"))
    step.world.ingest()
    with held(step.world.storage.warehouse) as pid:
        run = step.step(*dbt.dbt_project().keys.values())
    assert run.retries == ["build"]
    assert f"(PID {pid})" in run.failures["build"]


# Dagster's instance


@pytest.mark.slow
def test_a_process_that_has_done_a_run_does_the_next_one(published: Published, monkeypatch: pytest.MonkeyPatch) -> None:
    published.publish(BREACH)
    repository = ReconstructableRepository.for_module("orchestration.definitions", "defs", str(PROJECT_ROOT))
    origin = repository.get_reconstructable_job("alerts").get_python_origin()
    warm = {"run_launcher": {"module": "orchestration.lib.launcher", "class": "WarmRunLauncher"}}
    with DagsterInstance.local_temp(overrides=warm) as instance:
        launched = instance.run_launcher
        assert isinstance(launched, launcher.WarmRunLauncher)

        run_ids: list[str] = []

        def run() -> tuple[DagsterRunStatus, str]:
            job = definitions().resolve_job_def("alerts")
            created = instance.create_run_for_job(job, status=DagsterRunStatus.STARTING, job_code_origin=origin)
            launched.launch_run(LaunchRunContext(created, None))
            run_ids.append(created.run_id)
            found = until(lambda: ended(instance, created.run_id))
            return found.status, found.tags[launcher.PID]

        def waits() -> bool:
            return launched._idle is not None

        status, first = run()
        assert status is DagsterRunStatus.SUCCESS, [entry.message for entry in instance.all_logs(run_ids[0])]
        until(waits)
        assert run() == (DagsterRunStatus.SUCCESS, first)
        until(waits)
        # Its code is another one by now, and what it is to do fails.
        monkeypatch.setattr(launcher, "newest_change", lambda *of: 0)
        monkeypatch.setenv("ANALYTICS_OPERATIONS_URL", "nonsense://")
        status, second = run()
        assert status is DagsterRunStatus.FAILURE and second != first
        until(lambda: not launcher._alive(int(second)))
        assert not waits()


def ended(instance: DagsterInstance, run_id: str) -> DagsterRun | None:
    run = instance.get_run_by_id(run_id)
    return run if run and run.is_finished else None


def until(look: Callable[[], Any]) -> Any:
    """What is looked for, once it is there."""
    for _ in range(6000):
        if found := look():
            return found
        time.sleep(0.05)
    raise AssertionError("it did not come")


def test_a_run_whose_process_is_gone_is_told(instance: DagsterInstance) -> None:
    job = definitions().resolve_job_def("alerts")
    gone = subprocess.Popen(["true"])
    gone.wait()
    tags = {launcher.PID: str(gone.pid), launcher.HOST: socket.gethostname()}
    run = instance.create_run_for_job(job, status=DagsterRunStatus.STARTED, tags=tags)
    looking = launcher.WarmRunLauncher()
    looking.register_instance(instance)
    assert looking.check_run_worker_health(run).status is WorkerStatus.FAILED
    assert not looking.terminate(run.run_id)
    ours = instance.create_run_for_job(
        job, status=DagsterRunStatus.STARTED, tags={**tags, launcher.PID: str(os.getpid())}
    )
    assert looking.check_run_worker_health(ours).status is WorkerStatus.RUNNING


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_run_storage_is_sqlite_unless_told_otherwise(home: Path, tmp_path: Path) -> None:
    assert prepared(Storage(tmp_path))["DAGSTER_HOME"] == str(home)
    with DagsterInstance.from_config(str(home)) as instance:
        assert isinstance(instance.run_storage, SqliteRunStorage)
        for kept in (instance.run_storage, instance.event_log_storage, instance.schedule_storage):
            assert type(kept).__module__ == "orchestration.lib.run_storage"
        assert isinstance(instance.run_launcher, launcher.WarmRunLauncher)
        assert not instance.telemetry_enabled


@asset(tags={"kind": "one"})
def one() -> MaterializeResult[None]:
    return MaterializeResult(data_version=DataVersion("1"))


def test_what_is_recorded_is_where_dagster_itself_looks_for_it(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in prepared(Storage(tmp_path)).items():
        monkeypatch.setenv(name, value)
    with DagsterInstance.from_config(str(home)) as ours:
        done = [materialize([one], instance=ours, tags={"number": str(number)}) for number in range(3)]
        recorded = [ours.all_logs(run.run_id) for run in done]
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}")
    with DagsterInstance.from_config(str(home)) as theirs:
        assert type(theirs.run_storage) is SqliteRunStorage
        assert [theirs.all_logs(run.run_id) for run in done] == recorded
        assert all(len(events) > 5 for events in recorded)
        assert {run.tags["number"] for run in theirs.get_runs()} == {"0", "1", "2"}
        newest = theirs.get_latest_materialization_event(one.key)
        assert newest and newest.run_id == done[-1].run_id
        # Ours goes on where theirs was.
        materialize([one], instance=theirs)
    prepared(Storage(tmp_path))
    with DagsterInstance.from_config(str(home)) as ours:
        assert len(ours.fetch_materializations(one.key, limit=10).records) == 4


def test_two_instances_and_their_threads_record_events_at_once(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two instances, as two processes have them, each with threads; more runs than engines are kept for."""
    for name, value in prepared(Storage(tmp_path)).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("orchestration.lib.run_storage.RUNS", 2)
    runs = [make_new_run_id() for _ in range(4)]
    with (
        DagsterInstance.from_config(str(home)) as first,
        DagsterInstance.from_config(str(home)) as second,
        ThreadPoolExecutor(6) as pool,
    ):

        def record(number: int) -> None:
            happened = AssetMaterialization(one.key, tags={"number": str(number)})
            data = StepMaterializationData(happened)
            event = DagsterEvent(DagsterEventType.ASSET_MATERIALIZATION.value, "job", event_specific_data=data)
            entry = EventLogEntry(None, logging.DEBUG, "", runs[number % 4], time.time(), dagster_event=event)
            (first, second)[number % 2].event_log_storage.store_event(entry)

        list(pool.map(record, range(60)))
        for instance in (first, second):
            found = instance.fetch_materializations(one.key, limit=100).records
            assert {record.asset_materialization.tags["number"] for record in found} == set(map(str, range(60)))
            assert [len(instance.all_logs(run)) for run in runs] == [15] * 4


def test_run_storage_in_postgres(server: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", server.replace("postgresql://", "postgres://"))
    monkeypatch.setenv("ANALYTICS_WARM_RUNS", "off")
    for name, value in prepared(Storage(tmp_path)).items():
        monkeypatch.setenv(name, value)
    with DagsterInstance.from_config(str(home)) as instance:
        assert type(instance.run_launcher).__name__ == "DefaultRunLauncher"
        job = definitions().resolve_job_def("alerts")
        run = instance.create_run_for_job(job, status=DagsterRunStatus.STARTED)
    with psycopg.connect(server) as session:
        [[found]] = session.execute("select run_id from runs").fetchall()
    assert found == run.run_id


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("mysql://db", "DAGSTER_POSTGRES_URL: not an address such as"),
        ("postgresql://me:secret@127.0.0.1:1/runs", r"DAGSTER_POSTGRES_URL: 127.0.0.1:1/runs can't be reached: .+"),
    ],
)
def test_a_database_for_runs_that_cannot_be_had_is_told_in_one_line(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, told: str
) -> None:
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", url)
    with pytest.raises(AnalyticsError, match=told) as found:
        prepared(Storage(tmp_path))
    assert "secret" not in str(found.value) and "\n" not in str(found.value)


# Backfills


@pytest.mark.slow
def test_a_backfill_of_all_days_is_one_invocation_and_leaves_the_rows_of_a_full_refresh(
    unkind: World, tmp_path: Path, instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows of `unkind` are those of a full refresh: tests/test_incremental.py."""
    world = unkind.copy(tmp_path / "storage")
    monkeypatch.setenv("ANALYTICS_STORAGE", str(world.root))
    world.execute("update swarm.agent_efficiency_daily set assignments = assignments + 1")
    world.execute("delete from provider_costs.execution_rollup_hourly")
    world.execute("update intermediate.int_swarm_days set assignments = 0")
    commands: list[list[str]] = []
    invoke = DbtWorker.invoke

    def counted(self: DbtWorker, arguments: Sequence[str], *others: Any, **options: Any) -> Invocation:
        commands.append(list(arguments))
        return invoke(self, arguments, *others, **options)

    monkeypatch.setattr(DbtWorker, "invoke", counted)
    tags = {"dagster/asset_partition_range_start": "2026-02-01", "dagster/asset_partition_range_end": "2026-04-30"}
    job = definitions().resolve_job_def("backfill_days")
    result = job.execute_in_process(instance=instance, tags=tags)
    assert result.success
    assert len(commands) == 1
    assert not [problem for mart, rows in unkind.marts().items() for problem in differences(rows, world.marts()[mart])]
    published = world.published_marts()
    for mart, rows in unkind.published_marts().items():
        assert not differences(rows, published[mart], ignore=()), mart


# The processes of runs


class Scripted(launcher.Worker):
    """A worker whose process is this shell script."""

    def __init__(self, script: str) -> None:
        self.warm, self.code = False, 0
        self.process = subprocess.Popen(
            ["sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=PROJECT_ROOT
        )


READS_A_RUN = "read -r run; exec sleep 600"


@pytest.fixture
def launching(instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> Iterator[launcher.WarmRunLauncher]:
    """A launcher whose new processes take a run and do nothing of it; they are killed in the end."""
    started: list[Scripted] = []

    def new() -> Scripted:
        started.append(Scripted(READS_A_RUN))
        return started[-1]

    monkeypatch.setattr(launcher, "Worker", new)
    monkeypatch.setattr(launcher, "newest_change", lambda *of: 0)
    launching = launcher.WarmRunLauncher()
    launching.register_instance(instance)
    others = set(threading.enumerate())
    yield launching
    for worker in started:
        worker.process.kill()
    for thread in set(threading.enumerate()) - others:
        thread.join(60)


def starting(instance: DagsterInstance, status: DagsterRunStatus = DagsterRunStatus.STARTING) -> DagsterRun:
    job = definitions().resolve_job_def("alerts")
    repository = ReconstructableRepository.for_module("orchestration.definitions", "defs", str(PROJECT_ROOT))
    origin = repository.get_reconstructable_job("alerts").get_python_origin()
    return instance.create_run_for_job(job, status=status, job_code_origin=origin)


def found(instance: DagsterInstance, run: DagsterRun) -> DagsterRun:
    again = instance.get_run_by_id(run.run_id)
    assert again
    return again


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    time.sleep(0.05)  # Starts are told apart by hundredths of a second.
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process
        process.kill()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="starts of processes are told by /proc")
def test_another_process_with_the_number_of_a_runs_is_not_the_runs(
    launching: launcher.WarmRunLauncher, instance: DagsterInstance, stranger: subprocess.Popen[bytes]
) -> None:
    run = starting(instance)
    launching.launch_run(LaunchRunContext(run, None))
    assert launching.check_run_worker_health(found(instance, run)).status is WorkerStatus.RUNNING
    # As if the number of the run's process were the stranger's by now.
    instance.add_run_tags(run.run_id, {launcher.PID: str(stranger.pid)})
    assert launching.check_run_worker_health(found(instance, run)).status is WorkerStatus.FAILED
    assert not launching.terminate(run.run_id)
    assert found(instance, run).status is DagsterRunStatus.STARTING
    with pytest.raises(subprocess.TimeoutExpired):
        stranger.wait(0.2)


def test_a_run_is_terminated_in_its_own_process(launching: launcher.WarmRunLauncher, instance: DagsterInstance) -> None:
    run = starting(instance)
    launching.launch_run(LaunchRunContext(run, None))
    assert launching.terminate(run.run_id)
    failed = until(lambda: ended(instance, run.run_id))
    assert failed.status is DagsterRunStatus.FAILURE
    assert "its process ended with status -2" in [entry.message for entry in instance.all_logs(run.run_id)]


def test_a_process_of_another_user_is_not_the_runs(
    launching: launcher.WarmRunLauncher,
    instance: DagsterInstance,
    stranger: subprocess.Popen[bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = starting(instance)
    instance.add_run_tags(run.run_id, {launcher.PID: str(stranger.pid), launcher.HOST: socket.gethostname()})

    def refused(pid: int, signal: int) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    with monkeypatch.context() as patched:
        patched.setattr(os, "kill", refused)
        assert launching.check_run_worker_health(found(instance, run)).status is WorkerStatus.FAILED
        assert not launching.terminate(run.run_id)


def test_a_process_that_has_done_its_last_run_is_given_no_other(
    launching: launcher.WarmRunLauncher, instance: DagsterInstance
) -> None:
    worker = Scripted(
        f"exec {sys.executable} -c 'from orchestration.lib import run_worker as worker\n"
        "worker.MOST_RUNS, worker._execute = 2, lambda request: True\n"
        "worker.main()'"
    )
    worker.start("a run")
    assert worker.wait()
    run = starting(instance, DagsterRunStatus.SUCCESS)
    worker.start("the last run")
    launching._wait(worker, run.run_id)
    assert launching._idle is None
    assert worker.process.returncode == 0
    # The end of the process is no news of a run that has ended.
    assert found(instance, run).status is DagsterRunStatus.SUCCESS


@pytest.mark.parametrize(
    "dies",
    [
        pytest.param("echo idle; read -r run", id="when it is given the run"),
        pytest.param("exec 0<&-; echo idle; sleep 1", id="before it is given the run"),
    ],
)
def test_a_run_given_to_a_process_that_dies_idle_starts_in_another(
    launching: launcher.WarmRunLauncher, instance: DagsterInstance, dies: str
) -> None:
    run = starting(instance)
    idle = Scripted(dies)
    launching._wait(idle, run.run_id)
    assert launching._idle is idle
    launching.launch_run(LaunchRunContext(run, None))
    until(lambda: found(instance, run).tags[launcher.PID] != str(idle.process.pid))
    assert found(instance, run).status is DagsterRunStatus.STARTING
    # The other one is new: if it dies as well, starting it again would not end.
    assert launching.terminate(run.run_id)
    assert until(lambda: ended(instance, run.run_id)).status is DagsterRunStatus.FAILURE


def test_a_run_whose_new_process_dies_at_once_fails(
    launching: launcher.WarmRunLauncher, instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launcher, "Worker", lambda: Scripted("exit 3"))
    run = starting(instance)
    launching.launch_run(LaunchRunContext(run, None))
    assert until(lambda: ended(instance, run.run_id)).status is DagsterRunStatus.FAILURE
    assert "its process ended with status 3" in [entry.message for entry in instance.all_logs(run.run_id)]


# What a run leaves undone


NOT_THERE = AnalyticsError("PostgreSQL: password authentication failed")
AWAY = TransientError("PostgreSQL: connection refused")


class Copying:
    """The asset `postgres` alone, of a version that is there, with a copy that fails as told."""

    def __init__(self, published: Published, instance: DagsterInstance, patch: pytest.MonkeyPatch) -> None:
        published.publish()
        self.storage, self.instance = published.storage, instance
        self.errors: list[AnalyticsError] = []
        patch.setenv("ANALYTICS_POSTGRES_URL", "postgresql://ada@127.0.0.1/x")
        patch.setattr(publish_assets, "step", lambda *_, **__: Publication(1, False, {}))
        patch.setattr(postgres, "publish", self.copy)
        self.assets = publish_assets.published_assets(dbt.dbt_project())

    def copy(self, *_: Any) -> postgres.Copy:
        if self.errors:
            raise self.errors.pop()
        return postgres.Copy(1, (), (), 0, 0)

    def run(self, *errors: AnalyticsError) -> bool:
        """Whether a run succeeds; if not, the sensor looks at it."""
        self.errors = list(errors)
        selected = AssetSelection.assets(dbt.POSTGRES)
        result = materialize([self.assets], instance=self.instance, selection=selected, raise_on_error=False)
        if not result.success:
            looks_at_failure(self.instance, result)
        return bool(result.success)

    def incidents(self) -> list[tuple[str, str]]:
        return [(row["threshold_id"], row["status"]) for row in desk.listed(self.storage, everything=True)]


def looks_at_failure(instance: DagsterInstance, result: ExecuteInProcessResult) -> None:
    context = build_run_status_sensor_context(
        sensor_name="failed_runs",
        dagster_event=result.get_run_failure_event(),
        dagster_instance=instance,
        dagster_run=result.dagster_run,
    ).for_run_failure()
    failure_sensor(Settings())(context)


@pytest.fixture
def copying(published: Published, instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> Copying:
    return Copying(published, instance, monkeypatch)


def test_a_copy_that_fails_tick_after_tick_is_one_incident_until_it_succeeds(copying: Copying) -> None:
    for _ in range(2):
        assert not copying.run(NOT_THERE)
        assert copying.incidents() == [("pipeline:postgres", "open")]
    assert {row["outcome"] for row in records.listed(copying.storage)} == {"failed"}
    assert records.listed(copying.storage)[0]["causes"] == [f"postgres failed: {NOT_THERE}"]
    assert copying.run()
    assert copying.incidents() == [("pipeline:postgres", "resolved")]


@pytest.mark.slow
def test_a_copy_that_is_tried_again_files_nothing_meanwhile(copying: Copying) -> None:
    assert copying.run(AWAY, AWAY)
    assert copying.incidents() == []
    assert not copying.run(*[AWAY] * 5)
    assert copying.incidents() == [("pipeline:postgres", "open")]
    # Not resolved by an attempt that may be followed by a better one.
    assert not copying.run(*[AWAY] * 5)
    assert copying.incidents() == [("pipeline:postgres", "open")]


def test_a_backfill_copies_what_it_published(
    published: Published, instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    published.publish()
    copies: list[Storage] = []

    def copy(storage: Storage, *_: Any) -> postgres.Copy:
        copies.append(storage)
        if len(copies) > 1:
            raise NOT_THERE
        return postgres.Copy(1, ("a_mart",), (), 7, 0)

    report = BuildReport("b", 1, None, "", "", "p")
    monkeypatch.setenv("ANALYTICS_POSTGRES_URL", "postgresql://ada@127.0.0.1/x")
    monkeypatch.setattr(postgres, "publish", copy)
    monkeypatch.setattr(transform, "build", lambda *_, **__: report)
    monkeypatch.setattr(backfill_assets, "gate", lambda *_, **__: {})
    monkeypatch.setattr(backfill_assets, "publish", lambda *_, **__: Publication(1, True, {}))
    days = DailyPartitionsDefinition("2026-03-01")
    backfill = backfill_assets.backfill_asset(dbt.dbt_project(), "days", days)

    def run() -> ExecuteInProcessResult:
        return materialize([backfill], instance=instance, partition_key="2026-03-01", raise_on_error=False)

    done = run()
    assert done.success and copies == [published.storage]
    materialized = {each.asset_key: each for each in done.get_asset_materialization_events()}
    assert materialized[dbt.POSTGRES].materialization.metadata["rows_copied"].value == 7
    failed = run()
    [failure] = [event for event in failed.all_events if event.is_step_failure]
    assert told(failure.step_failure_data) == f"not copied to PostgreSQL: {NOT_THERE}"
    assert [row["threshold_id"] for row in desk.listed(published.storage)] == ["pipeline:postgres"]


@pytest.mark.parametrize(
    ("ended", "starts"),
    [
        (["pipeline:failure", "retention:success"], True),
        (["backfill_hours:failure", "alerts:success"], True),
        (["pipeline:success", "retention:failure"], False),
        (["pipeline:failure", "pipeline_with_tests:success", "alerts:failure"], False),
    ],
)
def test_a_tick_makes_good_the_last_run_that_should_have_published(
    published: Published, instance: DagsterInstance, ended: list[str], starts: bool
) -> None:
    for name, _, status in (each.partition(":") for each in ended):
        instance.add_run(DagsterRun(name, make_new_run_id(), status=DagsterRunStatus[status.upper()]))
    found = tick_schedule(Settings())(build_schedule_context(instance=instance))
    assert isinstance(found, RunRequest) == starts
    if isinstance(found, RunRequest):
        assert found.tags["agent_analytics/why"] == "the last run failed"


@pytest.fixture
def built(new_world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """A storage root whose last build has read all that landed."""
    monkeypatch.setenv("ANALYTICS_STORAGE", str(new_world.root))
    monkeypatch.setattr(transform, "project_digest", lambda: "p")
    new_world.land(Generator(5).events(5, "swarm"))
    new_world.ingest()
    return write_build(new_world)


def write_build(world: World) -> World:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    report = BuildReport("b", Ledger(world.storage).last_load_id(), None, now, now, "p")
    durable.write_json(world.storage.build_record, vars(report))
    return world


def test_a_build_that_nobody_published_is_a_reason_to_run(built: World) -> None:
    storage = built.storage
    assert due.reason_to_run(storage) == "the last build is not published"
    durable.write_json(storage.publish_record, {"build_id": "b"})
    assert due.reason_to_run(storage) is None
    durable.write_json(storage.publish_record, {"build_id": "a"})
    assert due.reason_to_run(storage) == "the last build is not published"


def test_a_load_of_copies_and_rejected_lines_is_no_reason_to_run(built: World) -> None:
    storage = built.storage
    durable.write_json(storage.publish_record, {"build_id": "b"})
    events = Generator(5).events(5, "swarm")
    built.land([*events, events[0] | {"event_id": ""}])
    loaded = built.ingest()
    assert (loaded.load_id, loaded.accepted, loaded.rejected) == (2, 0, 1)
    assert due.reason_to_run(storage) is None
    built.land(Generator(6).events(1, "swarm"))
    built.ingest()
    assert due.reason_to_run(storage) == "there are loads after 1"


def test_a_second_daemon_is_kept_off_the_instance(tmp_path: Path) -> None:
    first = hold(tmp_path)
    with pytest.raises(AnalyticsError, match=r"Dagster is running on .* already: stop it first"):
        hold(tmp_path)
    os.close(first)
    os.close(hold(tmp_path))


@pytest.mark.slow
def test_retention_is_tried_again_and_its_failure_is_its_own_incident(
    published: Published, instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[AnalyticsError] = []

    def ages_out(storage: Storage, **_: Any) -> Retention:
        if left:
            raise left.pop()
        return Retention(Policy(), None)

    def run(*errors: AnalyticsError) -> ExecuteInProcessResult:
        left[:] = errors
        job = definitions().resolve_job_def("retention")
        return job.execute_in_process(instance=instance, raise_on_error=False)

    monkeypatch.setattr(retention_job, "step", ages_out)
    locked = TransientError("retention: `agent-analytics run` is writing")
    assert run(locked, locked).success
    assert desk.listed(published.storage) == []
    failed = run(*[locked] * 5)
    assert not failed.success
    looks_at_failure(instance, failed)
    with records.recording(published.storage, records.DAGSTER, "publish", whole=True) as good:
        good.begin()
    [row] = desk.listed(published.storage)
    assert (row["threshold_id"], row["title"]) == ("pipeline:retention", "a run of retention failed")
    assert str(locked) in row["cause"]
    assert run().success
    assert desk.listed(published.storage) == []


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("ANALYTICS_WEBHOOK_URL", "https://example.com/hook", "ANALYTICS_WEBHOOK_SECRET: must be set"),
        ("ANALYTICS_WEBHOOK_TIMEOUT", "soon", "ANALYTICS_WEBHOOK_TIMEOUT: 'soon' is not a number"),
    ],
)
def test_dagster_does_not_start_with_a_wrong_notification_setting(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str
) -> None:
    monkeypatch.setattr(entry, "prepared_manifest", lambda: pytest.fail("it went on"))
    monkeypatch.delenv("ANALYTICS_WEBHOOK_SECRET", raising=False)
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit, match=f"^error: {told}") as found:
        entry.main([])
    assert "\n" not in str(found.value)


@pytest.mark.slow
def test_after_a_run_nothing_is_new(runs: Runs, first: Run) -> None:
    assert runs.run().failures == {}
    assert due.reason_to_run(runs.world.storage) is None
