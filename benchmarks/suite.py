"""What is measured, in what order, and against which bare SQL."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from agent_analytics.errors import AnalyticsError
from agent_analytics.ledger import Ledger
from agent_analytics.simulate.sources import SOURCES
from agent_analytics.storage import Storage
from benchmarks import bare, histories, measure, patterns
from benchmarks.daemon import daemon
from benchmarks.histories import TICK, History, short
from benchmarks.measure import Cost

PARTS = ("simulate", "ingest", "startup", "build", "gate", "publish", "tick", "quiet")
QUIET_TICK = "quiet tick of the daemon"
COLD_TICK = f"tick of {short(TICK)} through the daemon, the first"
WARM_TICK = f"tick of {short(TICK)} through the daemon"
#: Histories up to this size are cheap enough for medians of three in every part.
SMALL = 1_000_000
#: Bytes on disk per event: landed JSON, lake, warehouse, published, and the bare copies of it.
BYTES_PER_EVENT = 1_100
#: What the commands import: compiled once before anything is measured.
IMPORTS = "import dbt.cli.main, dbt.task.build, dbt.task.show, dbt.adapters.duckdb, agent_analytics.gx_duckdb"


@dataclass(frozen=True)
class Figure:
    """One measured step: what the pipeline paid, and what the bare SQL paid for the same work, if there is any."""

    history: str
    step: str
    events: int
    runs: int
    cost: Cost
    bare: Cost | None = None

    @property
    def ratio(self) -> float | None:
        return self.cost.wall / self.bare.wall if self.bare else None

    @property
    def cpu_ratio(self) -> float | None:
        return self.cost.cpu / self.bare.cpu if self.bare and self.bare.cpu else None

    @property
    def events_per_second(self) -> float | None:
        return self.events / self.cost.wall if self.events else None


@dataclass
class Results:
    """A section's figures, the seconds of one tick and of the models by history, and rows in which the marts differ."""

    figures: list[Figure] = field(default_factory=list)
    ticks: dict[str, dict[str, float]] = field(default_factory=dict)
    build_models: dict[str, dict[str, float]] = field(default_factory=dict)
    tick_models: dict[str, dict[str, float]] = field(default_factory=dict)
    differing: dict[str, int] = field(default_factory=dict)

    def find(self, step: str, history: str = "") -> Figure | None:
        return next((f for f in self.figures if f.step == step and f.history == history), None)


class Suite:
    """Measures under `folder`, of histories the parts of `only`. `tell` hears what is going on, `show` each figure."""

    def __init__(
        self, folder: Path, only: Collection[str], tell: Callable[[str], None], show: Callable[[Figure], None]
    ) -> None:
        self.folder, self.only, self.tell, self.show = folder, only, tell, show
        self.results = Results()

    def compile(self) -> None:
        """Let Python keep compiled modules, in this folder, as it does unless told not to.

        Some machines are told not to, and then each process spends seconds on compiling dbt and Great Expectations.
        """
        self.tell("compiling Python modules")
        os.environ |= _bytecode(self.folder)
        measure.python("-c", IMPORTS)

    def mix(self, measured: Sequence[History], keep: bool = False) -> Results:
        """All parts on histories of a mix. Raises AnalyticsError when a step fails or the disk is too small."""
        self.results = Results()
        for history in measured:
            run = _Run(self, history)
            run.all()
            if not keep:
                shutil.rmtree(run.root)
        return self.results

    def patterns(self, executions: int) -> Results:
        """What one pattern costs to ask for, beside a command that asks for nothing."""
        self.results = Results()
        self.tell("a published version with patterns")
        storage = patterns.published(self.folder / "histories", executions)
        for name, arguments in patterns.steps(executions).items():
            self.tell(name)
            self.add("", name, 0, [patterns.ask(storage, *arguments) for _ in range(5)])
        return self.results

    def daemon(self, history: History) -> Results:
        """Through the real daemon: quiet ticks, the first tick with events, whose process starts cold, and the next."""
        self.results = Results()
        root = self.folder / "runs" / "daemon"
        shutil.rmtree(root, ignore_errors=True)
        storage = Storage(root / "storage")
        self.tell(f"daemon, {history.title}: run")
        _land(storage, histories.landed(self.folder / "histories", history)[0])
        measure.python("-m", "agent_analytics.cli", "run", environment=_environment(storage.root))
        hours = [histories.tick_landed(self.folder / "histories", history.mix, number) for number in range(1, 5)]
        with daemon(storage, _environment(storage.root)) as running:
            self.tell("daemon: quiet ticks")
            self.add(history.name, QUIET_TICK, 0, [running.quiet().cost for _ in range(3)])
            ticks = []
            for number, hour in enumerate(hours, 1):
                self.tell(f"daemon: tick {number}")
                ticks.append(running.busy(partial(_land, storage, hour)))
            self.add(history.name, COLD_TICK, TICK, [ticks[0].cost])
            self.add(history.name, WARM_TICK, TICK, [tick.cost for tick in ticks[1:]])
            middle = sorted(ticks[1:], key=lambda tick: tick.cost.wall)[1]
            self.results.ticks[history.name] = middle.parts
        shutil.rmtree(root)
        return self.results

    def demo(self) -> Results:
        """As the first command after set-up: nothing is parsed, and no module is compiled yet."""
        self.results = Results()
        self.tell("demo")
        root = self.folder / "runs" / "demo"
        shutil.rmtree(root, ignore_errors=True)
        cost = measure.python("-m", "agent_analytics.cli", "demo", environment=_environment(root) | _bytecode(root))
        shutil.rmtree(root)
        self.add("", "demo", 0, [cost])
        return self.results

    def add(self, history: str, step: str, events: int, costs: Sequence[Cost], beside: Sequence[Cost] = ()) -> None:
        """Take the medians as the step's figure."""
        bare_cost = measure.middle(beside) if beside else None
        figure = Figure(history, step, events, len(costs), measure.middle(costs), bare_cost)
        self.results.figures.append(figure)
        self.show(figure)


