"""`python -m benchmarks`: measure, print as it goes, and write docs/benchmarks.md."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from agent_analytics import durable
from agent_analytics.errors import AnalyticsError
from agent_analytics.storage import PROJECT_ROOT
from benchmarks import patterns
from benchmarks.histories import MIXES, History, Mix, parse_size
from benchmarks.report import TITLES, Board, Section, markdown, targets
from benchmarks.suite import PARTS, Suite

REPORT = PROJECT_ROOT / "docs" / "benchmarks.md"
QUICK = 100_000
DAEMON = 1_000_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 1 with one line when something could not be measured; a missed target is no failure."""
    options = _parser().parse_args(arguments)
    folder = (PROJECT_ROOT / options.storage).resolve()
    whole = not options.quick and set(options.only) == set(PARTS)
    report = options.report or (REPORT if whole else folder / "benchmarks.md")
    sections: list[Section] = []
    try:
        with Board() as board:
            suite = Suite(folder, options.only, board.tell, board.show)
            suite.compile()
            for name in options.sections:
                sections.append(_measure(suite, name, options))
                # Section by section: a run of hours may end before its end.
                before = report.read_text(encoding="utf-8") if report.exists() else ""
                durable.write_text(report, markdown(sections[-1:], before))
    except AnalyticsError as error:
        print(error, file=sys.stderr)
        return 1
    board.targets([target for section in sections for target in targets(section)])
    print(f"{report} is written")
    differing = sum(rows for section in sections for rows in section.results.differing.values())
    if differing:
        print(f"pipeline and bare SQL differ in {differing} rows: the ratios compare unlike work", file=sys.stderr)
    return 1 if differing else 0


def _measure(suite: Suite, name: str, options: argparse.Namespace) -> Section:
    load = os.getloadavg()[0]
    if name == "daemon":
        history = History.of(MIXES["mixed"], QUICK if options.quick else DAEMON, "density")
        return Section(name, suite.daemon(history), load, [history])
    if name == "demo":
        return Section(name, suite.demo(), load)
    if name == "patterns":
        return Section(name, suite.patterns(QUICK if options.quick else patterns.EXECUTIONS), load)
    measured = _histories(MIXES[name], options)
    return Section(name, suite.mix(measured, keep=options.keep), load, measured)


def _histories(mix: Mix, options: argparse.Namespace) -> list[History]:
    sizes = [QUICK] if options.quick else options.events or mix.sizes
    shapes = [options.shape] if options.shape else mix.shapes
    found: list[History] = []
    for size in sizes:
        for shape in shapes:
            history = History.of(mix, size, shape)
            if history not in found:
                found.append(history)
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure the pipeline beside the same work as bare DuckDB SQL."
    )
    add = parser.add_argument
    add("--sections", type=_some(TITLES), default=list(TITLES), help=f"some of {','.join(TITLES)}; the others are kept")
    add("--events", type=_sizes, help="sizes of the histories, e.g. 1M,10M,100M; of game, its turns (default: 1M,10M)")
    add("--shape", choices=("days", "density"), help="how a larger history grows (default: density; of costs, both)")
    add("--only", type=_some(PARTS), default=list(PARTS), help=f"some of {','.join(PARTS)}")
    add("--storage", type=Path, default=Path(".tmp/benchmarks"), help="a folder on disk with room")
    add("--quick", action="store_true", help="100k events: a look in a few minutes, not a result")
    add("--keep", action="store_true", help="keep the storage roots, to look into them")
    add("--report", type=Path, help="where to write (default: docs/benchmarks.md if all parts are measured)")
    return parser


def _sizes(text: str) -> list[int]:
    try:
        sizes = sorted({parse_size(part) for part in text.split(",")})
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: sizes are like 1M,10M") from None
    if sizes[0] < 1:
        raise argparse.ArgumentTypeError("a size is at least 1")
    return sizes


def _some(known: Collection[str]) -> Callable[[str], list[str]]:
    """A type for arguments: names among those known, in their order."""

    def chosen(text: str) -> list[str]:
        names = text.split(",")
        unknown = sorted(set(names) - set(known))
        if unknown:
            raise argparse.ArgumentTypeError(f"unknown: {unknown[0]!r}; choose from {','.join(known)}")
        return [name for name in known if name in names]

    return chosen


if __name__ == "__main__":
    raise SystemExit(main())
