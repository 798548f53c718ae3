"""How a step calls the pipeline's functions, and how it says what did not happen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from dagster import AssetExecutionContext, AssetKey, Failure, MaterializeResult
from dagster._core.definitions.source_asset import SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION

from agent_analytics.errors import AnalyticsError
from agent_analytics.locking import writer_lock
from agent_analytics.operations.runs import DAGSTER, Run, recording
from agent_analytics.storage import Storage

# The pool of all that writes: one run at a time (orchestration/dagster.yaml).
WRITER = "writer"


@contextmanager
def writing(context: AssetExecutionContext, whole: bool = False) -> Iterator[Run]:
    """The run's record, with its storage root held as its only writer. What the user can mend fails the step with one
    line. whole: whether this is the last step of a run, after which it has done all it should."""
    storage = Storage.from_env()
    step = context.op_execution_context.op_def.name
    try:
        with (
            writer_lock(storage, f"dagster run {context.run_id[:8]}"),
            recording(storage, DAGSTER, step, context.run_id, whole) as run,
        ):
            run.begin()
            yield run
        if run.problem:
            context.log.warning(run.problem)
    except AnalyticsError as error:
        raise Failure(description=str(error), allow_retries=False) from None


def told_nodes(context: AssetExecutionContext) -> Callable[[str, str], None]:
    """Logs every dbt node as it ends, but for tests that pass."""

    def tell(node: str, status: str) -> None:
        if status != "pass":
            context.log.info(f"{node}: {status}")

    return tell


def not_materialized(key: AssetKey) -> MaterializeResult[None]:
    """Ends an asset's part in a run without a materialization, and lets the steps after it run.

    An output that is left out would make Dagster skip every step that has it among its inputs, for all families
    (dagster#9408). This is the one kind of output for which it records no materialization.
    """
    return MaterializeResult(asset_key=key, metadata={SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION: True})


def failure(what: str, lines: Sequence[str], metadata: Mapping[str, Any] | None = None) -> Failure:
    """A step's bad end: what, and one line for each thing that went wrong."""
    return Failure(description=f"{what}: {'; '.join(lines)}", metadata=metadata, allow_retries=False)
