"""Figures as a table in the terminal while they come in, and as docs/benchmarks.md at the end."""

from __future__ import annotations

import os
import platform
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from types import TracebackType

import duckdb
from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table

from benchmarks.histories import MIXES, TICK, History, Mix, short
from benchmarks.suite import QUIET_TICK, WARM_TICK, Figure, Results

COLUMNS = (
    "history", "step", "runs", "wall s", "cpu s", "events/s", "peak MB", "bare s", "bare cpu s", "ratio", "cpu ratio",
)  # fmt: skip
TICK_STEP = f"tick of {short(TICK)}"
LARGE = 10_000_000
BUSY = " (not quiet: trust cpu and ratios more than wall)"
#: Wall seconds that a tick may take, and bytes that the full build may hold at once, on 10M.
TICK_SECONDS = {"costs": 15, "mixed": 20, "game": 15}
PEAK = {"game": 6_000_000_000}

INTRODUCTION = """\
Written by `make bench` (`python -m benchmarks`); don't edit. `--sections` measures some of the sections again and keeps
the others. Each figure is a fresh process, so that the imports of Python and dbt count; the median where there are
several runs. What dbt has parsed and compiled is kept from one run to the next, as it always is: what that costs once
is in *dbt start-up, first*. *Bare* is the same work as straightforward DuckDB SQL in one process
(`benchmarks/bare/`), run in turn with the pipeline's: it validates nothing, looks for no duplicates and notices no
changed definition, but its marts have the same rows, those of hourly marts that are too old in archived files a day.
*cpu* is user and system seconds of all processes; *peak* is the resident memory of all of them at once. A full build
makes the section's marts and what they are made of; gate, publish and ticks are of all marts, those without events
too. A tick is 50,000 new events, or turns with what comes beside them: 98% of the newest hour, 2% up to seven days
late, of which the bare SQL recomputes the touched partitions too. Events are simulated."""


@dataclass(frozen=True)
class Section:
    """A part of the page: what was measured together, on which histories, and the machine's load when it began."""

    name: str
    results: Results
    load: float
    measured: Sequence[History] = field(default_factory=list)

    @property
    def mix(self) -> Mix | None:
        return MIXES.get(self.name)

    @property
    def title(self) -> str:
        return TITLES[self.name]


#: The sections in the order of the page.
TITLES = {name: mix.title for name, mix in MIXES.items()} | {
    "daemon": "Through Dagster's daemon",
    "patterns": "One pattern among thousands",
    "demo": "The demo",
}


ABOUT = {
    "daemon": """\
`make dagster` on a storage root with the history, a tick a minute. *wall* is from the moment that the clock struck
until the publication is what readers see; a quiet tick starts no run and writes nothing. *cpu* is that of all of
Dagster's processes, also for what they do besides; *peak* their resident memory at the end.""",
}


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


def targets(section: Section) -> list[Target]:
    """The targets beside the figures; those about 10M only where 10M were measured."""
    if section.name == "patterns":
        return [_pattern_target(section.results)]
    if section.name == "daemon":
        return _daemon_targets(section)
    if section.name == "demo":
        return [_demo_target(section.results)]
    large: list[History | None] = [history for history in section.measured if history.number == LARGE]
    large = large or [None]
    found = [_build_target(section, history) for history in large]
    if section.name == "costs":
        found = [_ingest_target(section, history) for history in large] + found
    if section.name in PEAK:
        found += [_peak_target(section, history) for history in large]
    return found + [target for history in large for target in _tick_targets(section, history)]


def _title(section: Section, history: History | None) -> str:
    return history.title if history else f"10M {section.mix.counted if section.mix else ''}"


def _find(section: Section, step: str, history: History | None) -> Figure | None:
    return section.results.find(step, history.name) if history else None


def _ingest_target(section: Section, history: History | None) -> Target:
    name = f"ingest of {_title(section, history)}: at least 500,000 events/s"
    found = _find(section, "ingest", history)
    rate = found.events_per_second if found else None
    return Target(name, f"{rate:,.0f}", rate >= 500_000) if rate else Target(name, "", None)


def _build_target(section: Section, history: History | None) -> Target:
    name = f"full build of {_title(section, history)}: at most twice bare DuckDB plus dbt's start-up"
    found, started = _find(section, "full build", history), _find(section, "dbt start-up", history)
    if not (found and found.bare and started):
        return Target(name, "", None)
    allowed = 2 * found.bare.wall + started.cost.wall
    told = f"{found.cost.wall:.1f} s of 2 x {found.bare.wall:.1f} + {started.cost.wall:.1f} = {allowed:.1f} s"
    return Target(name, told, found.cost.wall <= allowed)


