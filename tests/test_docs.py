"""What the documentation names exists: links, files, commands, tests, variables, and every mart in its table."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from harness import World

from agent_analytics import manifest
from agent_analytics.cli import app
from agent_analytics.storage import PROJECT_ROOT

PAGES = sorted({*PROJECT_ROOT.glob("*.md"), *(PROJECT_ROOT / "docs").rglob("*.md"), PROJECT_ROOT / "samples/README.md"})
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"```.*?```", re.DOTALL)
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
PROGRAM = re.compile(r"(?:^|[\s`/])agent-analytics ((?:[a-z]+)(?: [a-z]+)?)((?: (?:--[a-z-]+|[^\s`|;)]+))*)")


def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def named(page: Path) -> str:
    return str(page.relative_to(PROJECT_ROOT))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as Git hosts make them."""
    headings = HEADING.findall(CODE.sub("", text(page)))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for target in LINK.findall(CODE.sub("", text(page))):
        if target.startswith(("https://", "http://", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        if not found.exists() or (anchor and found.suffix == ".md" and anchor not in anchors(found)):
            broken.append(target)
    assert broken == []


def test_every_page_is_reached_from_the_readme() -> None:
    reached, waiting = set(), [PROJECT_ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached or page.suffix != ".md" or not page.exists():
            continue
        reached.add(page)
        waiting += [(page.parent / target.partition("#")[0]).resolve() for target in LINK.findall(text(page))]
    opening = text(PROJECT_ROOT / "README.md")
    assert [named(page) for page in PAGES if page not in reached and f"`{named(page)}`" not in opening] == []


# Commands


def commands(group: Any, prefix: str = "") -> dict[str, set[str]]:
    """The options of every command of the command line, by its words."""
    found: dict[str, set[str]] = {}
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            found |= commands(command, f"{prefix}{name} ")
        else:
            options = {
                option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)
            }
            found[prefix + name] = options | {"--help"}
    return found


def commands_named(page: Path) -> Iterator[tuple[str, set[str]]]:
    """(words, options) of each `agent-analytics ...` in code or between backticks."""
    content = text(page)
    pieces = [*CODE.findall(content), *re.findall(r"`[^`\n]+`", CODE.sub("", content))]
    for line in (line for piece in pieces for line in piece.splitlines()):
        for words, rest in PROGRAM.findall(line.split(" #")[0]):
            yield words, set(re.findall(r"--[a-z][a-z-]*", rest))


@pytest.mark.parametrize("page", [page for page in PAGES if "spec" not in page.parts], ids=named)
def test_commands_that_are_named_exist_with_their_options(page: Path) -> None:
    known = commands(typer.main.get_command(app))
    wrong = []
    for words, options in commands_named(page):
        command = words if words in known else words.split()[0]
        if command not in known or not options <= known[command]:
            wrong.append(f"agent-analytics {words} {' '.join(sorted(options))}")
    assert wrong == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_make_targets_that_are_named_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):.*##", text(PROJECT_ROOT / "Makefile"), re.MULTILINE))
    content = text(page)
    pieces = [*CODE.findall(content), *re.findall(r"`[^`\n]+`", CODE.sub("", content))]
    assert {name for piece in pieces for name in re.findall(r"(?:^|`)make ([a-z-]+)", piece, re.MULTILINE)} <= targets


def test_the_readme_opens_with_the_two_commands() -> None:
    opening = text(PROJECT_ROOT / "README.md").split("\n## ")[0]
    assert re.findall(r"^make ([a-z-]+)", opening, re.MULTILINE) == ["demo", "test"]


def test_the_map_of_the_repository_names_every_folder() -> None:
    listed = set(re.findall(r"^\| \[?`([a-z_]+)/`", text(PROJECT_ROOT / "README.md"), re.MULTILINE))
    generated = {"logs", "site", "storage", "target", "node_modules"}
    folders = {path.name for path in PROJECT_ROOT.iterdir() if path.is_dir() and re.fullmatch(r"[a-z_]+", path.name)}
    assert folders - generated <= listed
    assert [name for name in listed if not (PROJECT_ROOT / name).is_dir()] == []


def test_variables_of_the_environment_that_are_described_are_read_and_those_read_are_described() -> None:
    sources = [*(PROJECT_ROOT / "agent_analytics").rglob("*.py"), *(PROJECT_ROOT / "orchestration").rglob("*.py")]
    read = {name for path in sources for name in re.findall(r"\bANALYTICS_[A-Z_]+\b", text(path))}
    for_tests = {name for name in read if name.startswith("ANALYTICS_KILL_")}
    described = {name for page in PAGES for name in re.findall(r"\bANALYTICS_[A-Z_]+\b", text(page))}
    assert described <= read
    assert read - for_tests <= described


# Incremental builds

INCREMENTAL = PROJECT_ROOT / "docs" / "incremental.md"


def rows_under(page: Path, heading: str) -> list[list[str]]:
    """The cells of the first table under a heading, without its head."""
    section = text(page).split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


@pytest.fixture(scope="module")
def marts(template: World) -> list[dict[str, Any]]:
    """The marts' nodes in the manifest of the project as it stands."""
    return [node for node in manifest.model_nodes().values() if node["fqn"][1] == "marts"]


def test_the_table_of_marts_is_that_of_the_models(marts: list[dict[str, Any]]) -> None:
    described = {name: (by, boundary) for name, by, boundary, _ in rows_under(INCREMENTAL, "Every mart")}
    found = {}
    for mart in marts:
        meta = mart["config"]["meta"]
        is_whole = mart["config"]["materialized"] == "table"
        found[mart["name"]] = ("whole" if is_whole else ", ".join(meta["partition"]), meta.get("boundary", ""))
    assert described == found


def test_every_intermediate_that_is_made_whole_is_named(template: World) -> None:
    whole = {node["name"] for node in manifest.model_nodes().values() if node["config"]["materialized"] == "table"}
    (paragraph,) = (block for block in text(INCREMENTAL).split("\n\n") if "intermediates are made whole" in block)
    named = set(re.findall(r"`(int_[a-z_]+)`", paragraph.partition("are made whole")[2]))
    assert named == {name for name in whole if name.startswith("int_")}


def test_every_test_that_a_state_names_exists() -> None:
    rows = rows_under(INCREMENTAL, "States of a model")
    assert len(rows) >= 10
    for condition, _, reference in rows:
        *path, name = reference.strip("`").split("::")
        module = importlib.import_module(
            path.pop(0).removesuffix(".py") if path and path[0].endswith(".py") else "test_incremental"
        )
        for part in path:
            module = getattr(module, part)
        assert inspect.isfunction(getattr(module, name, None)), f"{condition}: {reference}"


def test_every_state_that_is_tested_is_described() -> None:
    states = importlib.import_module("test_incremental").TestStates
    tested = {name for name in vars(states) if name.startswith("test_")}
    assert {f"`TestStates::{name}`" for name in tested} <= {
        row[2] for row in rows_under(INCREMENTAL, "States of a model")
    }


# Decisions


def test_every_decision_says_what_why_and_instead_of_what() -> None:
    entries = text(PROJECT_ROOT / "DECISIONS.md").split("\n## ")[1:]
    assert entries
    parts = ("**Context.**", "**Decision.**", "**Why.**", "**Alternatives.**")
    assert [entry.splitlines()[0] for entry in entries if any(part not in entry for part in parts)] == []
