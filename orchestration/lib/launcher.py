"""Starts the runs that the daemon takes from the queue, in a process that is kept warm between them.

Dagster starts a new process for each run, which spends seconds on importing Dagster, dbt and Great Expectations and on
parsing the dbt project. Here a process that has done a run waits for the next one (`run_worker`).
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from dagster import DagsterRun, DagsterRunStatus
from dagster._core.launcher.base import CheckRunHealthResult, LaunchRunContext, RunLauncher, WorkerStatus
from dagster._core.storage.tags import HIDDEN_TAG_PREFIX
from dagster._grpc.types import ExecuteRunArgs
from dagster._serdes import ConfigurableClass, serialize_value
from dagster._serdes.config_class import ConfigurableClassData

from agent_analytics import transform
from agent_analytics.storage import PROJECT_ROOT
from orchestration.lib.files import newest_change
from orchestration.lib.run_worker import IDLE

PID, HOST = f"{HIDDEN_TAG_PREFIX}agent_analytics/pid", f"{HIDDEN_TAG_PREFIX}agent_analytics/host"
# Which of the processes that have had this number, on this host.
STARTED = f"{HIDDEN_TAG_PREFIX}agent_analytics/process_started"
CODE = ("agent_analytics", "expectations", "orchestration", *transform.PROJECT_FILES)


class Worker:
    """The daemon's end of one `run_worker`."""

    def __init__(self) -> None:
        # Whether it has done a run.
        self.warm = False
        self.code = newest_change(PROJECT_ROOT, CODE)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "orchestration.lib.run_worker"],
            cwd=PROJECT_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # Ctrl-C is for the daemon, whose end ends this process too.
            start_new_session=True,
        )

    def start(self, request: str) -> None:
        assert self.process.stdin
        # That it has ended is found by wait().
        with suppress(BrokenPipeError):
            self.process.stdin.write(request + "\n")
            self.process.stdin.flush()

    def wait(self) -> bool:
        """Until its run has ended; whether it can do another one."""
        assert self.process.stdout
        idle = self.process.stdout.readline().strip() == IDLE
        self.warm = self.warm or idle
        return idle

    def stop(self) -> None:
        assert self.process.stdin and self.process.stdout
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


class WarmRunLauncher(RunLauncher[Any], ConfigurableClass):
    """One run, one process; one process at a time waits for the next run."""

    def __init__(self, inst_data: ConfigurableClassData | None = None) -> None:
        self._inst_data = inst_data
        self._lock = threading.Lock()
        self._idle: Worker | None = None
        super().__init__()  # type: ignore[no-untyped-call]

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        return self._inst_data

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]) -> Self:
        return cls(inst_data)

    def launch_run(self, context: LaunchRunContext) -> None:
        self._start(context.dagster_run, self._taken() or Worker())

    def _start(self, run: DagsterRun, worker: Worker) -> None:
        pid = worker.process.pid
        tags = {PID: str(pid), HOST: socket.gethostname(), STARTED: _started(pid)}
        self._instance.add_run_tags(run.run_id, tags)
        origin = run.job_code_origin
        assert origin, "a run from the queue has an origin"
        worker.start(serialize_value(ExecuteRunArgs(origin, run.run_id, self._instance.get_ref())))
        threading.Thread(target=self._wait, args=(worker, run.run_id), daemon=True).start()

    def terminate(self, run_id: str) -> bool:
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished or not self._is_alive(run):
            return False
        self._instance.report_run_canceling(run)
        os.kill(int(run.tags[PID]), signal.SIGINT)
        return True

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        if self._is_alive(run):
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.FAILED, "its process ended without a word")

    def dispose(self) -> None:
        worker = self._taken()
        if worker:
            worker.stop()

    def _taken(self) -> Worker | None:
        """The process that waits, if it would run the code as it is now."""
        with self._lock:
            worker, self._idle = self._idle, None
        if worker and (worker.process.poll() is not None or worker.code != newest_change(PROJECT_ROOT, CODE)):
            worker.stop()
            return None
        return worker

    def _wait(self, worker: Worker, run_id: str) -> None:
        if worker.wait():
            with self._lock:
                # The one that has just run is the warmer one.
                before, self._idle = self._idle, worker
            if before:
                before.stop()
            return
        worker.stop()
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return
        if worker.warm and run.status is DagsterRunStatus.STARTING:
            # It ended while it waited, and did nothing of this run.
            self._start(run, Worker())
        else:
            self._instance.report_run_failed(run, f"its process ended with status {worker.process.returncode}")

    def _is_alive(self, run: DagsterRun) -> bool:
        if PID not in run.tags or run.tags.get(HOST) != socket.gethostname():
            return False
        pid, started = int(run.tags[PID]), run.tags.get(STARTED)
        # What can't be told now isn't held against it.
        return _alive(pid) and (not started or _started(pid) in ("", started))


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, PermissionError):
        # What may not be signalled is another user's, hence no process of ours.
        return False
    return True


def _started(pid: int) -> str:
    """In which boot a process started, and when in it; empty where there is no /proc, or no such process."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    # The second field is its name in parentheses, which may hold anything; the 22nd is when it started.
    return f"{boot} {fields.rpartition(')')[2].split()[22 - 3]}"
