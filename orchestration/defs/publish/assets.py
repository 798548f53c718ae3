"""What readers see: one asset per family, materialized when the family's newest candidate is published."""

import os
from collections.abc import Callable, Iterator
from datetime import timedelta

from dagster import (
    AssetCheckResult,
    AssetCheckSpec,
    AssetExecutionContext,
    AssetsDefinition,
    AssetSpec,
    DataVersion,
    Definitions,
    FreshnessPolicy,
    MaterializeResult,
    definitions,
    multi_asset,
)

from agent_analytics import postgres, versions
from agent_analytics.errors import AnalyticsError
from agent_analytics.gate import GateResult, gate
from agent_analytics.publish import publish as step
from agent_analytics.publish import read_build
from agent_analytics.storage import Storage
from agent_analytics.verdicts import judge_gate
from orchestration.lib.project import (
    OWNER,
    POSTGRES,
    DbtProject,
    dbt_project,
    gate_key,
    published_check_key,
    published_key,
)
from orchestration.lib.results import copy_metadata, published_check, published_metadata
from orchestration.lib.steps import WRITER, copied_to_postgres, failure, not_copied, told, writing

# The daily run makes them anew on a day on which nothing lands.
FRESH = FreshnessPolicy.time_window(fail_window=timedelta(hours=24))


def published_assets(project: DbtProject) -> AssetsDefinition:
    """The step `publish`. It publishes all families that passed, in one version, whatever part of it a run selects,
    and gates those that nobody has gated since the last build.

    If ANALYTICS_POSTGRES_URL is set when Dagster loads the project, it copies the version to PostgreSQL too: in this
    step, as a step after it would be skipped whenever one family is not published.
    """
    to_postgres = bool(os.environ.get("ANALYTICS_POSTGRES_URL"))
    specs = [
        AssetSpec(
            published_key(family.name),
            deps=[*map(gate_key, sorted({family.name, *family.reads}))] if family.gated else project.marts(family),
            group_name="published",
            description=f"The marts of {family.name} as readers see them, in published/.",
            owners=project.owners(family.name),
            kinds={"duckdb", "parquet"},
            skippable=True,
            freshness_policy=FRESH,
        )
        for family in project.families.values()
    ]
    if to_postgres:
        specs.append(
            AssetSpec(
                POSTGRES,
                deps=[published_key(name) for name in project.families],
                group_name="published",
                description="What is published, in PostgreSQL: each tenant's role sees the rows of that tenant.",
                owners=[OWNER],
                kinds={"postgres"},
                skippable=True,
            )
        )
    checks = [
        AssetCheckSpec(
            published_check_key(name).name,
            asset=published_key(name),
            description=f"Readers see the newest candidate of {name}, not an older version.",
        )
        for name in project.families
    ]

    @multi_asset(name="publish", specs=specs, check_specs=checks, can_subset=True, pool=WRITER)
    def publish(context: AssetExecutionContext) -> Iterator[MaterializeResult[None] | AssetCheckResult]:
        with writing(context, whole=True) as run:
            storage = run.storage
            with told(context) as tell:
                if rest := _gated_beside(project, storage, tell):
                    run.gated(rest)
                publication = step(storage, run_id=context.run_id, progress=lambda mart: tell(f"{mart} is written"))
            run.published(publication)
            folder = versions.current(storage)
            record = versions.read_manifest(folder) if folder else {}
            copy = copied_to_postgres(context, run) if POSTGRES in context.selected_asset_keys and folder else None
            if not to_postgres:
                run.mended("postgres")
        for name, state in publication.families.items():
            if published_key(name) in context.selected_asset_keys and state.status == "published":
                yield MaterializeResult(
                    asset_key=published_key(name),
                    metadata=published_metadata(name, record, publication.replaced),
                    data_version=DataVersion(_version(name, record)),
                )
            if published_check_key(name) in context.selected_asset_check_keys:
                yield published_check(state)
        if isinstance(copy, postgres.Copy):
            yield MaterializeResult(
                asset_key=POSTGRES,
                metadata=copy_metadata(copy),
                data_version=DataVersion(str(copy.version)),
            )
        if isinstance(copy, AnalyticsError):
            raise not_copied(context, copy)
        if publication.failed:
            lines = [f"{state.name} is {state.status}: {state.why}" for state in publication.failed]
            raise failure(context, f"{len(lines)} of {len(publication.families)} families are not published", lines)

    return publish


def _gated_beside(project: DbtProject, storage: Storage, tell: Callable[[str], None]) -> dict[str, GateResult]:
    """The gates' results, if some gate has none of this build: a run in which one family alone was selected has made
    another build, and the other families would be stale for want of a verdict. Most of it is carried over."""
    try:
        build_id = read_build(storage)["build_id"]
    except AnalyticsError:
        return {}  # publish says what is wrong
    missing = any(judge_gate(storage, family.name, build_id)[0] == "missing" for family in project.gated)
    return gate(storage, progress=tell) if missing else {}


def _version(family: str, record: dict[str, object]) -> str:
    """The content of a family's marts: the same for two versions between which a reader sees no difference."""
    marts = record.get("marts")
    assert isinstance(marts, list)
    return " ".join(str(mart["fingerprint"]) for mart in marts if mart["family"] == family) or "empty"


@definitions
def defs() -> Definitions:
    return Definitions(assets=[published_assets(dbt_project())])
