"""Lake to candidate marts: every dbt model an asset, all of them built by one call of the pipeline's own build."""

import threading
from collections.abc import Iterator

from dagster import (
    AssetCheckResult,
    AssetCheckSeverity,
    AssetExecutionContext,
    AssetsDefinition,
    AssetSpec,
    Config,
    DataVersion,
    Definitions,
    MaterializeResult,
    definitions,
)
from dagster_dbt import dbt_assets
from pydantic import Field

from agent_analytics import transform
from agent_analytics.errors import says_transient
from agent_analytics.gate import import_great_expectations
from agent_analytics.transform import BuildReport
from orchestration.lib.facts import read_facts
from orchestration.lib.project import DbtProject, Translator, dbt_project
from orchestration.lib.results import BUILT, model_metadata, unchanged
from orchestration.lib.steps import WRITER, failure, not_materialized, told_nodes, writing


class BuildConfig(Config):
    """What a run may ask of the build, in the launchpad or from a schedule."""

    full_refresh: bool = Field(default=False, description="Build every model from all loads.")


def model_assets(project: DbtProject) -> AssetsDefinition:
    """The step `build`. It runs the dbt tests when their checks are part of the run."""

    @dbt_assets(
        manifest=project.manifest,
        select="resource_type:model resource_type:test",
        dagster_dbt_translator=Translator(project.manifest),
        name="build",
        pool=WRITER,
    )
    def build(
        context: AssetExecutionContext, config: BuildConfig
    ) -> Iterator[MaterializeResult[None] | AssetCheckResult]:
        with writing(context) as run:
            storage = run.storage
            before = transform.read_last_build(storage)
            with told_nodes(context) as progress:
                report = transform.build(
                    storage,
                    full_refresh=config.full_refresh,
                    select=selection(project, context),
                    tests=bool(context.selected_asset_check_keys),
                    progress=progress,
                    meanwhile=_import_in_background,
                )
            nothing_built = before is not None and before.build_id == report.build_id
            run.built(report, is_new=not nothing_built)
            facts = read_facts(storage)
            tested = bool(context.selected_asset_check_keys)
            lineage = project.column_lineage() if tested else {}
        for name, key in project.keys.items():
            if key not in context.selected_asset_keys:
                continue
            outcome = report.models.get(name, {"status": "skipped", "message": None})
            if outcome["status"] not in BUILT:
                context.log.error(f"{name}: {outcome['status']}: {outcome['message']}")
                yield not_materialized(key)
                continue
            fact = facts.get(name)
            yield MaterializeResult(
                asset_key=key,
                metadata=model_metadata(unchanged(outcome) if nothing_built else outcome, fact, lineage.get(name)),
                data_version=DataVersion(fact.version) if fact and fact.version else None,
            )
        yield from test_results(context, report)
        for test in report.warned_tests:
            context.log.warning(f"{test['test']}: {test['message']}")
        if report.failures:
            found = report.failures
            raise failure(context, f"{len(found)} models or tests failed", found, says_transient(*found))

    return build


def selection(project: DbtProject, context: AssetExecutionContext) -> str | None:
    """The run's part of the project in dbt's words; None if it is all of it."""
    models = [name for name, key in project.keys.items() if key in context.selected_asset_keys]
    if len(models) == len(project.keys):
        return None
    return " ".join(models or sorted(check.name for check in context.selected_asset_check_keys))


def test_results(context: AssetExecutionContext, report: BuildReport) -> Iterator[AssetCheckResult]:
    """How the run's dbt tests ended; a test of a model that was not built did not run."""
    failed = {test["test"]: test for test in report.failed_tests}
    not_built = {name for name, model in report.models.items() if model["status"] not in BUILT}
    for key in sorted(context.selected_asset_check_keys):
        test = failed.get(key.name)
        if test or key.asset_key.path[-1] not in not_built:
            yield AssetCheckResult(
                asset_key=key.asset_key,
                check_name=key.name,
                passed=test is None,
                severity=AssetCheckSeverity.ERROR,
                description=test["message"] if test else None,
            )


def _import_in_background() -> None:
    """Great Expectations takes seconds to import: they pass while dbt works."""
    threading.Thread(target=import_great_expectations, daemon=True).start()


def seed_specs(project: DbtProject) -> list[AssetSpec]:
    """The reference tables, which a build reloads when they changed: seen in the lineage, not materialized."""
    translator = Translator(project.manifest)
    return [
        AssetSpec(
            translator.get_asset_key(node),
            group_name="reference",
            description=(node.get("description") or "").strip() or f"Reference table {node['name']}.",
            owners=translator.get_owners(node),
            kinds={"dbt", "csv"},
        )
        for node in project.manifest["nodes"].values()
        if node["resource_type"] == "seed"
    ]


@definitions
def defs() -> Definitions:
    project = dbt_project()
    return Definitions(assets=[*seed_specs(project), model_assets(project)])
