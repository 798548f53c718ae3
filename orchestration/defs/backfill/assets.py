"""Recompute a range of days: one partition per day, a range of them in one run and one dbt invocation."""

from collections.abc import Iterator

from dagster import (
    AssetExecutionContext,
    AssetMaterialization,
    AssetsDefinition,
    BackfillPolicy,
    DailyPartitionsDefinition,
    Definitions,
    MaterializeResult,
    asset,
    define_asset_job,
    definitions,
)

from agent_analytics import transform, versions
from agent_analytics.gate import gate
from agent_analytics.publish import publish
from orchestration.lib.facts import read_facts
from orchestration.lib.project import DbtProject, dbt_project, gate_key, lake_key, published_key
from orchestration.lib.results import BUILT, gate_metadata, model_metadata, published_metadata
from orchestration.lib.settings import Settings
from orchestration.lib.steps import WRITER, failure, told_nodes, writing


def backfill_asset(project: DbtProject, settings: Settings) -> AssetsDefinition:
    """The step `backfill`: build the range, gate, publish. Running it again changes nothing."""

    @asset(
        key="backfill",
        deps=[lake_key(source) for source in project.sources],
        group_name="backfill",
        description="Every model recomputed for a range of days, from the lake, then gated and published.",
        partitions_def=DailyPartitionsDefinition(settings.backfill_start, end_offset=1),
        backfill_policy=BackfillPolicy.single_run(),
        pool=WRITER,
    )
    def backfill(context: AssetExecutionContext) -> Iterator[MaterializeResult[None]]:
        days = context.partition_key_range
        with writing(context, whole=True) as run:
            storage = run.storage
            report = transform.build(storage, start=days.start, end=days.end, progress=told_nodes(context))
            run.built(report, is_new=True)
            gates = gate(storage, progress=context.log.info)
            run.gated(gates)
            run.save()
            publication = publish(storage, run_id=context.run_id)
            run.published(publication)
            facts = read_facts(storage)
            folder = versions.current(storage)
            record = versions.read_manifest(folder) if folder else {}
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
        problems = report.failures + [f"{state.name} is {state.status}: {state.why}" for state in publication.failed]
        if problems:
            raise failure(f"the backfill of {days.start} to {days.end} is not complete", problems)
        changed = sorted(name for name, outcome in report.models.items() if outcome["rows_changed"])
        yield MaterializeResult(metadata={"days": f"{days.start} to {days.end}", "models": len(changed)})

    return backfill


@definitions
def defs() -> Definitions:
    job = define_asset_job(
        "backfill_days", selection=["backfill"], description="Recompute a range of days, gate and publish."
    )
    return Definitions(assets=[backfill_asset(dbt_project(), Settings.from_env())], jobs=[job])
