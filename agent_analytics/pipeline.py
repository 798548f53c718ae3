"""The main job: ingest, build, gate and publish as one run of one writer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from agent_analytics import dbt_worker, landing, transform
from agent_analytics.gate import GateResult, gate, import_great_expectations
from agent_analytics.ingest import IngestReport, ingest
from agent_analytics.ledger import Ledger
from agent_analytics.locking import writer_lock
from agent_analytics.publish import Publication, publish
from agent_analytics.storage import Storage
from agent_analytics.transform import BuildReport

Progress = Callable[[str], None]


@dataclass(frozen=True)
class RunReport:
    """What one run did, step by step, and how long each took (seconds)."""

    ingest: IngestReport
    build: BuildReport
    gates: dict[str, GateResult]
    publication: Publication
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def problems(self) -> list[str]:
        """One line for all that did not happen as asked; empty when everything did."""
        lines = [
            f"landing/{name}: its content changed after it was loaded; land it under a new name"
            for name in self.ingest.refused
        ]
        lines += [f"landing/{name}: {why}" for name, why in self.ingest.failed.items()]
        lines += self.build.failures
        lines += [f"{state.name}: {state.status}: {state.why}" for state in self.publication.failed]
        return lines


def run(storage: Storage, full_refresh: bool = False, progress: Progress | None = None) -> RunReport:
    """Bring what is published up to what has landed.

    A run in which nothing is new starts neither dbt nor Great Expectations and writes nothing. `progress` is told what
    is being done. Raises AnalyticsError when a step could not be done at all; what was done stays.
    """
    tell = progress or (lambda message: None)
    seconds: dict[str, float] = {}
    with writer_lock(storage, "agent-analytics run"):
        if full_refresh or _something_landed(storage):
            dbt_worker.worker()  # it imports dbt while the files are read
        with _timed(seconds, "ingest"):
            tell("ingest: reading landing/")
            loaded = ingest(storage, progress=lambda message, fraction: tell(f"ingest: {message}"))
        with _timed(seconds, "build"):
            tell("build: looking for what is new")
            built = transform.build(
                storage,
                full_refresh=full_refresh,
                progress=lambda node, status: tell(f"build: {node}"),
                meanwhile=_import_in_background,
            )
        with _timed(seconds, "gate"):
            tell("gate: checking the candidate marts")
            gates = gate(storage, progress=lambda message: tell(f"gate: {message}"))
        with _timed(seconds, "publish"):
            tell("publish: writing what changed")
            publication = publish(storage, progress=lambda mart: tell(f"publish: {mart}"))
    return RunReport(loaded, built, gates, publication, seconds)


def _something_landed(storage: Storage) -> bool:
    known = Ledger(storage).known_files()
    return any(name not in known for name in landing.landed_files(storage))


def _import_in_background() -> None:
    """Great Expectations takes seconds to import: they pass while dbt works in its own process."""
    threading.Thread(target=import_great_expectations, daemon=True).start()


class _timed:
    def __init__(self, seconds: dict[str, float], step: str) -> None:
        self.seconds, self.step = seconds, step

    def __enter__(self) -> None:
        self.began = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.seconds[self.step] = round(time.perf_counter() - self.began, 3)
