"""The demonstration: the main job on the real events of samples/, and the numbers that it publishes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from agent_analytics import pipeline
from agent_analytics.query import run_query
from agent_analytics.storage import PROJECT_ROOT, Storage

HEADLINES = (
    ("executions", "select sum(total_executions) from execution_rollup_daily", "{:,}"),
    (
        "success rate",
        "select sum(successful_executions) / sum(total_executions) from execution_rollup_daily",
        "{:.1%}",
    ),
    ("cost of the executions", "select sum(total_cost_usd) from execution_rollup_daily", "${:,.2f}"),
    ("model calls", "select sum(calls) from provider_calls_daily", "{:,}"),
    (
        "model calls per execution",
        "select (select sum(calls) from provider_calls_daily) / sum(total_executions) from execution_rollup_daily",
        "{:.3f}",
    ),
    ("tokens in", "select sum(tokens_in) from provider_calls_daily", "{:,}"),
    ("tokens out", "select sum(tokens_out) from provider_calls_daily", "{:,}"),
    ("cost of the model calls", "select sum(cost_usd) from provider_calls_daily", "${:,.2f}"),
    (
        "tasks solved per task assigned",
        "select sum(successful_resolutions) / sum(assignments) from agent_efficiency_daily",
        "{:.3f}",
    ),
)
RELEASES = "select service, sum(deployments) from deployment_frequency_daily group by service order by service"
PUBLISHED = """
    select family, mart, rows, gate_status from ops.publications
    where gate_status <> 'none' order by family, mart"""


@dataclass(frozen=True)
class Demo:
    """What the demonstration shows: the run, headline numbers as (name, text), and the published marts with rows, as
    (family, mart, rows, gate); `empty` are the others, of whose events the samples have none."""

    report: pipeline.RunReport
    headlines: list[tuple[str, str]]
    published: list[tuple[Any, ...]]
    empty: int


def demo(storage: Storage, progress: Callable[[str], None] | None = None) -> Demo:
    """Land the samples that are not there yet, run the main job, and read the published marts."""
    samples = PROJECT_ROOT / "samples" / "landing"
    storage.landing.mkdir(parents=True, exist_ok=True)
    for sample in sorted(samples.iterdir()):
        if not (storage.landing / sample.name).exists():
            part = storage.landing / f"{sample.name}.part"
            shutil.copyfile(sample, part)
            part.rename(storage.landing / sample.name)
    report = pipeline.run(storage, progress=progress)
    headlines = [(name, _formatted(storage, sql, form)) for name, sql, form in HEADLINES]
    headlines += [(f"production releases of {row[0]}", f"{row[1]:,}") for row in run_query(storage, RELEASES).rows]
    marts = [tuple(row) for row in run_query(storage, PUBLISHED).rows]
    filled = [mart for mart in marts if mart[2]]
    return Demo(report, headlines, filled, len(marts) - len(filled))


def _formatted(storage: Storage, sql: str, form: str) -> str:
    value = run_query(storage, sql).rows[0][0]
    return "none" if value is None else form.format(value)
