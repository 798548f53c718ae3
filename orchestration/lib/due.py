"""When a run is worth its start: what schedules and the sensor ask before they start one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from dagster import DagsterInstance, DagsterRunStatus, RunsFilter

from agent_analytics import landing, transform
from agent_analytics.errors import AnalyticsError
from agent_analytics.ledger import Ledger
from agent_analytics.locking import holder
from agent_analytics.operations import runs
from agent_analytics.publish import last_published
from agent_analytics.storage import Storage

UNFINISHED = [
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]

PIPELINE, PIPELINE_WITH_TESTS = "pipeline", "pipeline_with_tests"
# The jobs that publish: what one of them leaves undone, the next run of the pipeline does.
PUBLISHING = (PIPELINE, PIPELINE_WITH_TESTS, "backfill_days", "backfill_hours")
RETENTION = "retention"
# The job that evaluates alerts writes nothing that others wait for.
ALERTS = "alerts"


@contextmanager
def looking(storage: Storage, name: str) -> Iterator[None]:
    """A look of a schedule or sensor. One that raises is an incident, until a look of its succeeds: no run is started
    that could fail, and Dagster shows it on the tick alone."""
    step = f"schedule {name}"
    try:
        yield
    except Exception as error:
        with suppress(AnalyticsError):
            runs.file(storage, step, error)
        raise
    with suppress(AnalyticsError):
        runs.mended(storage, step)


def busy(instance: DagsterInstance, storage: Storage) -> str | None:
    """Who is writing or waits to; None if nobody does."""
    unfinished = instance.get_runs(RunsFilter(statuses=UNFINISHED))
    run = next((run for run in unfinished if run.job_name != ALERTS), None)
    if run:
        return f"run {run.run_id[:8]} of {run.job_name} is {run.status.value.lower()}"
    writer = holder(storage)
    if writer is not None:
        return f"`{writer.get('command')}` (pid {writer.get('pid')}, since {writer.get('since')}) is writing"
    return None


def last_run_failed(instance: DagsterInstance) -> bool:
    """Whether the newest run that should have published did not come to a good end."""
    run = next((run for run in instance.get_runs(limit=100) if run.job_name in PUBLISHING), None)
    return run is not None and run.status is not DagsterRunStatus.SUCCESS


def evaluating(instance: DagsterInstance) -> bool:
    """Whether alerts are being evaluated, or wait to be."""
    return bool(instance.get_runs(RunsFilter(job_name=ALERTS, statuses=UNFINISHED), limit=1))


def new_files(storage: Storage) -> list[str]:
    """Landed files that no load names."""
    known = Ledger(storage).known_files()
    return [name for name in landing.landed_files(storage) if name not in known]


def listing(storage: Storage) -> str:
    """A digest of what lies in landing/: names, sizes, times. No file is read."""
    digest = hashlib.sha256()
    for name in landing.landed_files(storage):
        try:
            digest.update(f"{name}\0{landing.stat(storage.landing / name)}\n".encode())
        except FileNotFoundError:
            continue
    return digest.hexdigest()


def reason_to_run(storage: Storage) -> str | None:
    """Why an incremental run would find something to do; None if it would not."""
    files = new_files(storage)
    if files:
        return told(files)
    ledger = Ledger(storage)
    if not ledger.entries():
        return None
    build = transform.read_last_build(storage)
    if build is None:
        return "no build has finished"
    # A load of copies and rejected lines alone is nothing to build.
    if (build.load_id or 0) < max(transform.newest_load_by_source(ledger).values(), default=0):
        return f"there are loads after {build.load_id}"
    if build.project != transform.project_digest():
        return "the dbt project changed, or its last build was not complete"
    if last_published(storage) != build.build_id:
        return "the last build is not published"
    return None


def told(files: Sequence[str]) -> str:
    """The files in one line."""
    more = f" and {len(files) - 3} more" if len(files) > 3 else ""
    return f"new in landing: {', '.join(files[:3])}{more}"
