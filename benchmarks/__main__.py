"""`python -m benchmarks`: measure, print as it goes, and write docs/benchmarks.md."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from agent_analytics import durable
from agent_analytics.errors import AnalyticsError
from agent_analytics.storage import PROJECT_ROOT
from benchmarks.histories import History, parse_size
from benchmarks.report import Board, markdown, targets
from benchmarks.suite import PARTS, Suite

REPORT = PROJECT_ROOT / "docs" / "benchmarks.md"


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 1 with one line when something could not be measured; a missed target is no failure."""
    options = _parser().parse_args(arguments)
    load = os.getloadavg()[0]
    folder = (PROJECT_ROOT / options.storage).resolve()
    measured = [History.of(100_000, "days")] if options.quick else _histories(options.sizes, options.shape)
    try:
        with Board() as board:
            results = Suite(folder, options.only, board.tell, board.show).run(measured, keep=options.keep)
    except AnalyticsError as error:
        print(error, file=sys.stderr)
        return 1
    board.targets(targets(results, measured))
    whole = not options.quick and set(options.only) == set(PARTS)
    report = options.report or (REPORT if whole else folder / "benchmarks.md")
    durable.write_text(report, markdown(results, measured, load))
    print(f"{report} is written")
    differing = sum(results.differing.values())
    if differing:
        print(f"pipeline and bare SQL differ in {differing} rows: the ratios compare unlike work", file=sys.stderr)
    return 1 if differing else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure the pipeline beside the same work as bare DuckDB SQL."
    )
    parser.add_argument("--sizes", type=_sizes, default=_sizes("1M,10M"), help="numbers of events, e.g. 1M,10M,100M")
    parser.add_argument("--shape", choices=("days", "density"), help="how a larger history grows (default: both)")
    parser.add_argument("--only", type=_parts, default=PARTS, help=f"some of {','.join(PARTS)}")
    parser.add_argument("--storage", type=Path, default=Path(".tmp/benchmarks"), help="a folder on disk with room")
    parser.add_argument("--quick", action="store_true", help="100k events: a look in a minute or two, not a result")
    parser.add_argument("--keep", action="store_true", help="keep the storage roots, to look into them")
    parser.add_argument("--report", type=Path, help="where to write (default: docs/benchmarks.md if all is measured)")
    return parser


def _sizes(text: str) -> list[int]:
    try:
        sizes = sorted({parse_size(part) for part in text.split(",")})
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: sizes are like 1M,10M") from None
    if sizes[0] < 1:
        raise argparse.ArgumentTypeError("a size is at least 1")
    return sizes


def _parts(text: str) -> list[str]:
    parts = text.split(",")
    unknown = sorted(set(parts) - set(PARTS))
    if unknown:
        raise argparse.ArgumentTypeError(f"unknown part {unknown[0]!r}; choose from {','.join(PARTS)}")
    return parts


def _histories(sizes: Sequence[int], shape: str | None) -> list[History]:
    found: list[History] = []
    for size in sizes:
        for one in (shape,) if shape else ("days", "density"):
            history = History.of(size, one)
            if history not in found:
                found.append(history)
    return found


if __name__ == "__main__":
    raise SystemExit(main())