def _peak_target(section: Section, history: History | None) -> Target:
    most = PEAK[section.name]
    name = f"full build of {_title(section, history)}: peak memory under {most / 1e9:.0f} GB"
    found = _find(section, "full build", history)
    return Target(name, f"{found.cost.peak / 1e9:.1f} GB", found.cost.peak < most) if found else Target(name, "", None)


def _tick_targets(section: Section, history: History | None) -> list[Target]:
    on, most = f"{TICK_STEP} on {_title(section, history)}", TICK_SECONDS[section.name]
    small = next((_find(section, TICK_STEP, h) for h in section.measured if h.number == 1_000_000), None)
    found = _find(section, TICK_STEP, history)
    targets = [Target(f"{on}: at most {most} s", "", None), Target(f"{on}: at most 1.3 times that on 1M", "", None)]
    if found:
        wall = found.cost.wall
        targets[0] = Target(targets[0].name, f"{wall:.1f} s", wall <= most)
        if small:
            times, before = wall / small.cost.wall, small.cost.wall
            targets[1] = Target(targets[1].name, f"{times:.2f} times {before:.1f} s", times <= 1.3)
    return targets


def _daemon_targets(section: Section) -> list[Target]:
    found = []
    for step, most in ((QUIET_TICK, 10), (WARM_TICK, 20)):
        figure = _find(section, step, section.measured[0])
        assert figure
        wall = figure.cost.wall
        found.append(Target(f"{step}: under {most} s", f"{wall:.1f} s", wall < most))
    return found


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


def markdown(sections: Sequence[Section], before: str = "") -> str:
    """docs/benchmarks.md with these sections; those that aren't among them stay as they are in the page before."""
    kept = {title: text for title, text in _sections(before).items() if title in TITLES.values()}
    kept |= {section.title: _section(section) for section in sections}
    return (
        "\n\n".join(
            [
                "# Benchmarks",
                INTRODUCTION,
                *(f"## {title}\n\n{kept[title]}" for title in TITLES.values() if title in kept),
            ]
        )
        + "\n"
    )


def _sections(page: str) -> dict[str, str]:
    """The texts of a page's sections by their titles."""
    parts = re.split(r"^## (.+)\n", page, flags=re.MULTILINE)
    return {title: text.strip() for title, text in zip(parts[1::2], parts[2::2], strict=True)}


def _section(section: Section) -> str:
    found = targets(section)
    about = section.mix.about if section.mix else ABOUT.get(section.name)
    lines = [
        *([about, ""] if about else []),
        *_table(("target", "measured", ""), [[t.name, t.figure, t.word] for t in found]),
        "",
    ]
    for history in section.measured:
        lines += [f"### {history.title}", "", *_figures(section, history.name), ""]
    if not section.measured:
        lines += [*_figures(section, ""), ""]
    lines += [*_parity(section.results)]
    lines += [*_tick_page(section.results, section.measured), *_model_page(section.results, section.measured)]
    return "\n".join([*lines, _machine(section.load)])


def _figures(section: Section, history: str) -> list[str]:
    found = [cells(figure)[1:] for figure in section.results.figures if figure.history == history]
    filled = [column for column in range(len(COLUMNS) - 1) if any(row[column] for row in found)]
    names = [COLUMNS[1:][column] for column in filled]
    return _table(names, [[row[column] for column in filled] for row in found])


def _machine(load: float) -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    told = [
        f"{_processor()}, {os.cpu_count()} cores, {memory:.0f} GiB",
        f"{platform.system()} {platform.release()}",
        f"Python {platform.python_version()}, DuckDB {duckdb.__version__}",
        f"Python counts to 10M in {_counting():.2f} s",
        f"load {load:.1f} when it began{BUSY if load > 1 else ''}",
    ]
    return f"Measured on {datetime.now(UTC):%Y-%m-%d}: {'; '.join(told)}."


@cache
def _counting() -> float:
    """Seconds, the least of three: machines of the same name differ by half."""
    found = []
    for _ in range(3):
        began = time.perf_counter()
        for _ in range(10_000_000):
            pass
        found.append(time.perf_counter() - began)
    return min(found)


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
    return ["### Where a tick's seconds go", "", *_table(("part", *(h.name for h in known)), rows), ""]


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
        lines += [f"### The slowest models of {title}, in seconds", ""]
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
