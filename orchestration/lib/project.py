"""The dbt project as assets: keys, groups, and a manifest that is parsed beforehand, only when it has to be."""

from __future__ import annotations

import fcntl
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path, PurePosixPath
from typing import Any

from dagster import AssetCheckKey, AssetCheckSpec, AssetKey, AssetSpec
from dagster_dbt import DagsterDbtTranslator

from agent_analytics import durable, manifest, transform
from agent_analytics.contract import load_contract
from agent_analytics.dbt_worker import MISSED_BY_PARSING_EDITS, PARSE_EVERYTHING
from agent_analytics.errors import AnalyticsError
from agent_analytics.manifest import Family
from agent_analytics.storage import PROJECT_ROOT, Storage
from orchestration.lib.files import newest_change
from orchestration.lib.lineage import column_lineage

Json = dict[str, Any]

# The copy in PostgreSQL of what is published.
POSTGRES = AssetKey(["postgres"])

# Whose it is what belongs to no group of dbt's.
OWNER = "team:analytics_engineering"


@dataclass(frozen=True)
class DbtProject:
    """What the assets are made from.

    sources: those of the contract. keys: asset key by model, in dependency order. parents: the models that each model
    reads. families: those of the manifest.
    """

    manifest: Json
    sources: tuple[str, ...]
    keys: Mapping[str, AssetKey]
    parents: Mapping[str, frozenset[str]]
    families: Mapping[str, Family]

    @property
    def gated(self) -> list[Family]:
        return [family for family in self.families.values() if family.gated]

    def owners(self, family: str) -> list[str]:
        """Whose a family is: the owner of its group in dbt."""
        groups = (group for group in self.manifest["groups"].values() if group["name"] == family)
        return owners(next(groups, None))

    def column_lineage(self) -> dict[str, dict[str, list[tuple[AssetKey, str]]]]:
        """The (asset, column) pairs that each column of a model is made of, by the SQL that dbt compiled last."""
        nodes = {
            key: node for key, node in self.manifest["nodes"].items() if node["resource_type"] in ("model", "seed")
        }
        translator = Translator(self.manifest)
        keys = {node["name"]: translator.get_asset_key(node) for node in nodes.values()}
        return {
            name: {column: [(keys[model], of) for model, of in made_of] for column, made_of in columns.items()}
            for name, columns in column_lineage(nodes, manifest.default_path().parent / "compiled").items()
        }

    def marts(self, family: Family) -> list[AssetKey]:
        """The asset keys of what a family publishes; seeds, which are no assets of a run, are left out."""
        return [self.keys[model.name] for model in family.models if model.name in self.keys]


def owners(group: Mapping[str, Any] | None) -> list[str]:
    """The owner of a dbt group as Dagster writes it: an e-mail address, or a team."""
    owner = group["owner"] if group else {}
    if owner.get("email"):
        return [str(owner["email"])]
    return ["team:" + re.sub(r"\W+", "_", owner["name"].lower())] if owner.get("name") else [OWNER]


def lake_key(source: str) -> AssetKey:
    return AssetKey(["lake", source])


def gate_key(family: str) -> AssetKey:
    return AssetKey(["gate", family])


def published_key(family: str) -> AssetKey:
    return AssetKey(["published", family])


def backfill_key(unit: str) -> AssetKey:
    """unit: days or hours."""
    return AssetKey(["backfill", unit])


def gate_check_key(family: str) -> AssetCheckKey:
    return AssetCheckKey(gate_key(family), "expectations")


def published_check_key(family: str) -> AssetCheckKey:
    return AssetCheckKey(published_key(family), "is_current")


def incident_check_key(family: str) -> AssetCheckKey:
    return AssetCheckKey(published_key(family), "no_critical_incident")


