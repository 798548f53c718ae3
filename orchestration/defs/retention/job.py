"""Once a night: what is older than the retention policy says moves into archive/."""

from contextlib import suppress

from dagster import Definitions, OpExecutionContext, ScheduleDefinition, definitions, job, op

from agent_analytics.errors import AnalyticsError, is_transient
from agent_analytics.operations import runs
from agent_analytics.retention import retention as step
from agent_analytics.storage import Storage
from orchestration.lib.due import RETENTION
from orchestration.lib.settings import Settings
from orchestration.lib.steps import WRITER, ended


@op(pool=WRITER, description="Moves old events, and landed files if the policy says so.")
def age_out(context: OpExecutionContext) -> None:
    storage = Storage.from_env()
    try:
        done = step(storage, progress=context.log.info)
    except AnalyticsError as error:
        raise ended(context, str(error), is_transient(error)) from None
    for moved in done.moved:
        context.log.info(f"{moved.what}: {moved.files} files to {moved.where}")
    with suppress(AnalyticsError):
        runs.mended(storage, RETENTION)


@job(name=RETENTION, description="Moves what is older than the retention policy says into archive/.")
def retention() -> None:
    age_out()


def retention_schedule(settings: Settings) -> ScheduleDefinition:
    """The nightly run of the policy. It waits in the queue while another run writes."""
    return ScheduleDefinition(
        name=RETENTION,
        job=retention,
        cron_schedule=settings.retention_cron,
        default_status=settings.schedule_status,
        execution_timezone="UTC",
        description="Moves what is older than the retention policy says into archive/, once a night.",
    )


@definitions
def defs() -> Definitions:
    return Definitions(jobs=[retention], schedules=[retention_schedule(Settings.from_env())])
