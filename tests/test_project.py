"""House rules, held to dbt's manifest: names, folders, descriptions, contracts, tests, access, consumers, metrics, and
portable SQL in models."""

from __future__ import annotations

import ast
import re
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml
from harness import World

import expectations
from agent_analytics import manifest, metrics, views
from agent_analytics.contract import load_contract
from agent_analytics.storage import PROJECT_ROOT

Node = dict[str, Any]

LAYERS = {"staging": r"stg_[a-z]+__[a-z_]+", "intermediate": r"int_[a-z_]+", "marts": r"[a-z_]+"}

# What models/ may use of SQL beyond select, join, group and window: all of it also in PostgreSQL and Spark.
PORTABLE_FUNCTIONS = """
    abs avg cast coalesce count covar_pop decimal extract first_value greatest lag lead least max min nullif rank round
    row_number sum var_pop
"""
KEYWORDS = """
    all and as between by else exists filter from in join not on or over select then union using values when where
"""


@pytest.fixture(scope="module")
def document(template: World) -> dict[str, Any]:
    """The manifest of the project as it stands."""
    return manifest.document()


@pytest.fixture(scope="module")
def nodes(document: dict[str, Any]) -> dict[str, Node]:
    return {**document["nodes"], **document["unit_tests"]}


@pytest.fixture(scope="module")
def models(nodes: dict[str, Node]) -> list[Node]:
    return [node for node in nodes.values() if node["resource_type"] == "model"]


def layer(node: Node) -> str:
    return str(node["fqn"][1])


def ours(resources: dict[str, Node]) -> list[Node]:
    return [found for found in resources.values() if found["package_name"] == "agent_analytics"]


