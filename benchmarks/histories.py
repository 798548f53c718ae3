"""Simulated histories, kept by their parameters so that a second benchmark is quick to start."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from agent_analytics.simulate import DEFAULT_END, simulate, tick
from agent_analytics.storage import PROJECT_ROOT
from benchmarks import measure
from benchmarks.bare import SOURCES

#: Days that 1M events are spread over. Ten times the events are ten times the days, or ten times as many a day.
DAYS = 30
#: More days than this don't make a history more realistic: beyond it the density rises.
MOST_DAYS = 300
SEED = 1
TICK = 50_000


@dataclass(frozen=True)
class History:
    """A history of `events` over `days`, and the name that reports give it."""

    name: str
    events: int
    days: int

    @classmethod
    def of(cls, events: int, shape: str) -> History:
        """`days`: as many days more as there are events more than 1M; `density`: as many more a day."""
        days = min(MOST_DAYS, max(DAYS, DAYS * events // 1_000_000)) if shape == "days" else DAYS
        return cls(f"{short(events)}-{days}d", events, days)

    @property
    def title(self) -> str:
        return f"{short(self.events)} events over {self.days} days"


def short(number: int) -> str:
    """1_000_000 as 1M."""
    for unit, name in ((1_000_000, "M"), (1_000, "k")):
        if number >= unit and number % unit == 0:
            return f"{number // unit}{name}"
    return str(number)


def parse_size(text: str) -> int:
    """1M, 250k or 5000 as a number. Raises ValueError for anything else."""
    units = {"k": 1_000, "m": 1_000_000}
    unit = units.get(text[-1:].lower(), 1)
    return int(text[:-1] if unit > 1 else text) * unit


def landed(folder: Path, history: History) -> tuple[Path, measure.Cost]:
    """The history's files under `folder`, made now if they aren't there yet, and what making them cost."""
    return _kept(folder / f"{history.name}-{_digest()}", {"events": history.events, "days": history.days, "seed": SEED})


def tick_landed(folder: Path, number: int, events: int = TICK) -> Path:
    """The files of the number-th hour (from 1) after a history: 98% of it in that hour, 2% late by up to seven days."""
    return _kept(
        folder / f"tick-{short(events)}-{number}-{_digest()}", {"events": events, "tick": number, "seed": SEED}
    )[0]


def _kept(target: Path, request: dict[str, Any]) -> tuple[Path, measure.Cost]:
    record = target / "cost.json"
    if not record.is_file():
        shutil.rmtree(target, ignore_errors=True)
        cost = measure.python("-m", "benchmarks.histories", json.dumps(request | {"out": str(target / "files")}))
        record.write_text(json.dumps(cost.as_json()))
    return target / "files", measure.Cost(**json.loads(record.read_text()))


def _digest() -> str:
    """Changes when the simulator does: what it made before is another history."""
    digest = hashlib.sha256()
    for path in sorted((PROJECT_ROOT / "agent_analytics" / "simulate").rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:8]


def main(request: dict[str, Any]) -> None:
    """Write one history or tick."""
    out, number = Path(request["out"]), request.get("tick")
    if number is None:
        simulate(out, events=request["events"], days=request["days"], seed=request["seed"], sources=SOURCES)
        return
    end = DEFAULT_END + timedelta(hours=number)
    tick(out, events=request["events"], seed=request["seed"] + number, end=end, sources=SOURCES)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
