"""The main job: ingest, build, gate and publish as one run of one writer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from agent_analytics import dbt_worker, landing, transform
from agent_analytics.gate import GateResult, gate, import_great_expectations
from agent_analytics.ingest import IngestReport, ingest
from agent_analytics.ledger import Ledger
from agent_analytics.locking import writer_lock
from agent_analytics.operations.runs import Run
from agent_analytics.publish import Publication, publish
from agent_analytics.storage import Storage
from agent_analytics.transform import BuildReport

Progress = Callable[[str], None]


@dataclass(frozen=True)
class RunReport:
    """What one run did, step by step, and how long each took (seconds). built_anew: whether `build` is of this run, not
    of the one before because nothing was new."""

    ingest: IngestReport
    build: BuildReport
    gates: dict[str, GateResult]
    publication: Publication
    seconds: dict[str, float] = field(default_factory=dict)
    unrecorded: str | None = None
    built_anew: bool = True

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
        lines += [self.unrecorded] if self.unrecorded else []
        return lines


def run(
    storage: Storage,
    full_refresh: bool = False,
    progress: Progress | None = None,
    start: str | None = None,
    end: str | None = None,
) -> RunReport:
    """Bring what is published up to what has landed.

    A run in which nothing is new starts neither dbt nor Great Expectations and writes nothing. start and end recompute
    that range besides, as for `build`. `progress` is told what is being done. Raises AnalyticsError when a step could
    not be done at all; what was done stays.
    """
    with writer_lock(storage, "agent-analytics run"):
        record = Run(storage, "run")
        if full_refresh or start or _something_landed(storage):
            record.begin()
            dbt_worker.worker()  # it imports dbt while the files are read
        what = {"full_refresh": full_refresh, "start": start, "end": end}
        steps = _Steps(storage, record, progress or (lambda message: None), what)
        try:
            done = steps.run()
        except Exception as error:
            record.failed(steps.step, error)
            record.finish()
            raise
        except BaseException:
            record.finish(aborted=f"interrupted during {steps.step}")
            raise
        record.finish()
        return replace(done, unrecorded=record.problem)


@dataclass
class _Steps:
    """The steps of one run, what is asked of the build, and which step the run is at."""

    storage: Storage
    record: Run
    tell: Progress
    what: dict[str, Any]
    step: str = "ingest"
    seconds: dict[str, float] = field(default_factory=dict)

    def run(self) -> RunReport:
        storage, tell, record = self.storage, self.tell, self.record
        with self._timed("ingest"):
            tell("ingest: reading landing/")
            loaded = ingest(storage, progress=lambda message, fraction: tell(f"ingest: {message}"))
            record.ingested(loaded)
        with self._timed("build"):
            tell("build: looking for what is new")
            before = transform.read_last_build(storage)
            built = transform.build(
                storage,
                **self.what,
                progress=lambda node, status: tell(f"build: {node}"),
                meanwhile=self._before_dbt,
            )
            is_new = before is None or before.build_id != built.build_id
            record.built(built, is_new=is_new)
        with self._timed("gate"):
            tell("gate: checking the candidate marts")
            gates = gate(storage, progress=lambda message: tell(f"gate: {message}"))
            record.gated(gates)
        with self._timed("publish"):
            tell("publish: writing what changed")
            record.save()
            publication = publish(storage, run_id=record.run_id, progress=lambda mart: tell(f"publish: {mart}"))
            record.published(publication)
        return RunReport(loaded, built, gates, publication, self.seconds, built_anew=is_new)

    def _before_dbt(self) -> None:
        self.record.begin()
        _import_in_background()

    @contextmanager
    def _timed(self, step: str) -> Iterator[None]:
        self.step = step
        began = time.perf_counter()
        yield
        self.seconds[step] = round(time.perf_counter() - began, 3)


def _something_landed(storage: Storage) -> bool:
    known = Ledger(storage).known_files()
    return any(name not in known for name in landing.landed_files(storage))


def _import_in_background() -> None:
    """Great Expectations takes seconds to import: they pass while dbt works in its own process."""
    threading.Thread(target=import_great_expectations, daemon=True).start()
