"""What dbt is spared: compiled templates are kept, and only as long as they are those of the project."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from jinja2 import Environment
from jinja2.sandbox import SandboxedEnvironment

from agent_analytics.dbt_economy import Templates

SOURCE = "{% for n in [1, 2] %}{{ n + more }} {% endfor %}"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "templates.marshal"


@contextmanager
def process(path: Path, project: str = "project") -> Iterator[list[str]]:
    """As a process would be that begins and ends here; what it has to compile: the kinds of environments."""
    with pytest.MonkeyPatch.context() as patch:
        generate, compiled = Environment._generate, []

        def counted(self: Environment, *arguments: Any, **named: Any) -> str:
            compiled.append(type(self).__name__)
            return generate(self, *arguments, **named)

        patch.setattr(Environment, "_generate", counted)
        patch.setattr(Environment, "compile", Environment.compile)
        templates = Templates(path)
        templates.load(project)
        yield compiled
        templates.keep()


def render(kind: type[Environment] = Environment) -> None:
    assert kind().from_string(SOURCE).render(more=1) == "2 3 "


def test_a_template_is_compiled_once_for_each_kind_of_environment(path: Path) -> None:
    with process(path) as compiled:
        for kind in (Environment, SandboxedEnvironment, Environment, SandboxedEnvironment):
            render(kind)
    assert compiled == ["Environment", "SandboxedEnvironment"]


def test_another_process_finds_what_was_kept(path: Path) -> None:
    with process(path):
        render()
    with process(path) as compiled:
        render()
    assert compiled == []


@pytest.mark.parametrize("damage", ["another project", "another dbt", "half a file", "no file", "not ours"])
def test_what_may_not_fit_is_compiled_anew(path: Path, damage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with process(path):
        render()
    if damage == "another dbt":
        monkeypatch.setattr("agent_analytics.dbt_economy.version", lambda _: "0.1")
    elif damage == "half a file":
        path.write_bytes(path.read_bytes()[:100])
    elif damage == "no file":
        path.unlink()
    elif damage == "not ours":
        path.write_bytes(b"\x00")
    with process(path, "another" if damage == "another project" else "project") as compiled:
        render()
    assert compiled == ["Environment"]


def test_without_a_project_nothing_is_kept(path: Path) -> None:
    with process(path, ""):
        render()
    assert not path.exists()