class _Run:
    """All parts on one history, in a storage root and a dbt target folder of its own."""

    def __init__(self, suite: Suite, history: History) -> None:
        self.suite, self.history, self.mix = suite, history, history.mix
        self.root = suite.folder / "runs" / f"{history.mix.name}-{history.name}"
        self.storage = Storage(self.root / "storage")
        self.database = self.root / "bare.duckdb"
        self.repeats = 3 if history.events <= SMALL else 1

    def all(self) -> None:
        self._check_room()
        self.landed, simulated = histories.landed(self.suite.folder / "histories", self.history)
        if self._wanted("simulate"):
            self._add("simulate", [simulated], events=self.history.events)
        self._ingest()
        if self._wanted("startup"):
            self._startup()
        if self._wanted("build", "gate", "publish", "tick", "quiet"):
            self._build()
        if self._wanted("gate", "publish", "tick", "quiet"):
            self._gate()
            self._publish()
        if self._wanted("tick"):
            self._tick()
        if self._wanted("quiet"):
            self._quiet()

    def _ingest(self) -> None:
        costs, floor = [], []
        for _ in self._times("ingest"):
            shutil.rmtree(self.root, ignore_errors=True)
            self._land(self.landed)
            costs.append(self._command("ingest"))
            if self._wanted("ingest"):
                landed = [str(path) for path in sorted(self.landed.iterdir())]
                target = str(self.root / "bare-lake")
                sources = [name for names, _ in self.mix.shares for name in names]
                floor.append(self._bare({"work": "ingest", "landed": landed, "target": target, "sources": sources}))
        if self._wanted("ingest"):
            self._add("ingest", costs, floor, self.history.events)

    def _startup(self) -> None:
        """A dbt that imports, parses, connects and asks `select 1`: parsing from nothing, and from the last parse."""
        say = ["--quiet", "--log-path", str(self.storage.root / "logs"), "show", "--inline", "select 1 as one"]
        dbt = ["-c", "from dbt.cli.main import cli; cli()", *say, "--target", "prod"]
        self._tell("dbt's start-up")
        self._add("dbt start-up, first", [measure.python(*dbt, environment=_environment(self.storage.root))])
        warm = [measure.python(*dbt, environment=_environment(self.storage.root)) for _ in range(3)]
        self._add("dbt start-up", warm)
        self.storage.warehouse.unlink(missing_ok=True)

    def _build(self) -> None:
        self._compile_models()
        costs, beside = [], []
        for _ in self._times("build"):
            for left in (self.storage.warehouse, self.storage.build_record, self.database):
                left.unlink(missing_ok=True)
            costs.append(self._command("build", "--select", self._selected()))
            beside.append(self._bare_lake("full", keep=False))
        self.suite.results.build_models[self.history.name] = self._models()
        self._compare()
        if self._wanted("build"):
            self._add("full build", costs, beside, self.history.events)
        # What follows is about all of the marts.
        self._command("build")

    def _compile_models(self) -> None:
        """Let dbt parse and compile the project, by a build of no events: that is kept from one build to the next."""
        nothing = self.root / "nothing"
        environment = _environment(self.storage.root) | {"ANALYTICS_STORAGE": str(nothing)}
        self._tell("compiling the models")
        measure.python("-m", "agent_analytics.cli", "build", "--select", self._selected(), environment=environment)
        shutil.rmtree(nothing)

    def _gate(self) -> None:
        costs = []
        for _ in self._times("gate"):
            shutil.rmtree(self.storage.gates, ignore_errors=True)
            costs.append(self._command("gate"))
        if self._wanted("gate"):
            self._add("gate of the full build", costs)

    def _publish(self) -> None:
        costs, beside = [], []
        for _ in self._times("publish"):
            shutil.rmtree(self.storage.versions, ignore_errors=True)
            self.storage.published.unlink(missing_ok=True)
            costs.append(self._command("publish"))
            shutil.rmtree(self.root / "bare-published", ignore_errors=True)
            target = str(self.root / "bare-published")
            beside.append(self._bare({"work": "publish", "database": str(self.database), "target": target}))
        if self._wanted("publish"):
            self._add("publish of the full build", costs, beside)

    def _tick(self) -> None:
        """Three hours after the history, each a run of its own; the bare database keeps up."""
        self._tell("bare database for the ticks")
        self.database.unlink()
        self._bare_lake("full", keep=True)
        costs, beside, parts, models = [], [], [], []
        for number in (1, 2, 3):
            self._tell(f"tick {number}")
            self._land(histories.tick_landed(self.suite.folder / "histories", self.mix, number))
            log = _Log(self.storage.root / "logs" / "dbt.log")
            costs.append(self._command("run"))
            parts.append(_tick_parts(costs[-1], self._build_record(), log.new_lines()))
            models.append(self._models())
            beside.append(self._bare_lake("tick", newest=True))
        self._compare()
        self._add(f"tick of {short(TICK)}", costs, beside, sum(self.mix.events(TICK).values()))
        middle = sorted(range(3), key=lambda index: costs[index].wall)[1]
        self.suite.results.ticks[self.history.name] = parts[middle]
        self.suite.results.tick_models[self.history.name] = models[middle]

    def _quiet(self) -> None:
        self._add("quiet run", [self._command("run") for _ in range(3)])

    # Helpers

    def _wanted(self, *parts: str) -> bool:
        return any(part in self.suite.only for part in parts)

    def _times(self, part: str) -> range:
        """A part that is only needed for a later one runs once."""
        return range(self.repeats if self._wanted(part) else 1)

    def _tell(self, what: str) -> None:
        self.suite.tell(f"{self.mix.name}, {self.history.title}: {what}")

    def _add(self, step: str, costs: Sequence[Cost], beside: Sequence[Cost] = (), events: int = 0) -> None:
        self.suite.add(self.history.name, step, events, costs, beside)

    def _command(self, name: str, *arguments: str) -> Cost:
        self._tell(name)
        environment = _environment(self.storage.root)
        return measure.python("-m", "agent_analytics.cli", name, *arguments, environment=environment)

    def _selected(self) -> str:
        """The mix's marts and all that they are made of, in dbt's selection syntax."""
        marts = bare.family(self.mix.families).marts
        return " ".join(["tag:reference", *(f"+{mart.name},resource_type:model" for mart in marts)])

    def _land(self, folder: Path) -> None:
        _land(self.storage, folder)

    def _bare_lake(self, work: str, newest: bool = False, **more: Any) -> Cost:
        """Bare work over the lake files of all loads, or of the newest."""
        ledger = Ledger(self.storage)
        entries = ledger.standing()[-1:] if newest else ledger.standing()
        lake: dict[str, list[str]] = {
            # schema.parquet has the columns where a source has no event.
            source: [str(self.storage.lake / source / "schema.parquet")]
            + [
                str(self.storage.lake / file.path)
                for entry in entries
                for file in entry.lake
                if file.path and file.source == source
            ]
            for source in SOURCES
        }
        as_of = (ledger.as_of() or "").replace("T", " ").rstrip("Z")
        self._tell(f"bare {work}")
        return self._bare({"work": work, "lake": lake, "database": str(self.database), "as_of": as_of, **more})

    def _bare(self, request: dict[str, Any]) -> Cost:
        return measure.python("-m", "benchmarks.bare", json.dumps(request | {"families": self.mix.families}))

    def _compare(self) -> None:
        """The comparison is honest only if both made the same rows."""
        self._tell("comparing the marts' rows")
        differing = bare.differences(self.storage.warehouse, self.database, self.mix.families)
        before = self.suite.results.differing
        for name, rows in differing.items():
            before[name] = before.get(name, 0) + rows

    def _build_record(self) -> dict[str, Any]:
        return dict(json.loads(self.storage.build_record.read_text(encoding="utf-8")))

    def _models(self) -> dict[str, float]:
        return {name: model["seconds"] for name, model in self._build_record()["models"].items()}

    def _check_room(self) -> None:
        self.suite.folder.mkdir(parents=True, exist_ok=True)
        need, free = self.history.events * BYTES_PER_EVENT, shutil.disk_usage(self.suite.folder).free
        if free < need:
            raise AnalyticsError(
                f"{self.history.title} need about {need >> 30} GiB under {self.suite.folder}, where {free >> 30} are "
                "free: name another folder with --storage, or fewer --events"
            )