def test_what_is_imported_is_named_in_the_requirements() -> None:
    """What another package brings along may be gone with its next version."""
    named = {
        re.split(r"[\[<=>]", line)[0].strip().lower()
        for line in (PROJECT_ROOT / "requirements.in").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    }
    brought_by = metadata.packages_distributions()
    folders = ("agent_analytics", "orchestration", "expectations", "benchmarks", "models", "tests")
    imported: set[str] = set()
    for path in (path for folder in folders for path in (PROJECT_ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                imported.add(node.module.partition(".")[0])
    packages = {name: {each.lower().replace("_", "-") for each in brought_by.get(name, ())} for name in imported}
    assert [name for name, found in sorted(packages.items()) if found and not found & {*named, "agent-analytics"}] == []


def test_models_are_named_after_their_layer_and_lie_in_a_folder_of_it(models: list[Node]) -> None:
    wrong = [
        node["name"] for node in models if not re.fullmatch(LAYERS[layer(node)], node["name"]) or len(node["fqn"]) != 4
    ]
    assert wrong == []
    prefixes = [n["name"] for n in models if layer(n) == "staging" and not n["name"].startswith(f"stg_{n['fqn'][2]}__")]
    assert prefixes == []
    schemas = {"staging": "staging", "intermediate": "intermediate"}
    assert [n["name"] for n in models if n["schema"] != schemas.get(layer(n), n["fqn"][2])] == []


def test_every_model_seed_and_column_is_described(nodes: dict[str, Node]) -> None:
    wrong = []
    for node in nodes.values():
        if node["resource_type"] in ("model", "seed"):
            wrong += [node["name"]] if not node["description"].strip() or not node["columns"] else []
            wrong += [f"{node['name']}.{c['name']}" for c in node["columns"].values() if not c["description"].strip()]
    assert wrong == []


def test_everything_else_is_described(document: dict[str, Any]) -> None:
    kinds = ("sources", "exposures", "groups", "metrics", "saved_queries", "semantic_models", "unit_tests", "macros")
    wrong = []
    for kind in kinds:
        found = ours(document[kind])
        assert found, kind
        wrong += [f"{kind}: {node['name']}" for node in found if not (node["description"] or "").strip()]
    wrong += [node["name"] for node in document["sources"].values() if not node["source_description"].strip()]
    assert wrong == []


def test_every_argument_of_a_macro_is_described(document: dict[str, Any]) -> None:
    """Those of a macro for one engine are those of the macro that finds it; dbt lets a yml describe none of a test."""
    wrong, described = [], 0
    for macro in ours(document["macros"]):
        name = macro["name"]
        signature = re.search(rf"macro {name}\s*\(((?:[^()]|\([^()]*\))*)\)", macro["macro_sql"])
        if "__" in name or name.startswith("test_") or not signature:
            continue
        arguments = [
            part.split("=")[0].strip() for part in re.split(r",(?![^\[(]*[\])])", signature[1]) if part.strip()
        ]
        found = {argument["name"]: argument["description"] for argument in macro["arguments"]}
        described += len(found)
        if list(found) != arguments or not all(found.values()):
            wrong.append(f"{name}({', '.join(arguments)}): {found}")
    assert wrong == []
    assert described > 200


def test_marts_are_public_and_everything_of_a_family_is_in_its_group_with_an_owner(
    document: dict[str, Any], models: list[Node]
) -> None:
    owners = {group["name"]: group["owner"]["name"] for group in document["groups"].values()}
    families = {node["fqn"][2] for node in models if layer(node) == "marts"}
    assert set(owners) == families
    assert all(owners.values()) and len(set(owners.values())) == len(owners)
    for node in models:
        assert (node["access"] == "public") == (layer(node) == "marts"), node["name"]
        if layer(node) != "staging" and node["fqn"][2] in families:
            assert node["group"] == node["fqn"][2], node["name"]


def test_what_only_one_family_reads_is_private_to_it(document: dict[str, Any], models: list[Node]) -> None:
    """By folder: one whose models have no reader outside of the family, no consumer, and aren't published."""
    readers: dict[str, set[str]] = {}
    for node in [*models, *document["exposures"].values()]:
        for parent in node["depends_on"]["nodes"]:
            readers.setdefault(parent, set()).add(node["fqn"][2] if node["resource_type"] == "model" else "")
    folders: dict[str, list[Node]] = {}
    for node in models:
        if layer(node) == "intermediate" and node["group"]:
            folders.setdefault(node["fqn"][2], []).append(node)
    for folder, members in folders.items():
        apart = all(readers[node["unique_id"]] <= {folder} for node in members)
        assert {node["access"] for node in members} == {"private" if apart else "protected"}, folder


def test_every_mart_has_an_enforced_contract_with_a_type_for_each_column(models: list[Node]) -> None:
    wrong = []
    for node in models:
        if layer(node) == "marts":
            wrong += [] if node["config"]["contract"]["enforced"] else [node["name"]]
            wrong += [f"{node['name']}.{c['name']}" for c in node["columns"].values() if not c["data_type"]]
            wrong += [] if "loaded_through" in node["columns"] else [f"{node['name']}: no loaded_through"]
    assert wrong == []


def test_every_mart_has_a_unit_test_a_unique_key_and_a_suite(nodes: dict[str, Node], models: list[Node]) -> None:
    unit_tested = {node["model"] for node in nodes.values() if node["resource_type"] == "unit_test"}
    keyed = {
        node["attached_node"]
        for node in nodes.values()
        if node["resource_type"] == "test" and "unique" in (node.get("test_metadata") or {}).get("name", "")
    }
    marts = [node for node in models if layer(node) == "marts"]
    assert [node["name"] for node in marts if node["name"] not in unit_tested] == []
    assert [node["name"] for node in marts if node["unique_id"] not in keyed] == []
    gated = {mart.name for family in expectations.families() for mart in expectations.load(family).marts}
    assert [node["name"] for node in marts if node["name"] not in gated] == []


def test_every_model_has_a_test_of_its_own(nodes: dict[str, Node], models: list[Node]) -> None:
    tested = {node.get("attached_node") for node in nodes.values() if node["resource_type"] == "test"}
    assert [node["name"] for node in models if node["unique_id"] not in tested] == []


def test_only_staging_reads_sources_and_every_model_is_read_or_a_mart(
    document: dict[str, Any], models: list[Node]
) -> None:
    readers = [
        n["name"]
        for n in models
        if layer(n) != "staging" and any(d.startswith("source.") for d in n["depends_on"]["nodes"])
    ]
    assert readers == []
    consumers = [*models, *document["exposures"].values()]
    read = {parent for node in consumers for parent in node["depends_on"]["nodes"]}
    assert [node["name"] for node in models if node["unique_id"] not in read] == []
    used = {parent for node in models for parent in node["depends_on"]["nodes"] if parent.startswith("source.")}
    assert used == set(document["sources"])


def test_each_consumer_is_an_exposure_of_what_it_reads(document: dict[str, Any], models: list[Node]) -> None:
    exposures = {exposure["name"]: exposure for exposure in document["exposures"].values()}
    reads = {
        name: {parent.rpartition(".")[2] for parent in exposure["depends_on"]["nodes"]}
        for name, exposure in exposures.items()
    }
    marts = {node["name"] for node in models if layer(node) == "marts"}
    assert reads["published_snapshot"] == reads["postgres_publication"] == marts
    for name in views.load():
        text = (views.FOLDER / f"{name}.json").read_text(encoding="utf-8")
        named = {mart for mart in marts if re.search(rf"\.{mart}\b", text)}
        assert named <= reads[f"{name}_dashboard"], name
    for module, name in (("report", "html_report"), ("goals", "goals_files"), ("alerts", "alerts"), ("demo", "demo")):
        found = PROJECT_ROOT / "agent_analytics" / module
        files = found.rglob("*.py") if found.is_dir() else [found.with_suffix(".py")]
        text = "".join(path.read_text(encoding="utf-8") for path in files)
        assert {mart for mart in marts if re.search(rf"[.\"]{mart}\b", text)} <= reads[name], name
    assert all(exposure["owner"]["name"] for exposure in exposures.values())


def test_every_family_has_metrics_of_which_all_kinds_occur(document: dict[str, Any], models: list[Node]) -> None:
    layer_ = metrics.layer()
    families = {node["name"]: node["fqn"][2] for node in models if layer(node) == "marts"}
    assert {families[metric.mart] for metric in layer_.metrics.values()} == set(families.values())
    assert {metric.kind for metric in layer_.metrics.values()} == {"simple", "ratio", "cumulative", "derived"}
    assert [metric.name for metric in layer_.metrics.values() if not metric.unit] == []


def test_the_dictionary_of_metrics_is_current(document: dict[str, Any]) -> None:
    pages = metrics.pages(metrics.layer())
    assert {path.name for path in metrics.FOLDER.iterdir()} == set(pages)
    for name, text in pages.items():
        page = (metrics.FOLDER / name).read_text(encoding="utf-8")
        assert page == text, f"{name}: run agent-analytics metrics docs"


def test_incremental_models_use_one_of_two_strategies_and_name_their_partition(models: list[Node]) -> None:
    for node in models:
        if node["config"]["materialized"] == "incremental":
            strategy = node["config"]["incremental_strategy"]
            assert strategy in ("append", "touched"), node["name"]
            assert strategy == "append" or set(node["config"]["meta"]["partition"]) <= set(node["columns"]), node[
                "name"
            ]


def test_each_staging_model_takes_event_types_that_the_contract_has(models: list[Node]) -> None:
    contract = load_contract()
    for node in models:
        if layer(node) == "staging":
            types = node["config"]["meta"]["event_types"]
            assert set(types) <= set(contract.sources[node["fqn"][2]]), node["name"]


def test_properties_that_a_staging_model_leaves_out_are_in_the_contract(models: list[Node]) -> None:
    contract = load_contract()
    for node in models:
        left_out = set(node["config"]["meta"].get("left_out", ()))
        types = node["config"]["meta"].get("event_types", ())
        declared = {field.name for event_type in types for field in contract.sources[node["fqn"][2]][event_type]}
        assert left_out <= declared, node["name"]
        assert not left_out & set(node["columns"]), f"{node['name']}: described, but left out"


def test_models_use_portable_sql_only(models: list[Node]) -> None:
    """Engine-specific SQL lies behind macros in macros/engine: another engine is a matter of those."""
    allowed = {*PORTABLE_FUNCTIONS.split(), *KEYWORDS.split()}
    wrong = []
    for node in (node for node in models if node["language"] == "sql"):
        sql = re.sub(r"--[^\n]*", "", re.sub(r"\{#.*?#\}", "", node["raw_code"], flags=re.DOTALL))
        sql = re.sub(r"\{\{.*?\}\}|\{%.*?%\}", " ", sql, flags=re.DOTALL)
        for name in re.findall(r"\b([a-z_]\w*)\s*\(", sql):
            if name not in allowed and not re.search(rf"\b{name}\s+as\s*\(", sql):
                wrong.append(f"{node['name']}: {name}()")
        wrong += [
            f"{node['name']}: {word}" for word in re.findall(r"::|\bqualify\b|\bgroup by all\b|\bunnest\b|\[\d+\]", sql)
        ]
    assert wrong == []


def test_lines_of_models_have_at_most_130_characters() -> None:
    """sqlfluff would measure what the templates make of them, which nobody reads."""
    assert [
        f"{path.name}:{number}"
        for path in (PROJECT_ROOT / "models").rglob("*.sql")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if len(line) > 130
    ] == []


def test_one_yml_a_folder_beside_its_models() -> None:
    folders = {path.parent for path in (PROJECT_ROOT / "models").rglob("*.sql")}
    for folder in folders:
        assert (folder / f"_{folder.name}__models.yml").is_file(), folder.relative_to(PROJECT_ROOT)


def test_no_file_of_the_project_names_a_place_outside_of_it() -> None:
    for path in [*PROJECT_ROOT.glob("*.md"), *(PROJECT_ROOT / "docs").rglob("*.md")]:
        assert "/home/" not in path.read_text(encoding="utf-8"), path


def test_the_lock_has_every_requirement_and_no_address() -> None:
    lock = (PROJECT_ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in lock
    locked = {line.split("==")[0].strip() for line in lock.splitlines() if "==" in line}
    wanted = (PROJECT_ROOT / "requirements.in").read_text(encoding="utf-8")
    names = set(re.findall(r"^[a-z][\w.-]*", wanted, re.MULTILINE))
    assert {"duckdb", "dbt-core"} <= names
    assert names <= locked


def test_models_hold_simple_metrics_only() -> None:
    """A ratio, cumulative or derived one stands below them: dbt 1.12 finds those of a changed model twice (#13004)."""
    for path in (PROJECT_ROOT / "models").rglob("*.yml"):
        for model in (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).get("models", []):
            assert {metric["type"] for metric in model.get("metrics", ())} <= {"simple"}, model["name"]


def test_yaml_files_of_the_project_hold_no_duplicate_model() -> None:
    seen: dict[str, Path] = {}
    for path in (PROJECT_ROOT / "models").rglob("*.yml"):
        for model in (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).get("models", []):
            assert model["name"] not in seen, path
            seen[model["name"]] = path
