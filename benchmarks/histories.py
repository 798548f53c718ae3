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
from agent_analytics.simulate.sources import SOURCES
from agent_analytics.storage import PROJECT_ROOT
from benchmarks import measure
from benchmarks.bare import FAMILIES

#: Days that 1M events are spread over. Ten times the events are ten times the days, or ten times as many a day.
DAYS = 30
#: More days than this don't make a history more realistic: beyond it the density rises.
MOST_DAYS = 300
SEED = 1
TICK = 50_000


@dataclass(frozen=True)
class Mix:
    """What a history consists of, and the families of marts that are measured on it.

    `shares`: sources and their share of the events; among them it is the simulator's. `each`: events that come with one
    of what is counted, itself included, where that isn't any event.
    """

    name: str
    title: str
    about: str
    shares: tuple[tuple[tuple[str, ...], float], ...]
    families: tuple[str, ...]
    sizes: tuple[int, ...]
    shapes: tuple[str, ...] = ("density",)
    counted: str = "events"
    each: float = 1.0

    def events(self, number: int) -> dict[tuple[str, ...], int]:
        """How many events of which sources, for a number of what is counted."""
        total = round(number * self.each)
        found = {sources: round(total * share) for sources, share in self.shares}
        last = self.shares[-1][0]
        return found | {last: total - sum(found.values()) + found[last]}


COSTS = Mix(
    name="costs",
    title="Provider costs, billing, revenue, delivery and swarm",
    about="Events of the sources provider, billing, crm, delivery and swarm.",
    shares=((("provider", "billing", "crm", "delivery", "swarm"), 1.0),),
    families=("provider_costs", "billing", "revenue", "delivery", "swarm"),
    sizes=(1_000_000, 10_000_000),
    shapes=("days", "density"),
)
MIXED = Mix(
    name="mixed",
    title="All families, of all sources",
    about="""\
Events of all sources, 55% of them of platform. The bare SQL has no counterpart for the experiments' statistics, which
are Python, nor for marts over marts (metric_anomalies and what comes after): the full build leaves them out too.""",
    shares=((("platform",), 0.55), (tuple(name for name in SOURCES if name != "platform"), 0.45)),
    families=tuple(FAMILIES),
    sizes=(1_000_000, 10_000_000),
)
GAME = Mix(
    name="game",
    title="The game",
    about="Turns, and what else happens in their sessions: 2.7 events beside each turn, all of them read by the marts.",
    shares=((("game",), 1.0),),
    families=("game", "game_funnel"),
    sizes=(1_000_000, 10_000_000),
    counted="turns",
    each=3.7,
)
MIXES = {mix.name: mix for mix in (COSTS, MIXED, GAME)}


@dataclass(frozen=True)
class History:
    """A mix of `number` events (or of what the mix counts) over `days`, and the name that reports give it."""

    mix: Mix
    name: str
    number: int
    days: int

    @classmethod
    def of(cls, mix: Mix, number: int, shape: str) -> History:
        """`days`: as many days more as there are events more than 1M; `density`: as many more a day."""
        days = min(MOST_DAYS, max(DAYS, DAYS * number // 1_000_000)) if shape == "days" else DAYS
        return cls(mix, f"{short(number)}-{days}d", number, days)

    @property
    def events(self) -> int:
        return sum(self.mix.events(self.number).values())

    @property
    def title(self) -> str:
        return f"{short(self.number)} {self.mix.counted} over {self.days} days"


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
    return _kept(
        folder, f"{history.mix.name}-{history.name}", history.mix, {"number": history.number, "days": history.days}
    )


def tick_landed(folder: Path, mix: Mix, number: int, size: int = TICK) -> Path:
    """The files of the number-th hour (from 1) after a history: 98% of it in that hour, 2% late by up to seven days."""
    return _kept(folder, f"{mix.name}-tick-{short(size)}-{number}", mix, {"number": size, "tick": number})[0]


def _kept(folder: Path, name: str, mix: Mix, request: dict[str, Any]) -> tuple[Path, measure.Cost]:
    target = folder / f"{name}-{_digest(mix)}"
    record = target / "cost.json"
    if not record.is_file():
        shutil.rmtree(target, ignore_errors=True)
        request |= {"mix": mix.name, "out": str(target / "files")}
        cost = measure.python("-m", "benchmarks.histories", json.dumps(request))
        record.write_text(json.dumps(cost.as_json()))
    return target / "files", measure.Cost(**json.loads(record.read_text()))


def _digest(mix: Mix) -> str:
    """Changes when the simulator or the mix does: what it made before is another history."""
    digest = hashlib.sha256(repr((mix.shares, mix.each)).encode())
    for path in sorted((PROJECT_ROOT / "agent_analytics" / "simulate").rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:8]


def make(request: dict[str, Any]) -> None:
    """Write one history or tick."""
    out, number, mix = Path(request["out"]), request.get("tick"), MIXES[request["mix"]]
    for sources, events in mix.events(request["number"]).items():
        if number is None:
            simulate(out, events=events, days=request["days"], seed=SEED, sources=sources)
        else:
            end = DEFAULT_END + timedelta(hours=number)
            tick(out, events=events, seed=SEED + number, end=end, sources=sources)


if __name__ == "__main__":
    make(json.loads(sys.argv[1]))
