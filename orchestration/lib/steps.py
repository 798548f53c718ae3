"""How a step calls the pipeline's functions, how it says what did not happen, and when it is tried again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from dagster import (
    AssetCheckExecutionContext,
    AssetExecutionContext,
    AssetKey,
    Failure,
    MaterializeResult,
    OpExecutionContext,
    RetryRequested,
)
from dagster._core.definitions.source_asset import SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION

from agent_analytics import postgres
from agent_analytics.errors import AnalyticsError, is_transient
from agent_analytics.locking import writer_lock
from agent_analytics.operations.runs import DAGSTER, Run, recording
from agent_analytics.storage import Storage
from orchestration.lib.settings import Settings

# The pool of all that writes: one run at a time (orchestration/dagster.yaml).
WRITER = "writer"

Context = AssetExecutionContext | AssetCheckExecutionContext | OpExecutionContext


@contextmanager
def writing(context: AssetExecutionContext, whole: bool = False) -> Iterator[Run]:
    """The run's record, with its storage root held as its only writer. What the user can mend fails the step with one
    line. whole: whether this is the last step of a run, after which it has done all it should."""
    storage = Storage.from_env()
    step = context.op_execution_context.op_def.name

    def again(error: Exception) -> bool:
        return is_transient(error) and _may_be_tried_again(context)

    try:
        with (
            writer_lock(storage, f"dagster run {context.run_id[:8]}"),
            recording(storage, DAGSTER, step, context.run_id, whole, again) as run,
        ):
            run.begin()
            yield run
        if run.problem:
            context.log.warning(run.problem)
    except AnalyticsError as error:
        raise ended(context, str(error), is_transient(error)) from None
    except Exception as error:
        if not is_transient(error):
            raise
        raise ended(context, f"{type(error).__name__}: {' '.join(str(error).split())}", transient=True) from error


@contextmanager
def told(context: AssetExecutionContext) -> Iterator[Callable[[str], None]]:
    """Logs what is going on, several things within a second in one line: Dagster records each line as an event."""
    heard: list[str] = []
    since = time.monotonic()

    def tell(what: str) -> None:
        nonlocal since
        heard.append(what)
        if time.monotonic() - since >= 1:
            flush()
            since = time.monotonic()

    def flush() -> None:
        if heard:
            context.log.info("; ".join(heard))
            heard.clear()

    try:
        yield tell
    finally:
        flush()


@contextmanager
def told_nodes(context: AssetExecutionContext) -> Iterator[Callable[[str, str], None]]:
    """Logs the dbt nodes that end, but for tests that pass."""
    with told(context) as tell:
        yield lambda node, status: None if status == "pass" else tell(f"{node}: {status}")


def copied_to_postgres(context: AssetExecutionContext, run: Run, again: bool = True) -> postgres.Copy | AnalyticsError:
    """The copy, or why there is none: what was published before it is told in either case.

    It is a step of its own to the run's record, which says why it failed unless it is tried again.
    """
    try:
        with told(context) as tell:
            copy = postgres.publish(run.storage, postgres.address(), lambda mart: tell(f"{mart} is copied"))
    except AnalyticsError as error:
        if not (again and is_transient(error) and _may_be_tried_again(context)):
            run.failed("postgres", error)
        return error
    run.mended("postgres")
    return copy


def not_copied(context: AssetExecutionContext, error: AnalyticsError, again: bool = True) -> Failure | RetryRequested:
    """The bad end of a step that published and could not copy; again: whether it is tried again for what may pass."""
    return failure(context, "not copied to PostgreSQL", [str(error)], again and is_transient(error))


def not_materialized(key: AssetKey) -> MaterializeResult[None]:
    """Ends an asset's part in a run without a materialization, and lets the steps after it run.

    An output that is left out would make Dagster skip every step that has it among its inputs, for all families
    (dagster#9408). This is the one kind of output for which it records no materialization.
    """
    return MaterializeResult(asset_key=key, metadata={SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION: True})


def failure(
    context: AssetExecutionContext, what: str, lines: Sequence[str], transient: bool = False
) -> Failure | RetryRequested:
    """A step's bad end: what, and one line for each thing that went wrong."""
    return ended(context, f"{what}: {'; '.join(lines)}", transient)


def ended(context: Context, why: str, transient: bool) -> Failure | RetryRequested:
    """What a step raises at its end: a request to try again after a while that doubles, or a failure for good.

    No retry policy of Dagster's own says this: it would try again after any error.
    """
    if not transient or not _may_be_tried_again(context):
        return Failure(description=why, allow_retries=False)
    settings, number = Settings.from_env(), context.op_execution_context.retry_number
    seconds = settings.retry_seconds * 2**number
    context.log.warning(f"{why}: trying again in {seconds} s ({number + 1} of {settings.retries})")
    return RetryRequested(max_retries=settings.retries, seconds_to_wait=seconds)


def _may_be_tried_again(context: Context) -> bool:
    return bool(context.op_execution_context.retry_number < Settings.from_env().retries)
