"""What dbt knows about the marts (target/manifest.json): families, their models, and which family reads which."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from agent_analytics.errors import AnalyticsError
from agent_analytics.storage import PROJECT_ROOT

Node = dict[str, Any]

# The meta of a model (slo, goals) that names its column with the family that each row comes from: it is published even
# while some of those families are stale, with the rows of theirs as they were published last, marked `is_stale`.
STALE_ROWS_BY = "stale_rows_by"

# In a watermark, in place of the definition's fingerprint: the model lacks events (record_watermark.sql).
HELD_BACK = "held back"


@dataclass(frozen=True)
class Model:
    """A relation that is published: `schema.relation` in the warehouse and, under the same names, in the snapshot."""

    name: str
    schema: str
    relation: str
    description: str
    columns: dict[str, str]
    key: tuple[str, ...]
    meta: dict[str, Any]

    @property
    def file(self) -> str:
        return f"{self.name}.parquet"


@dataclass(frozen=True)
class Family:
    """A unit of gating and publication.

    models: what is published. members: all non-staging models of the family's folders, whose failure fails the family.
    reads: the other families that one of its models reads, directly or through models that belong to no family.
    gated: False only for models outside every family that ask to be published along (`meta: {publish: true}`).
    """

    name: str
    models: tuple[Model, ...]
    members: frozenset[str]
    reads: frozenset[str]
    gated: bool = True

    @property
    def always_published(self) -> bool:
        """Whether the rows of all its marts tell which family they come from, so that no other family holds it back."""
        return bool(self.models) and all(STALE_ROWS_BY in model.meta for model in self.models)


@dataclass(frozen=True)
class Project:
    families: dict[str, Family]

    def reads(self, family: str) -> frozenset[str]:
        """Every family that `family` reads, transitively, itself left out."""
        seen: set[str] = set()
        waiting = list(self.families[family].reads)
        while waiting:
            name = waiting.pop()
            if name not in seen:
                seen.add(name)
                waiting.extend(self.families[name].reads)
        return frozenset(seen - {family})


def read(path: Path | None = None) -> Project:
    """Read the manifest; AnalyticsError if it is absent or not dbt's."""
    try:
        return project(nodes(path))
    except (KeyError, TypeError, AttributeError) as error:
        raise AnalyticsError(f"{path or default_path()} is not a dbt manifest ({error!r}): run `dbt parse`") from None


def default_path() -> Path:
    """dbt's manifest: in DBT_TARGET_PATH if that is set, else in target/ of the project."""
    return Path(os.environ.get("DBT_TARGET_PATH") or PROJECT_ROOT / "target") / "manifest.json"


def nodes(path: Path | None = None) -> dict[str, Node]:
    """All nodes and unit tests of the manifest by their unique id; AnalyticsError if it is absent or not dbt's."""
    found = document(path)
    return {**found["nodes"], **found["unit_tests"]}


def document(path: Path | None = None) -> dict[str, Any]:
    """The manifest as dbt wrote it; AnalyticsError if it is absent or not dbt's."""
    path = path or default_path()
    try:
        state = path.stat()
        return dict(_document(path, state.st_mtime_ns, state.st_ino, state.st_size))
    except OSError:
        raise AnalyticsError(f"{path} is absent: run `dbt parse` or `agent-analytics build`") from None
    except (ValueError, KeyError, TypeError) as error:
        raise AnalyticsError(f"{path} is not a dbt manifest ({error!r}): run `dbt parse`") from None


@lru_cache(maxsize=2)
def _document(path: Path, *state: int) -> dict[str, Any]:
    """Read once for as long as the file is the same: each step of a run asks, and it takes a fifth of a second."""
    found = json.loads(path.read_text(encoding="utf-8"))
    return {**found, "nodes": dict(found["nodes"]), "unit_tests": dict(found.get("unit_tests", {}))}


def model_nodes(path: Path | None = None) -> dict[str, Node]:
    """The models of the manifest by their unique id."""
    return {key: node for key, node in nodes(path).items() if node["resource_type"] == "model"}


def is_of(digest: str) -> bool:
    """Whether the manifest tells the models of the project with that digest: dbt by hand may have parsed another."""
    try:
        return _told_of(default_path()).read_text(encoding="utf-8") == f"{digest} {_digest_of_models()}"
    except (AnalyticsError, OSError):
        return False


def note(digest: str) -> None:
    """The manifest was made of the project with that digest."""
    path = _told_of(default_path())
    part = path.with_suffix(f".{os.getpid()}")
    part.write_text(f"{digest} {_digest_of_models()}", encoding="utf-8")
    part.replace(path)


def _told_of(path: Path) -> Path:
    return path.with_name("manifest.of")


def _digest_of_models() -> str:
    found = sorted((key, node["checksum"]["checksum"]) for key, node in model_nodes().items())
    return hashlib.sha256(repr(found).encode()).hexdigest()


