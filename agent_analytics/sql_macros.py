"""The project's SQL macros without dbt: a command that evaluates a mart's own formulas must not wait for dbt to start.

Only macros that are plain text count: those that ask dbt for the state of a model, or return something else than text,
need dbt.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from jinja2 import Environment, StrictUndefined

from agent_analytics.storage import PROJECT_ROOT

Macro = Callable[..., str]

#: What every file of metrics may call. Parsing is most of the cost, so these are not all.
SHARED = ("engine/days.sql", "engine/numbers.sql", "engine/time_zones.sql", "metrics/arithmetic.sql")
DIALECTS = ("duckdb", "default")


def load(*files: str) -> Any:
    """The macros of these files (as `metrics/patterns.sql`), as attributes: each gives its SQL for DuckDB."""
    texts = [(PROJECT_ROOT / "macros" / path).read_text(encoding="utf-8") for path in (*SHARED, *files)]
    loaded = SimpleNamespace()

    def dispatch(name: str) -> Macro:
        found: list[Macro | None] = [getattr(loaded.macros, f"{dialect}__{name}", None) for dialect in DIALECTS]
        return next(macro for macro in found if macro is not None)

    environment = Environment(extensions=["jinja2.ext.do"], undefined=StrictUndefined, autoescape=False)
    environment.globals |= {"return": lambda value: value, "adapter": SimpleNamespace(dispatch=dispatch)}
    loaded.macros = environment.from_string("\n".join(texts)).module
    return loaded.macros
