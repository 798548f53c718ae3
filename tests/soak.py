"""The soak: many ticks with random faults in one storage root, which must end as a full refresh in a fresh root would.

    python tests/soak.py ticks --root /tmp/soak --ticks 500 --minutes 240
    python tests/soak.py tiny-loads --root /tmp/tiny --loads 3000

Each tick is drawn from the seed and its number alone, so that a soak that was stopped goes on where it was.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import duckdb
import typer
from events import START, Event, Generator
from harness import World, differences

from agent_analytics import manifest, versions
from agent_analytics.ingest import ingest, retract
from agent_analytics.ledger import Ledger
from agent_analytics.storage import PROJECT_ROOT

TICK = timedelta(minutes=15)
DAY = 96
LATE = 0.1
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@dataclass(frozen=True)
class Figures:
    """How a root stood after a tick. `what` happened in it; seconds are wall time."""

    tick: int
    what: str
    loads: int
    seconds: float
    warehouse_mib: float
    lake_files: int
    published_files: int


class Moving(Generator):
    """Events of the 15 minutes before a tick's end, some of them from any time before."""

    def __init__(self, seed: int, end: datetime) -> None:
        super().__init__(seed)
        self.end = end

    def moment(self) -> datetime:
        if self.random.random() < LATE:
            return START + (self.end - START) * self.random.random()
        return self.end - TICK * self.random.random()


