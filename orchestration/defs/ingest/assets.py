"""Landed files to lake files: one asset per source of the contract."""

from collections.abc import Iterator

from dagster import (
    AssetExecutionContext,
    AssetKey,
    AssetsDefinition,
    AssetSpec,
    DataVersion,
    Definitions,
    MaterializeResult,
    definitions,
    multi_asset,
)

from agent_analytics import transform
from agent_analytics.errors import says_transient
from agent_analytics.ingest import ingest as step
from agent_analytics.ledger import Ledger
from orchestration.lib.project import OWNER, DbtProject, dbt_project, lake_key
from orchestration.lib.results import LOADS, ingest_problems, ingest_summary, source_metadata
from orchestration.lib.steps import WRITER, failure, writing

LANDING = AssetSpec(
    AssetKey("landing"),
    group_name="lake",
    owners=[OWNER],
    kinds={"json", "parquet"},
    description="Files of events that producers drop: *.jsonl, *.jsonl.gz, *.parquet, in any sub-folder of landing/.",
)


def ingest_assets(project: DbtProject) -> AssetsDefinition:
    """The step `ingest`. It reads all that landed, whatever part of it a run selects."""
    descriptions = {
        source["name"]: source["description"].strip()
        for source in project.manifest["sources"].values()
        if source["source_name"] == "lake"
    }
    specs = [
        AssetSpec(
            lake_key(source),
            deps=[LANDING],
            group_name="lake",
            description=descriptions.get(source) or f"Accepted events of the source {source}, as typed Parquet.",
            owners=[OWNER],
            kinds={"parquet"},
        )
        for source in project.sources
    ]

    @multi_asset(name="ingest", specs=specs, can_subset=True, pool=WRITER)
    def ingest(context: AssetExecutionContext) -> Iterator[MaterializeResult[None]]:
        with writing(context) as run:
            report = step(run.storage)
            run.ingested(report)
            ledger = Ledger(run.storage)
            newest = transform.newest_load_by_source(ledger)
        entries = ledger.entries()
        entry = next((each for each in reversed(entries) if each.load_id == report.load_id), None)
        for warning in report.warnings:
            context.log.warning(warning)
        for source in project.sources:
            if lake_key(source) in context.selected_asset_keys:
                yield MaterializeResult(
                    asset_key=lake_key(source),
                    metadata=source_metadata(source, entry, entries[-LOADS:]) | ingest_summary(report),
                    data_version=DataVersion(str(newest.get(source, 0))),
                )
        if not report.ok:
            problems = ingest_problems(report)
            raise failure(context, f"{len(problems)} landed files are not loaded", problems, says_transient(*problems))

    return ingest


@definitions
def defs() -> Definitions:
    return Definitions(assets=[LANDING, ingest_assets(dbt_project())])
