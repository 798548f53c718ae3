"""The real daemon on a scratch root: what a quiet tick costs, and one with new events, up to the publication."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from dagster import DagsterInstance, DagsterRunStatus, RunRecord
from dagster._core.scheduler.instigation import InstigatorTick, TickStatus

from agent_analytics.errors import AnalyticsError
from agent_analytics.storage import PROJECT_ROOT, Storage
from benchmarks.measure import Cost, cpu_seconds, resident_bytes

PORT = 3977
SCHEDULE = "incremental"
#: The schedule's turn comes each minute, so that a benchmark doesn't wait long; nothing else starts runs.
SETTINGS = {
    "ANALYTICS_TICK_CRON": "* * * * *",
    "ANALYTICS_DAILY_CRON": "0 0 29 2 *",
    "ANALYTICS_ALERTS_CRON": "0 0 29 2 *",
    "ANALYTICS_SENSOR": "off",
}
ENOUGH = 300.0

Found = TypeVar("Found")


@dataclass(frozen=True)
class Tick:
    """One tick: its cost from the moment that the clock struck, and where the seconds went."""

    cost: Cost
    parts: dict[str, float]


class Daemon:
    """`make dagster` on a storage root, and its records."""

    def __init__(self, storage: Storage, process: subprocess.Popen[bytes], instance: DagsterInstance) -> None:
        self.storage, self.process, self.instance = storage, process, instance
        self.seen = 0.0

    def quiet(self) -> Tick:
        """The next tick, in which nothing is new. Raises AnalyticsError if it starts a run, or writes anything."""
        # The first one may find Dagster still loading the project, which parses it.
        self._next(lambda found: found.status is TickStatus.SKIPPED)
        before, cpu = _files(self.storage.root), cpu_seconds(self.process.pid)
        tick = self._next(lambda found: found.status is not TickStatus.STARTED)
        if tick.status is not TickStatus.SKIPPED:
            raise AnalyticsError(f"benchmark: a quiet tick was not skipped but {tick.status.value}")
        written = sorted({path for path, _ in _files(self.storage.root).items() ^ before.items()})
        if written:
            raise AnalyticsError(f"benchmark: a quiet tick wrote {written[0]} (of {len(written)} files)")
        ended = tick.end_timestamp or time.time()
        cost = Cost(ended - tick.timestamp, cpu_seconds(self.process.pid) - cpu, resident_bytes(self.process.pid))
        return Tick(cost, {})

    def busy(self, land: Callable[[], None]) -> Tick:
        """Land, and the next tick's run up to its publication. Raises AnalyticsError if the run fails."""
        self._next(lambda found: found.status is TickStatus.SKIPPED)
        land()
        cpu = cpu_seconds(self.process.pid)
        tick = self._next(lambda found: bool(found.run_ids))
        record = self._finished(tick.run_ids[0])
        published = os.lstat(self.storage.published).st_ctime
        cost = Cost(published - tick.timestamp, cpu_seconds(self.process.pid) - cpu, resident_bytes(self.process.pid))
        return Tick(cost, self._parts(tick, record, published))

    def _parts(self, tick: InstigatorTick, record: RunRecord, published: float) -> dict[str, float]:
        asked = record.create_timestamp.timestamp()
        steps = {step.step_key: step for step in self.instance.get_run_step_stats(record.dagster_run.run_id)}
        begins = {name: step.start_time or 0.0 for name, step in steps.items()}
        launched = next(
            event.timestamp
            for event in self.instance.all_logs(record.dagster_run.run_id)
            if event.dagster_event and event.dagster_event.event_type_value == "PIPELINE_STARTING"
        )
        return {
            "the schedule's turn and its look": asked - tick.timestamp,
            "queue": launched - asked,
            "process, definitions": begins["ingest"] - launched,
            "ingest": begins["build"] - begins["ingest"],
            "build": begins["gate"] - begins["build"],
            "gate": begins["publish"] - begins["gate"],
            "publish": published - begins["publish"],
            "total": published - tick.timestamp,
        }

    def _next(self, fits: Callable[[InstigatorTick], bool]) -> InstigatorTick:
        """The next tick of the schedule after the last one that was looked at."""

        def look() -> InstigatorTick | None:
            for state in self.instance.all_instigator_state():
                if state.origin.instigator_name == SCHEDULE:
                    ticks = self.instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=10)
                    new = [tick for tick in ticks if tick.timestamp > self.seen and fits(tick)]
                    return min(new, key=lambda tick: tick.timestamp, default=None)
            return None

        found = self._wait(look, "a tick of the schedule")
        self.seen = found.timestamp
        return found

    def _finished(self, run_id: str) -> RunRecord:
        def look() -> RunRecord | None:
            record = self.instance.get_run_record_by_id(run_id)
            return record if record and record.dagster_run.is_finished else None

        record = self._wait(look, "the run's end")
        if record.dagster_run.status is not DagsterRunStatus.SUCCESS:
            raise AnalyticsError(f"benchmark: run {run_id} ended as {record.dagster_run.status.value}")
        return record

    def _wait(self, look: Callable[[], Found | None], what: str) -> Found:
        until = time.monotonic() + ENOUGH
        while time.monotonic() < until:
            found = look()
            if found is not None:
                return found
            if self.process.poll() is not None:
                raise AnalyticsError(f"benchmark: the daemon ended with {self.process.returncode}")
            time.sleep(0.2)
        raise AnalyticsError(f"benchmark: {what} did not come in {ENOUGH:.0f} s")


@contextmanager
def daemon(storage: Storage, environment: Mapping[str, str]) -> Iterator[Daemon]:
    """`python -m orchestration` on the storage root, ended as by Ctrl-C; Dagster's own files lie beside the root."""
    home = storage.root.parent / "dagster"
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "orchestration", "--port", str(PORT)],
            cwd=PROJECT_ROOT,
            env={**os.environ, **environment, **SETTINGS, "DAGSTER_HOME": str(home)},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            while not (home / "dagster.yaml").exists():
                if process.poll() is not None:
                    said.seek(0)
                    raise AnalyticsError(f"benchmark: {said.read().decode(errors='replace').strip()[-500:]}")
                time.sleep(0.1)
            with DagsterInstance.from_config(str(home)) as instance:
                yield Daemon(storage, process, instance)
        finally:
            os.killpg(process.pid, signal.SIGINT)
            try:
                process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _files(root: Path) -> dict[str, int]:
    return {str(path): path.lstat().st_mtime_ns for path in root.rglob("*")}
