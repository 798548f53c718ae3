"""Every five minutes: breaches become incidents, people are told, and each family shows its open critical incidents."""

from collections.abc import Iterator
from typing import Any

from dagster import (
    AssetCheckExecutionContext,
    AssetCheckResult,
    AssetChecksDefinition,
    AssetCheckSpec,
    AssetSelection,
    Definitions,
    RunFailureSensorContext,
    RunRequest,
    ScheduleDefinition,
    ScheduleEvaluationContext,
    SensorDefinition,
    SkipReason,
    define_asset_job,
    definitions,
    multi_asset_check,
    run_failure_sensor,
    schedule,
)

from agent_analytics import alerts
from agent_analytics.errors import AnalyticsError, is_transient
from agent_analytics.operations import desk, runs
from agent_analytics.storage import Storage
from orchestration.lib.due import ALERTS, RETENTION, evaluating, looking
from orchestration.lib.project import DbtProject, dbt_project, incident_check_key, published_key
from orchestration.lib.results import incident_check
from orchestration.lib.settings import Settings
from orchestration.lib.steps import ended

WHY = "agent_analytics/why"


def incident_checks(project: DbtProject) -> AssetChecksDefinition:
    """The step `evaluate` of the job `alerts`, which can't have the job's name.

    It writes neither to the warehouse nor to what is published, so it waits for no run.
    """
    specs = [
        AssetCheckSpec(
            incident_check_key(name).name,
            asset=published_key(name),
            description=f"No critical incident about {name} is open.",
        )
        for name in project.families
    ]

    @multi_asset_check(name="evaluate", specs=specs, can_subset=True)
    def check(context: AssetCheckExecutionContext) -> Iterator[AssetCheckResult]:
        storage = Storage.from_env()
        try:
            done = alerts.evaluate(storage)
            runs.mended(storage, ALERTS)
            found = desk.listed(storage)
        except AnalyticsError as error:
            raise ended(context, str(error), is_transient(error)) from None
        context.log.info(f"{done.breaches} breaches, {done.counts or 'nothing changed'}; {done.delivered}")
        for name in project.families:
            if incident_check_key(name) in context.selected_asset_check_keys:
                yield incident_check(name, found)

    return check


def alerts_schedule(settings: Settings) -> ScheduleDefinition:
    """The evaluation of alerts, when it would find something to do."""

    @schedule(
        name=ALERTS,
        job_name=ALERTS,
        cron_schedule=settings.alerts_cron,
        default_status=settings.schedule_status,
        execution_timezone="UTC",
        description="Turns breaches into incidents and delivers notifications; starts no run when there are none.",
    )
    def evaluation(context: ScheduleEvaluationContext) -> RunRequest | SkipReason:
        if evaluating(context.instance):
            return SkipReason("the last evaluation is still at it")
        storage = Storage.from_env()
        with looking(storage, ALERTS):
            why = alerts.due(storage)
        return RunRequest(tags={WHY: why}) if why else SkipReason("nothing new is published, nothing is to be sent")

    return evaluation


def failure_sensor(settings: Settings) -> SensorDefinition:
    """Files an incident for a run that failed, unless its steps did."""

    @run_failure_sensor(
        name="failed_runs",
        minimum_interval_seconds=settings.sensor_seconds,
        default_status=settings.sensor_status,
        description="Files an incident for a run that failed, unless its steps did.",
    )
    def failed_runs(context: RunFailureSensorContext) -> SkipReason | None:
        run = context.dagster_run
        # What the next run of the pipeline mends is called "run".
        step = run.job_name if run.job_name in (ALERTS, RETENTION) else "run"
        is_new = runs.fail(Storage.from_env(), run.run_id, run.job_name, step, cause_of(context))
        return None if is_new else SkipReason("its steps have filed it")

    return failed_runs


def cause_of(context: RunFailureSensorContext) -> str:
    """The failed steps with what they said, in one line."""
    told = [f"{event.step_key}: {_said(event.step_failure_data)}" for event in context.get_step_failure_events()]
    return " ".join(("; ".join(told) or context.failure_event.message or "it ended without a word").split())


def _said(data: Any) -> str:
    failure = data.user_failure_data
    return str((failure and failure.description) or (data.error and data.error.message) or "failed")


@definitions
def defs() -> Definitions:
    project, settings = dbt_project(), Settings.from_env()
    job = define_asset_job(
        ALERTS,
        selection=AssetSelection.checks(*(incident_check_key(name) for name in project.families)),
        description="Breaches become incidents, notifications are sent, and families show their critical incidents.",
    )
    return Definitions(
        asset_checks=[incident_checks(project)],
        jobs=[job],
        schedules=[alerts_schedule(settings)],
        sensors=[failure_sensor(settings)],
    )
