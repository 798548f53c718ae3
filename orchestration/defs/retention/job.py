"""Once a night: what is older than the retention policy says moves into archive/."""

from dagster import Definitions, Failure, OpExecutionContext, ScheduleDefinition, definitions, job, op

from agent_analytics.errors import AnalyticsError
from agent_analytics.retention import retention as step
from agent_analytics.storage import Storage
from orchestration.lib.settings import Settings
from orchestration.lib.steps import WRITER


@op(pool=WRITER, description="Moves old events, and landed files if the policy says so.")
def age_out(context: OpExecutionContext) -> None:
    try:
        done = step(Storage.from_env(), progress=context.log.info)
    except AnalyticsError as error:
        raise Failure(description=str(error), allow_retries=False) from None
    for moved in done.moved:
        context.log.info(f"{moved.what}: {moved.files} files to {moved.where}")


@job(name="retention", description="Moves what is older than the retention policy says into archive/.")
def retention() -> None:
    age_out()


def retention_schedule(settings: Settings) -> ScheduleDefinition:
    """The nightly run of the policy. It waits in the queue while another run writes."""
    return ScheduleDefinition(
        name="retention",
        job=retention,
        cron_schedule=settings.retention_cron,
        default_status=settings.schedule_status,
        execution_timezone="UTC",
        description="Moves what is older than the retention policy says into archive/, once a night.",
    )


@definitions
def defs() -> Definitions:
    return Definitions(jobs=[retention], schedules=[retention_schedule(Settings.from_env())])