@dataclass
class Soak:
    """Ticks on one world.

    sources: those that the events are of, all by default; run_every: of so many ticks one brings what is published up
    to date, the others only load; most: how many events a tick has at most.
    """

    world: World
    seed: int
    sources: tuple[str, ...] = ()
    run_every: int = 1
    most: int = 300

    FAULTS = (
        "none",
        "none",
        "none",
        "copies",
        "broken lines",
        "a file cut off",
        "a file replaced",
        "a kill",
        "a retraction",
        "a selection of models",
        "a backfill",
    )

    def tick(self, number: int) -> Figures:
        draw = random.Random(f"{self.seed}:{number}")
        began = time.monotonic()
        what = draw.choice(self.FAULTS)
        # Rarely nothing lands at all.
        events = self.events(number, draw.choice((0, *(draw.randrange(1, self.most) for _ in range(6)))))
        lines = [json.dumps(event) for event in events]
        if what == "copies":
            lines += self.lines_from_before(draw)
        if what == "broken lines":
            lines += [lines[0][: draw.randrange(1, 60)] if lines else "{", "null", '{"event_type": "nonsense"}']
        draw.shuffle(lines)
        path = self.world.storage.landing / f"{number:05d}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
        if what == "a file cut off":
            # Half of it is loaded; the whole lands after that.
            path.write_text(path.read_text(encoding="utf-8")[: path.stat().st_size // 2], encoding="utf-8")
            ingest(self.world.storage)
            path.with_name(f"{number:05d}-whole.jsonl").write_text(
                "".join(line + "\n" for line in lines), encoding="utf-8"
            )
        if what == "a file replaced":
            ingest(self.world.storage)
            before = path.read_bytes()
            path.write_bytes(before + b"\n")
            assert ingest(self.world.storage).refused == [path.name]
            path.write_bytes(before)
        if what == "a kill":
            self.killed_at(draw.randrange(1, 12))
        if what == "a retraction":
            self.take_back(draw)
        if what in ("a selection of models", "a backfill") and self.world.storage.warehouse.exists():
            ingest(self.world.storage)
            self.build_a_part(draw, number, backfill=what == "a backfill")
        if number % self.run_every == 0:
            report = self.world.run()
            assert report.problems == [], report.problems
        else:
            assert ingest(self.world.storage).ok
        if number % DAY == 0:
            versions.prune(self.world.storage, datetime.now(UTC) + timedelta(hours=25))
        return self.figures(number, what, time.monotonic() - began)

    def events(self, number: int, size: int) -> list[Event]:
        if not size:
            return []
        return Moving(self.seed * 100_000 + number, START + number * TICK).events(size, *self.sources)[:size]

    def lines_from_before(self, draw: random.Random) -> list[str]:
        landed = sorted(self.world.storage.landing.glob("*.jsonl"))
        if not landed:
            return []
        lines = draw.choice(landed).read_text(encoding="utf-8").splitlines()
        return draw.sample(lines, len(lines) // 2)

    def killed_at(self, point: int) -> None:
        """A run, or a load, that ends at one of its durable writes; one that has fewer of them comes to its end."""
        log = self.world.root / "kill.log"
        log.unlink(missing_ok=True)
        environment = {"ANALYTICS_STORAGE": str(self.world.root), "ANALYTICS_KILL_LOG": str(log)}
        done = subprocess.run(
            [sys.executable, "-m", "agent_analytics.cli", "run" if self.run_every == 1 else "ingest"],
            cwd=PROJECT_ROOT,
            env={**os.environ, **environment, "ANALYTICS_KILL_AT": str(point)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode in (0, -signal.SIGKILL) or "ended unexpectedly" in done.stderr, done.stderr

    def build_a_part(self, draw: random.Random, number: int, backfill: bool) -> None:
        """Of the models, any third, which somebody selected; or of the days, some."""
        if backfill:
            first = (START + draw.randrange(number) * TICK).date()
            self.world.build(start=str(first), end=str(first + timedelta(days=draw.randrange(3))))
        else:
            names = sorted(node["name"] for node in manifest.model_nodes().values())
            self.world.build(select=" ".join(draw.sample(names, len(names) // 3)))

    def take_back(self, draw: random.Random) -> None:
        """A load that stands and is no retraction, if there are some."""
        standing = [entry.load_id for entry in Ledger(self.world.storage).standing() if entry.kind == "load"]
        if len(standing) > 3:
            retract(self.world.storage, draw.choice(standing), "drawn")

    def figures(self, number: int, what: str, seconds: float) -> Figures:
        storage = self.world.storage
        published = storage.published.resolve()
        return Figures(
            tick=number,
            what=what,
            loads=len(Ledger(storage).entries()),
            seconds=round(seconds, 2),
            warehouse_mib=round(storage.warehouse.stat().st_size / 2**20, 1) if storage.warehouse.exists() else 0.0,
            lake_files=lake_files(self.world),
            published_files=sum(1 for _ in published.iterdir()) if published.exists() else 0,
        )


def lake_files(world: World) -> int:
    return sum(path.is_file() for path in world.storage.lake.rglob("*"))


def check(world: World, fresh: World) -> None:
    """The marts are those of a full refresh of the same lake, which holds each good line of the loads that stand."""
    assert world.run().problems == []
    for folder in ("landing", "lake", "quarantine"):
        if (world.root / folder).exists():
            shutil.copytree(world.root / folder, fresh.root / folder, dirs_exist_ok=True)
    assert fresh.run().problems == []
    expected = fresh.published_marts()
    for mart, rows in world.published_marts().items():
        assert not differences(rows, expected[mart])[:3], mart
    assert sorted(event_ids(world)) == sorted(set(landed_ids(world)))


def event_ids(world: World) -> list[str]:
    """Of all events that the ledger says there are."""
    found: list[str] = []
    with duckdb.connect() as connection:
        for load_id, file in Ledger(world.storage).lake_files():
            query = "select event_id from read_parquet(?) where load_id = ?"
            found += [
                row[0] for row in connection.execute(query, [str(world.storage.lake / file.path), load_id]).fetchall()
            ]
    return found


def landed_ids(world: World) -> Iterator[str]:
    """Of all good lines in the files of the loads that stand."""
    for entry in Ledger(world.storage).standing():
        for file in entry.files if entry.kind == "load" else ():
            for line in (world.storage.landing / file.path).read_text(encoding="utf-8").splitlines():
                try:
                    yield json.loads(line)["event_id"]
                except (ValueError, KeyError, TypeError):
                    continue


def told(found: list[Figures]) -> str:
    """The medians of the first and of the last tenth of the ticks."""
    tenth = max(len(found) // 10, 1)
    lines = [f"{'':18}{'first tenth':>12}{'last tenth':>12}"]
    for name in ("seconds", "warehouse_mib", "lake_files", "published_files"):
        first, last = (statistics.median(getattr(f, name) for f in part) for part in (found[:tenth], found[-tenth:]))
        lines.append(f"{name:18}{first:>12.1f}{last:>12.1f}")
    return "\n".join(lines)


@app.command()
def ticks(
    root: Annotated[Path, typer.Option(help="Where the soak lives; one that is there goes on.")],
    ticks: Annotated[int, typer.Option(help="How many ticks in all.")] = 500,
    seed: Annotated[int, typer.Option(help="The same seed draws the same ticks.")] = 1,
    minutes: Annotated[float, typer.Option(help="Stop after so long, and compare then.")] = 240,
) -> None:
    """Many ticks with random faults, compared with one full refresh at the end."""
    os.environ.setdefault("ANALYTICS_HASH_KEY", "a key for the soak")
    soak, log = Soak(World(root / "storage"), seed), root / "ticks.jsonl"
    root.mkdir(parents=True, exist_ok=True)
    known = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    found = [Figures(**json.loads(line)) for line in known]
    end = time.monotonic() + 60 * minutes
    while len(found) < ticks and time.monotonic() < end:
        figures = soak.tick(len(found) + 1)
        found.append(figures)
        with log.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(asdict(figures)) + "\n")
        print(f"{figures.tick}/{ticks} {figures.what}: {figures.seconds} s, {figures.loads} loads,", end=" ")
        print(f"{figures.lake_files} lake files, warehouse {figures.warehouse_mib} MiB", flush=True)
    shutil.rmtree(root / "fresh", ignore_errors=True)
    check(soak.world, World(root / "fresh"))
    print(f"{len(found)} of {ticks} ticks, then the marts of a full refresh in a fresh root: the same")
    print(told(found))


@app.command()
def tiny_loads(
    root: Annotated[Path, typer.Option(help="A new folder.")],
    loads: Annotated[int, typer.Option(help="How many loads of a few lines.")] = 3000,
    seed: Annotated[int, typer.Option(help="The same seed draws the same events.")] = 1,
) -> None:
    """Many tiny loads by ingest alone, then ten ticks."""
    os.environ.setdefault("ANALYTICS_HASH_KEY", "a key for the soak")
    soak = Soak(World(root / "storage"), seed, most=10)
    seconds: list[float] = []
    for number in range(1, loads + 1):
        soak.world.land(soak.events(number, 5), f"{number:05d}.jsonl")
        began = time.monotonic()
        ingest(soak.world.storage)
        seconds.append(time.monotonic() - began)
        if number % 100 == 0:
            spent = statistics.median(seconds[-100:])
            print(f"{number} loads: {spent:.3f} s a load, {lake_files(soak.world)} files in the lake", flush=True)
    for number in range(loads + 1, loads + 11):
        began = time.monotonic()
        soak.world.land(soak.events(number, 50), f"{number:05d}.jsonl")
        assert soak.world.run().problems == []
        print(
            f"tick {number - loads}: {time.monotonic() - began:.1f} s, {lake_files(soak.world)} files in the lake",
            flush=True,
        )


if __name__ == "__main__":
    app()
