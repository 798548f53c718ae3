"""Figures as a table in the terminal while they come in, and as docs/benchmarks.md at the end."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

import duckdb
from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table

from benchmarks.histories import TICK, History, short
from benchmarks.suite import Figure, Results

COLUMNS = (
    "history", "step", "runs", "wall s", "cpu s", "events/s", "peak MB", "bare s", "bare cpu s", "ratio", "cpu ratio",
)  # fmt: skip
TICK_STEP = f"tick of {short(TICK)}"
LARGE = 10_000_000
BUSY = " (not quiet: trust cpu more than wall)"

INTRODUCTION = """\
Written by `make bench` (`python -m benchmarks`); don't edit. Each figure is a fresh process, so that the imports of
Python and dbt count; the median where there are several runs. *Bare* is the same work as straightforward DuckDB SQL
in one process (`benchmarks/bare/`), run in turn with the pipeline's: it validates nothing, looks for no duplicates
and notices no changed definition, but its marts have the same rows. *cpu* is user and system seconds of all
processes; *peak* is the resident memory of all of them at once. A tick is 50,000 new events: 98% of the newest hour,
2% up to seven days late, of which the bare SQL recomputes the touched partitions too. Events are simulated, of the
sources provider, billing, crm, delivery and swarm."""


@dataclass(frozen=True)
class Target:
    """A target, the figure it is about, and whether it is met (None: not measured)."""

    name: str
    figure: str
    met: bool | None

    @property
    def word(self) -> str:
        return {True: "met", False: "missed", None: "not measured"}[self.met]


class Board:
    """The table in the terminal: a row for each figure as it comes in; plain lines where there is no terminal."""

    def __init__(self) -> None:
        self.console = Console()
        self.rows: list[Figure] = []
        self.doing = ""
        self.live = Live(console=self.console, refresh_per_second=4) if self.console.is_terminal else None

    def __enter__(self) -> Board:
        if self.live:
            self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.live:
            self.doing = ""
            self._draw()
            self.live.stop()

    def tell(self, what: str) -> None:
        self.doing = what
        self._draw()

    def show(self, figure: Figure) -> None:
        self.rows.append(figure)
        self._draw()
        if not self.live:
            text = ", ".join(f"{n} {c}" for n, c in zip(COLUMNS[2:], cells(figure)[2:], strict=True) if c)
            print(f"{figure.history or 'all'}: {figure.step}: {text}", flush=True)

    def targets(self, found: Sequence[Target]) -> None:
        table = Table("target", "measured", "", title="Targets", title_justify="left")
        for target in found:
            colour = {True: "green", False: "red", None: "yellow"}[target.met]
            table.add_row(target.name, target.figure, f"[{colour}]{target.word}[/]")
        self.console.print(table)

    def _draw(self) -> None:
        if not self.live:
            return
        table = Table(title="agent-analytics beside bare DuckDB", title_justify="left", caption_justify="left")
        for name in COLUMNS:
            table.add_column(name, justify="left" if name in ("history", "step") else "right")
        for figure in self.rows:
            table.add_row(*cells(figure))
        if self.doing:
            table.add_row(Spinner("dots"), self.doing)
        self.live.update(table)


def cells(figure: Figure) -> list[str]:
    """A figure as the texts of its row."""
    cost, bare = figure.cost, figure.bare
    return [
        figure.history,
        figure.step,
        str(figure.runs),
        _seconds(cost.wall),
        _seconds(cost.cpu),
        f"{figure.events_per_second:,.0f}" if figure.events_per_second else "",
        f"{cost.peak / 1e6:,.0f}",
        _seconds(bare.wall) if bare else "",
        _seconds(bare.cpu) if bare else "",
        f"{figure.ratio:.2f}" if figure.ratio else "",
        f"{figure.cpu_ratio:.2f}" if figure.cpu_ratio else "",
    ]


def targets(results: Results, measured: Sequence[History]) -> list[Target]:
    """The targets beside the figures; those about 10M events only where 10M events were measured."""
    largest = [history for history in measured if history.events == max(h.events for h in measured)]
    return [
        *(_ingest_target(results, history) for history in largest),
        *(_build_target(results, history) for history in _large(measured)),
        *_tick_targets(results, measured),
        _demo_target(results),
        _pattern_target(results),
    ]


def _large(measured: Sequence[History]) -> list[History | None]:
    """The histories of 10M events; None in their place if there is none."""
    return [history for history in measured if history.events == LARGE] or [None]


def _ingest_target(results: Results, history: History) -> Target:
    name = f"ingest of {history.title}: at least 500,000 events/s"
    found = results.find("ingest", history.name)
    rate = found.events_per_second if found else None
    return Target(name, f"{rate:,.0f}", rate >= 500_000) if rate else Target(name, "", None)


def _build_target(results: Results, history: History | None) -> Target:
    name = f"full build of {history.title if history else '10M events'}: at most twice bare DuckDB plus dbt's start-up"
    found = results.find("full build", history.name) if history else None
    started = results.find("dbt start-up", history.name) if history else None
    if not (found and found.bare and started):
        return Target(name, "", None)
    allowed = 2 * found.bare.wall + started.cost.wall
    told = f"{found.cost.wall:.1f} s of 2 x {found.bare.wall:.1f} + {started.cost.wall:.1f} = {allowed:.1f} s"
    return Target(name, told, found.cost.wall <= allowed)


def _tick_targets(results: Results, measured: Sequence[History]) -> list[Target]:
    small = next((results.find(TICK_STEP, h.name) for h in measured if h.events == 1_000_000), None)
    targets = []
    for history in _large(measured):
        title = history.title if history else "10M events"
        found = results.find(TICK_STEP, history.name) if history else None
        wall = found.cost.wall if found else None
        name = f"{TICK_STEP} on {title}: at most 15 s"
        targets.append(Target(name, f"{wall:.1f} s", wall <= 15) if wall else Target(name, "", None))
        name = f"{TICK_STEP} on {title}: at most 1.3 times that on 1M"
        if wall and small:
            times = wall / small.cost.wall
            targets.append(Target(name, f"{times:.2f} times {small.cost.wall:.1f} s", times <= 1.3))
        else:
            targets.append(Target(name, "", None))
    return targets


def _demo_target(results: Results) -> Target:
    name = "the demo after set-up: under 60 s"
    found = results.find("demo")
    return Target(name, f"{found.cost.wall:.1f} s", found.cost.wall < 60) if found else Target(name, "", None)


def _pattern_target(results: Results) -> Target:
    """The dearest question of the patterns part, less the start-up of the command line."""
    name = "one pattern of 5,000 with 5M executions: under 500 ms besides start-up"
    started = results.find("command line's start-up")
    asked = [figure for figure in results.figures if figure.step.startswith("pattern: ") and "5M" in figure.step]
    if not started or not asked:
        return Target(name, "", None)
    taken = max(figure.cost.wall for figure in asked) - started.cost.wall
    return Target(name, f"{1000 * taken:.0f} ms", taken < 0.5)


# The page


def markdown(results: Results, measured: Sequence[History], load: float) -> str:
    """docs/benchmarks.md."""
    lines = [
        "# Benchmarks",
        "",
        *INTRODUCTION.splitlines(),
        "",
        *_machine(load),
        "",
        "## Targets",
        "",
        *_table(("target", "measured", ""), [[t.name, t.figure, t.word] for t in targets(results, measured)]),
        "",
        "## Figures",
        "",
    ]
    for title, name in [*((h.title, h.name) for h in measured), ("Without a history", "")]:
        found = [figure for figure in results.figures if figure.history == name]
        if found:
            lines += [f"### {title}", "", *_table(COLUMNS[1:], [cells(figure)[1:] for figure in found]), ""]
    lines += [*_parity(results), *_tick_page(results, measured), *_model_page(results, measured)]
    return "\n".join(lines).rstrip() + "\n"


def _machine(load: float) -> list[str]:
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    rows = [
        ["date", today],
        ["processor", f"{_processor()}, {os.cpu_count()} cores"],
        ["memory", f"{memory:.0f} GiB"],
        ["system", f"{platform.system()} {platform.release()}"],
        ["Python, DuckDB", f"{platform.python_version()}, {duckdb.__version__}"],
        [
            "load when it began",
            f"{load:.1f}" + (" (not quiet: trust cpu and ratios more than wall)" if load > 1 else ""),
        ],
    ]
    return _table(("machine", ""), rows)


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _parity(results: Results) -> list[str]:
    if not results.differing:
        return []
    wrong = {name: rows for name, rows in results.differing.items() if rows}
    told = "; ".join(f"{name}: {rows}" for name, rows in wrong.items())
    if wrong:
        return [f"**Rows in which pipeline and bare SQL differ, so that the ratios compare unlike work: {told}.**", ""]
    return [
        f"All rows of the {len(results.differing)} marts are the same in both, after the full build and the ticks.",
        "",
    ]


def _tick_page(results: Results, measured: Sequence[History]) -> list[str]:
    known = [history for history in measured if history.name in results.ticks]
    if not known:
        return []
    parts = list(results.ticks[known[0].name])
    rows = [[part, *(_seconds(results.ticks[h.name].get(part, 0.0)) for h in known)] for part in parts]
    return ["## Where a tick's seconds go", "", *_table(("part", *(h.name for h in known)), rows), ""]


def _model_page(results: Results, measured: Sequence[History]) -> list[str]:
    lines = []
    for title, by_history in (("a full build", results.build_models), ("a tick", results.tick_models)):
        known = [history for history in measured if history.name in by_history]
        if not known:
            continue
        last = by_history[known[-1].name]
        names = sorted(last, key=lambda name: -last[name])[:15]
        rows = [[name, *(f"{by_history[h.name].get(name, 0.0):.2f}" for h in known)] for name in names]
        sums = ["all models", *(f"{sum(by_history[h.name].values()):.2f}" for h in known)]
        lines += [f"## The slowest models of {title}, in seconds", ""]
        lines += [*_table(("model", *(h.name for h in known)), [*rows, sums]), ""]
    return lines


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [
        "| " + " | ".join(columns) + " |",
        "| " + " | ".join("---" for _ in columns) + " |",
        *("| " + " | ".join(row) + " |" for row in rows),
    ]


def _seconds(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"
