"""Whether each family's candidate marts may be published: one asset and one blocking check per family."""

from collections.abc import Iterator

from dagster import (
    AssetCheckResult,
    AssetCheckSpec,
    AssetExecutionContext,
    AssetsDefinition,
    AssetSpec,
    DataVersion,
    Definitions,
    MaterializeResult,
    definitions,
    multi_asset,
)

from agent_analytics.gate import gate as step
from orchestration.lib.project import DbtProject, dbt_project, gate_check_key, gate_key
from orchestration.lib.results import gate_check, gate_metadata
from orchestration.lib.steps import WRITER, told, writing


def gate_assets(project: DbtProject) -> AssetsDefinition:
    """The step `gate`. What it decides is in gates/<family>.json, which publish reads; the checks are its report."""
    families = [family.name for family in project.gated]
    specs = [
        AssetSpec(
            gate_key(family.name),
            deps=project.marts(family),
            group_name="gate",
            description=f"Great Expectations' verdict on the candidate marts of {family.name}.",
            owners=project.owners(family.name),
            kinds={"greatexpectations"},
        )
        for family in project.gated
    ]
    checks = [
        AssetCheckSpec(
            gate_check_key(family).name,
            asset=gate_key(family),
            blocking=True,
            description=f"Every expectation of {family} was evaluated, and none of severity critical failed.",
        )
        for family in families
    ]

    @multi_asset(name="gate", specs=specs, check_specs=checks, can_subset=True, pool=WRITER)
    def gate(context: AssetExecutionContext) -> Iterator[MaterializeResult[None] | AssetCheckResult]:
        assets, checked = context.selected_asset_keys, context.selected_asset_check_keys
        selected = [name for name in families if gate_key(name) in assets or gate_check_key(name) in checked]
        with writing(context) as run:
            subset = selected if len(selected) < len(families) else None
            with told(context) as tell:
                results = step(run.storage, subset, progress=tell)
            run.gated(results)
        for family in selected:
            result = results[family]
            if gate_key(family) in assets:
                yield MaterializeResult(
                    asset_key=gate_key(family),
                    metadata=gate_metadata(result),
                    data_version=DataVersion(f"{result.build_id} {result.status}"),
                )
            if gate_check_key(family) in checked:
                yield gate_check(result)

    return gate


@definitions
def defs() -> Definitions:
    return Definitions(assets=[gate_assets(dbt_project())])