def _environment(root: Path) -> dict[str, str]:
    """What keeps a run to itself: its own storage root, and dbt's own target folder in it."""
    return {
        "ANALYTICS_STORAGE": str(root),
        "ANALYTICS_HASH_KEY": "a key for benchmarks",
        "DBT_TARGET_PATH": str(root / "target"),
        "DBT_NO_VERSION_CHECK": "1",
        "DBT_INDIRECT_SELECTION": "empty",
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    }


def _land(storage: Storage, folder: Path) -> None:
    storage.landing.mkdir(parents=True, exist_ok=True)
    for path in sorted(folder.iterdir()):
        os.link(path, storage.landing / path.name)


def _bytecode(folder: Path) -> dict[str, str]:
    return {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(folder / "bytecode")}


class _Log:
    """What dbt's log gains from now on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = path.stat().st_size if path.exists() else 0

    def new_lines(self) -> list[tuple[datetime, str]]:
        """(time of day, text) of each dated line."""
        if not self.path.exists():
            return []
        with self.path.open("rb") as log:
            log.seek(self.size if self.path.stat().st_size >= self.size else 0)
            text = log.read().decode("utf-8", errors="replace")
        found = re.findall(r"^(\d\d:\d\d:\d\d\.\d{6}) \[\w+ *\] \[[^]]*\]: (.*)$", text, flags=re.MULTILINE)
        return [(datetime.strptime(moment, "%H:%M:%S.%f"), said) for moment, said in found]


def _tick_parts(cost: Cost, record: dict[str, Any], log: list[tuple[datetime, str]]) -> dict[str, float]:
    """Where the seconds of `agent-analytics run` went, from what it prints, build.json and dbt's log."""
    steps = {name: float(text) for name, text in re.findall(r"(ingest|build|gate|publish) (\d+\.\d) s", cost.output)}
    began = datetime.fromisoformat(record["started_at"]).astimezone(UTC).replace(tzinfo=None)
    starts = [moment for moment, said in log if said.startswith("Running with dbt")]
    first = next((moment for moment, said in log if " START " in said and " START hook" not in said), None)
    last = next((moment for moment, said in log if said.startswith("Finished running")), None)
    models = sum(model["seconds"] for model in record["models"].values())
    found = {"Python starts and ends": max(0.0, cost.wall - sum(steps.values())), "ingest": steps.get("ingest", 0.0)}
    build = steps.get("build", 0.0)
    if len(starts) >= 2 and first and last:
        clock = datetime.combine(starts[0].date(), began.time())
        waited = (starts[0] - clock).total_seconds() % 86_400
        parts = {
            "build: waiting for dbt's import": waited if waited < 3_600 else 0.0,
            "build: dbt parses": _between(starts[0], starts[-1]),
            "build: dbt prepares, ledger, definitions": _between(starts[-1], first),
            "build: models": models,
            "build: between models": max(0.0, _between(first, last) - models),
        }
        found |= parts | {"build: planning, report": max(0.0, build - sum(parts.values()))}
    else:
        found["build"] = build
    return found | {"gate": steps.get("gate", 0.0), "publish": steps.get("publish", 0.0), "total": cost.wall}


def _between(begin: datetime, end: datetime) -> float:
    # Times of day: a run may pass midnight.
    return (end - begin).total_seconds() % 86_400
