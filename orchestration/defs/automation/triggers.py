"""When runs start by themselves: every 15 minutes, daily with all dbt tests, and when files land."""

from dagster import (
    AssetSelection,
    Definitions,
    RunRequest,
    ScheduleDefinition,
    ScheduleEvaluationContext,
    SensorDefinition,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    define_asset_job,
    definitions,
    schedule,
    sensor,
)
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from agent_analytics.storage import Storage
from orchestration.lib.due import (
    PIPELINE,
    PIPELINE_WITH_TESTS,
    busy,
    last_run_failed,
    listing,
    looking,
    new_files,
    reason_to_run,
    told,
)
from orchestration.lib.project import DbtProject, dbt_project, incident_check_key
from orchestration.lib.settings import Settings

WHY = "agent_analytics/why"


def pipeline_jobs(project: DbtProject) -> list[UnresolvedAssetJobDefinition]:
    """All of the pipeline, without and with dbt's tests. Incidents are looked at by the job `alerts`."""
    incidents = AssetSelection.checks(*(incident_check_key(name) for name in project.families))
    everything = AssetSelection.all() - AssetSelection.groups("backfill") - incidents
    return [
        define_asset_job(
            PIPELINE,
            selection=everything.without_checks() | (AssetSelection.groups("gate", "published") - incidents),
            description="Ingest, build, gate and publish: from landed files to published marts.",
        ),
        define_asset_job(
            PIPELINE_WITH_TESTS,
            selection=everything,
            description="The same with all dbt tests, each a check of its model.",
        ),
    ]


def tick_schedule(settings: Settings) -> ScheduleDefinition:
    """The incremental run, when it would find something to do."""

    @schedule(
        name="incremental",
        job_name=PIPELINE,
        cron_schedule=settings.tick_cron,
        default_status=settings.schedule_status,
        execution_timezone="UTC",
        description="Brings what is published up to what has landed; starts no run when nothing is new.",
    )
    def incremental(context: ScheduleEvaluationContext) -> RunRequest | SkipReason:
        storage = Storage.from_env()
        with looking(storage, "incremental"):
            writer = busy(context.instance, storage)
            if writer:
                return SkipReason(writer)
            failed = "the last run failed" if last_run_failed(context.instance) else None
            why = reason_to_run(storage) or failed
        return RunRequest(tags={WHY: why}) if why else SkipReason("nothing is new")

    return incremental


def daily_schedule(settings: Settings) -> ScheduleDefinition:
    """The run with all dbt tests. It waits in the queue while another run writes."""
    return ScheduleDefinition(
        name="daily_with_tests",
        job_name=PIPELINE_WITH_TESTS,
        cron_schedule=settings.daily_cron,
        default_status=settings.schedule_status,
        execution_timezone="UTC",
        tags={WHY: "all dbt tests, once a day"},
        description="The same run with all dbt tests.",
    )


def landing_sensor(settings: Settings) -> SensorDefinition:
    """Starts a run when new files have landed.

    It asks once for each listing of landing/, so that a file that can't be loaded doesn't start run after run.
    """

    @sensor(
        name="landed_files",
        job_name=PIPELINE,
        minimum_interval_seconds=settings.sensor_seconds,
        default_status=settings.sensor_status,
        description="Starts a run when new files have landed.",
    )
    def landed_files(context: SensorEvaluationContext) -> SensorResult | SkipReason:
        storage = Storage.from_env()
        with looking(storage, "landed_files"):
            present = listing(storage)
            if present == context.cursor:
                return SkipReason("nothing has landed since the last look")
            writer = busy(context.instance, storage)
            if writer:
                return SkipReason(writer)
            files = new_files(storage)
        if not files:
            return SensorResult(skip_reason="all landed files are loaded", cursor=present)
        return SensorResult(run_requests=[RunRequest(tags={WHY: told(files)})], cursor=present)

    return landed_files


@definitions
def defs() -> Definitions:
    settings = Settings.from_env()
    return Definitions(
        jobs=pipeline_jobs(dbt_project()),
        schedules=[tick_schedule(settings), daily_schedule(settings)],
        sensors=[landing_sensor(settings)],
    )
