"""Ranges of days or hours recomputed, whatever is new: one run and one dbt invocation for the whole range."""

import os
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

from dagster import (
    AssetExecutionContext,
    AssetMaterialization,
    AssetsDefinition,
    BackfillPolicy,
    DailyPartitionsDefinition,
    Definitions,
    HourlyPartitionsDefinition,
    MaterializeResult,
    TimeWindowPartitionsDefinition,
    asset,
    define_asset_job,
    definitions,
)

from agent_analytics import postgres, transform, versions
from agent_analytics.errors import AnalyticsError, says_transient
from agent_analytics.gate import gate
from agent_analytics.ledger import Ledger
from agent_analytics.policy import Policy
from agent_analytics.publish import publish
from agent_analytics.storage import Storage
from orchestration.lib.facts import read_facts
from orchestration.lib.project import (
    OWNER,
    POSTGRES,
    DbtProject,
    backfill_key,
    dbt_project,
    gate_key,
    lake_key,
    published_key,
)
from orchestration.lib.results import BUILT, copy_metadata, gate_metadata, model_metadata, published_metadata, table
from orchestration.lib.settings import Settings
from orchestration.lib.steps import WRITER, copied_to_postgres, failure, not_copied, told, told_nodes, writing

WHAT = {
    "days": "Every model recomputed for a range of days, from the lake, then gated and published.",
    "hours": "The same for a range of hours: marts by day or longer are recomputed for the days that hold them.",
}


def backfill_asset(project: DbtProject, unit: str, partitions: TimeWindowPartitionsDefinition) -> AssetsDefinition:
    """One step: build the range, gate, publish, and copy to PostgreSQL where the step `publish` does. Doing it again
    changes nothing."""
    to_postgres = bool(os.environ.get("ANALYTICS_POSTGRES_URL"))

    @asset(
        key=backfill_key(unit),
        deps=[lake_key(source) for source in project.sources],
        group_name="backfill",
        description=WHAT[unit],
        owners=[OWNER],
        kinds={"dbt", "duckdb"},
        partitions_def=partitions,
        backfill_policy=BackfillPolicy.single_run(),
        pool=WRITER,
    )
    def backfill(context: AssetExecutionContext) -> Iterator[MaterializeResult[None]]:
        first, last = bounds(unit, context)
        with writing(context, whole=True) as run:
            storage = run.storage
            with told_nodes(context) as progress:
                report = transform.build(storage, start=first, end=last, progress=progress)
            run.built(report, is_new=True)
            with told(context) as tell:
                gates = gate(storage, progress=tell)
            run.gated(gates)
            run.save()
            publication = publish(storage, run_id=context.run_id)
            run.published(publication)
            facts = read_facts(storage)
            folder = versions.current(storage)
            record = versions.read_manifest(folder) if folder else {}
            # Not tried again: that would be the whole backfill. The next tick copies.
            copy = copied_to_postgres(context, run, again=False) if to_postgres and folder else None
        for name, key in project.keys.items():
            outcome = report.models.get(name)
            if outcome and outcome["status"] in BUILT:
                context.log_event(AssetMaterialization(key, metadata=model_metadata(outcome, facts.get(name))))
        for name, result in gates.items():
            context.log_event(AssetMaterialization(gate_key(name), metadata=gate_metadata(result)))
        for name, state in publication.families.items():
            if state.status == "published":
                found = published_metadata(name, record, publication.replaced)
                context.log_event(AssetMaterialization(published_key(name), metadata=found))
        if isinstance(copy, postgres.Copy):
            context.log_event(AssetMaterialization(POSTGRES, metadata=copy_metadata(copy)))
        if isinstance(copy, AnalyticsError):
            raise not_copied(context, copy, again=False)
        failed = [f"{state.name} is {state.status}: {state.why}" for state in publication.failed]
        if report.failures or failed:
            transient = bool(report.failures) and says_transient(*report.failures)
            what = f"the backfill of {first} to {last} is not complete"
            raise failure(context, what, [*report.failures, *failed], transient)
        changed = {name: outcome["seconds"] for name, outcome in report.models.items() if outcome["rows_changed"]}
        yield MaterializeResult(
            metadata={
                "range": f"{first} to {last}",
                "models": len(changed),
                "recomputed": table(("model", "seconds"), sorted(changed.items())),
            }
        )

    return backfill


def bounds(unit: str, context: AssetExecutionContext) -> tuple[str, str]:
    """The first and the last partition of a run, in the words of `transform.build`."""
    keys = context.partition_key_range
    if unit == "days":
        return keys.start, keys.end
    # 2026-03-01-05:00 is the hour's name in Dagster.
    first, last = (f"{key[:10]} {key[11:]}" for key in (keys.start, keys.end))
    return first, last


def first_day_of_hours(storage: Storage, today: date) -> str:
    """The first of the month of the oldest hours that hourly marts hold; of `today`, if the ledger has no answer.

    Dagster writes an event for each partition that it is about to run: all hours since 2020 take half an hour of that.
    """
    try:
        clock = Ledger(storage).as_of()
    except AnalyticsError:  # the run that reads it says so
        clock = None
    newest = date.fromisoformat(clock[:10]) if clock else today
    return (newest - timedelta(days=Policy.from_env().hourly_days)).replace(day=1).isoformat()


@definitions
def defs() -> Definitions:
    first = Settings.from_env().backfill_start
    first_of_hours = max(first, first_day_of_hours(Storage.from_env(), datetime.now(UTC).date()))
    units = {
        "days": DailyPartitionsDefinition(first, end_offset=1),
        "hours": HourlyPartitionsDefinition(f"{first_of_hours}-00:00", end_offset=1),
    }
    return Definitions(
        assets=[backfill_asset(dbt_project(), unit, partitions) for unit, partitions in units.items()],
        jobs=[
            define_asset_job(
                f"backfill_{unit}",
                selection=[backfill_key(unit)],
                description=f"Recompute a range of {unit}, gate and publish.",
            )
            for unit in units
        ],
    )