def project(nodes: dict[str, Node]) -> Project:
    """The families among nodes that `nodes` read."""
    models = {key: node for key, node in nodes.items() if node["resource_type"] == "model"}
    names = {folder for node in models.values() if (folder := _folder(node)) and _layer(node) == "marts"}
    family_of = {
        key: _folder(node) for key, node in models.items() if _layer(node) != "staging" and _folder(node) in names
    }
    keys = _tested_keys(nodes)
    families = {name: _family(name, models, family_of, keys) for name in sorted(names)}
    return Project(families | _published_along(nodes, family_of, keys))


def _family(
    name: str, models: dict[str, Node], family_of: dict[str, str | None], keys: dict[str, tuple[str, ...]]
) -> Family:
    members = sorted(key for key, family in family_of.items() if family == name)
    published = [key for key in members if _layer(models[key]) == "marts" or _asks_to_be_published(models[key])]
    return Family(
        name=name,
        models=tuple(_model(models[key], name, keys.get(key, ())) for key in published),
        members=frozenset(models[key]["name"] for key in members),
        reads=frozenset(other for key in members for other in _families_read(key, models, family_of)) - {name},
    )


def _published_along(
    nodes: dict[str, Node], family_of: dict[str, str | None], keys: dict[str, tuple[str, ...]]
) -> dict[str, Family]:
    """Models and seeds outside every family that ask to be published, grouped by their schema."""
    models = {key: node for key, node in nodes.items() if node["resource_type"] in ("model", "seed")}
    groups: dict[str, list[str]] = {}
    for key, node in sorted(models.items()):
        if key not in family_of and _asks_to_be_published(node):
            groups.setdefault(node["schema"], []).append(key)
    return {
        schema: Family(
            name=schema,
            models=tuple(_model(models[key], schema, keys.get(key, ())) for key in group),
            members=frozenset(models[key]["name"] for key in group if models[key]["resource_type"] == "model"),
            reads=frozenset(other for key in group for other in _families_read(key, models, family_of)),
            gated=False,
        )
        for schema, group in groups.items()
    }


def _families_read(key: str, models: dict[str, Node], family_of: dict[str, str | None]) -> Iterator[str]:
    """Families met on the way up from a model; shared intermediates are walked through, staging is not."""
    own = family_of.get(key)
    waiting, seen = [key], {key}
    while waiting:
        for parent in models[waiting.pop()].get("depends_on", {}).get("nodes", ()):
            if parent in seen or parent not in models or _layer(models[parent]) == "staging":
                continue
            seen.add(parent)
            family = family_of.get(parent)
            if family is None or family == own:
                waiting.append(parent)
            else:
                yield family


def _model(node: Node, schema: str, tested_key: tuple[str, ...]) -> Model:
    marts_layer = _layer(node) == "marts"
    columns = node.get("columns") or {}
    return Model(
        name=node["name"],
        schema=schema if marts_layer else node["schema"],
        relation=node.get("alias") or node["name"],
        description=(node.get("description") or "").strip(),
        columns={column["name"]: (column.get("description") or "").strip() for column in columns.values()},
        key=_declared_key(node) or tested_key,
        meta=_meta(node),
    )


def _declared_key(node: Node) -> tuple[str, ...]:
    """The columns that a mart is sorted by: `meta.key`, else a primary key, else dbt's unique_key."""
    constraints = [c for c in node.get("constraints") or () if c.get("type") == "primary_key"]
    candidates = [_meta(node).get("key"), *(c.get("columns") for c in constraints), node["config"].get("unique_key")]
    return next((_as_tuple(value) for value in candidates if value), ())


def _tested_keys(nodes: dict[str, Node]) -> dict[str, tuple[str, ...]]:
    """Keys that uniqueness tests vouch for, by the tested model."""
    found: dict[str, tuple[str, ...]] = {}
    for node in nodes.values():
        test = node.get("test_metadata") or {}
        if node["resource_type"] != "test" or "unique" not in (test.get("name") or ""):
            continue
        arguments = test.get("kwargs") or {}
        names = next(
            (arguments[n] for n in ("columns", "combination_of_columns", "column_name") if arguments.get(n)), ()
        )
        attached = node.get("attached_node")
        if attached and names and len(_as_tuple(names)) > len(found.get(attached, ())):
            found[attached] = _as_tuple(names)
    return found


def _as_tuple(value: str | list[str] | tuple[str, ...]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _meta(node: Node) -> dict[str, Any]:
    return {**(node.get("meta") or {}), **(node["config"].get("meta") or {})}


def _asks_to_be_published(node: Node) -> bool:
    return _meta(node).get("publish") is True


def _parts(node: Node) -> tuple[str, ...]:
    return PurePosixPath(node["path"].replace("\\", "/")).parts


def _layer(node: Node) -> str:
    return _parts(node)[0]


def _folder(node: Node) -> str | None:
    """The folder below the layer: `delivery` of marts/delivery/x.sql; None for a file that lies in the layer itself."""
    parts = _parts(node)
    return parts[1] if len(parts) > 2 else None
