"""One command in a process of its own: wall and processor seconds, and the peak memory of it and its children."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from agent_analytics.errors import AnalyticsError
from agent_analytics.storage import PROJECT_ROOT

PAGE = os.sysconf("SC_PAGE_SIZE")
EVERY = 0.05


@dataclass(frozen=True)
class Cost:
    """What a command cost. cpu: user and system seconds of it and its children; peak: resident bytes of all at once.

    Processor seconds tell more than wall seconds where the machine isn't quiet.
    """

    wall: float
    cpu: float
    peak: int
    output: str = ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"output": ""}


def run(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Cost:
    """Run a command to its end in the project's root. Raises AnalyticsError with its last words if it fails."""
    # What was written before is not this command's to wait for.
    os.sync()
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said:
        began = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=PROJECT_ROOT,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
        )
        watch = _Watch(process.pid)
        watch.start()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        watch.stop()
        said.seek(0)
        output = said.read()
    if process.returncode:
        last = " ".join(output.strip().splitlines()[-3:])
        raise AnalyticsError(f"benchmark: {' '.join(command)[:200]} ended with {process.returncode}: {last}")
    # Sampling can miss a short peak of the process itself; the kernel's own figure, in KiB, does not.
    return Cost(wall, usage.ru_utime + usage.ru_stime, max(watch.peak, usage.ru_maxrss * 1024), output)


def python(*arguments: str, environment: Mapping[str, str] | None = None) -> Cost:
    """Run this Python with arguments."""
    return run([sys.executable, *arguments], environment)


def middle(costs: Sequence[Cost]) -> Cost:
    """The medians; the output of the run whose wall time is (next to) the median."""
    ordered = sorted(costs, key=lambda cost: cost.wall)
    return Cost(
        wall=median(cost.wall for cost in costs),
        cpu=median(cost.cpu for cost in costs),
        peak=max(cost.peak for cost in costs),
        output=ordered[(len(ordered) - 1) // 2].output,
    )


class _Watch(threading.Thread):
    """Adds up the resident memory of a process and its descendants, again and again."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.pid, self.peak, self.ended = pid, 0, threading.Event()

    def run(self) -> None:
        while not self.ended.wait(EVERY):
            self.peak = max(self.peak, resident_bytes(self.pid))

    def stop(self) -> None:
        self.ended.set()
        self.join()


def cpu_seconds(pid: int) -> float:
    """User and system seconds of a process and its descendants up to now, those that have ended included."""
    fields = (_read(Path(f"/proc/{each}/stat")).rpartition(")")[2].split() for each in _family(pid))
    return sum(sum(map(int, found[11:15])) for found in fields if found) / os.sysconf("SC_CLK_TCK")


def resident_bytes(pid: int) -> int:
    """The resident memory of a process and its descendants."""
    return sum(_resident(each) for each in _family(pid))


def _family(pid: int) -> list[int]:
    found, waiting = [], [pid]
    while waiting:
        found.append(waiting.pop())
        # A child hangs on the thread that started it.
        for children in Path(f"/proc/{found[-1]}/task").glob("*/children"):
            waiting += [int(child) for child in _read(children).split()]
    return found


def _resident(pid: int) -> int:
    fields = _read(Path(f"/proc/{pid}/statm")).split()
    return int(fields[1]) * PAGE if len(fields) > 1 else 0


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