class Translator(DagsterDbtTranslator):
    """Keys are dagster-dbt's own: (schema, model) and, for sources, (lake, source)."""

    def __init__(self, manifest: Json) -> None:
        super().__init__()
        self.groups = {group["name"]: group for group in manifest["groups"].values()}

    def get_owners(self, dbt_resource_props: Mapping[str, Any]) -> list[str]:
        """Those of the node's group, of which dagster-dbt gives all, the manifest the name."""
        group = dbt_resource_props.get("group")
        return owners(self.groups.get(group) if isinstance(group, str) else group)

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str:
        """`swarm_marts`, `swarm_intermediate`, `provider_staging`: what belongs together stands together."""
        parts = PurePosixPath(dbt_resource_props["path"]).parts
        layer = parts[0] if dbt_resource_props["resource_type"] == "model" else dbt_resource_props["resource_type"]
        return f"{parts[1]}_{layer}" if len(parts) > 2 else layer

    def get_description(self, dbt_resource_props: Mapping[str, Any]) -> str:
        """dbt's description, without the SQL."""
        return (dbt_resource_props.get("description") or "").strip() or f"dbt model {dbt_resource_props['name']}"

    def get_asset_check_spec(
        self, asset_spec: AssetSpec, manifest: Mapping[str, Any], unique_id: str, project: Any
    ) -> AssetCheckSpec | None:
        """A dbt test, as a check that reports: publish decides what a failed test holds back, family by family."""
        spec = super().get_asset_check_spec(asset_spec, manifest, unique_id, project)
        return spec and spec._replace(blocking=False)


@cache
def dbt_project() -> DbtProject:
    """The project, read once per process."""
    return read_project(prepared_manifest(), load_contract().sources)


def read_project(path: Path, sources: Mapping[str, Any]) -> DbtProject:
    """The project of a manifest. Raises AnalyticsError if it is not dbt's."""
    nodes = manifest.model_nodes(path)
    content = json.loads(path.read_text(encoding="utf-8"))
    translator = Translator(content)
    parents = {
        node["name"]: frozenset(nodes[parent]["name"] for parent in node["depends_on"]["nodes"] if parent in nodes)
        for node in nodes.values()
    }
    by_name = {node["name"]: node for node in nodes.values()}
    order = TopologicalSorter({name: sorted(parents[name]) for name in sorted(parents)}).static_order()
    return DbtProject(
        manifest=content,
        sources=tuple(sources),
        keys={name: translator.get_asset_key(by_name[name]) for name in order},
        parents=parents,
        families=manifest.read(path).families,
    )


def prepared_manifest() -> Path:
    """dbt's manifest of the project's present files; `dbt parse` makes it if it is absent or older than one of them.

    Raises AnalyticsError with dbt's own words when the project can't be parsed.
    """
    path = manifest.default_path()
    folder = path.parent / "parse"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if is_stale(path, PROJECT_ROOT):
            # dbt writes piece by piece: parsed beside, so that no reader ever sees half.
            digest = transform.project_digest()
            _parse(folder)
            durable.write_text(path, (folder / path.name).read_text(encoding="utf-8"))
            manifest.note(digest)
    return path


def is_stale(path: Path, root: Path) -> bool:
    """Whether the manifest is absent, or a project file was changed, added or removed after it was written."""
    if not path.exists():
        return True
    return newest_change(root, transform.PROJECT_FILES) > path.stat().st_mtime_ns


def _parse(folder: Path) -> None:
    storage = Storage.from_env()
    flags = ["--quiet", "--no-use-colors", "--log-path", str(storage.root / "logs")]
    arguments = ["parse", "--target", "prod", "--target-path", str(folder)]
    for more in ([], [PARSE_EVERYTHING]):
        done = subprocess.run(
            [sys.executable, "-m", "dbt.cli.main", *flags, *more, *arguments],
            cwd=PROJECT_ROOT,
            env={**os.environ, **transform.dbt_environment(storage), "DBT_NO_VERSION_CHECK": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        said = " ".join((done.stdout + done.stderr).split())
        if MISSED_BY_PARSING_EDITS not in said:
            break
    if done.returncode:
        raise AnalyticsError(f"dbt can't parse the project: {said}")
