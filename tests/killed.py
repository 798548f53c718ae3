"""Processes that end with SIGKILL at a durable write: forked from one that has imported the project, so that each takes
milliseconds to start and not seconds."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["pytest", "agent_analytics.postgres", "agent_analytics.privacy.erase"])


def killed_at(number: int | None, log: Path, function: Callable[..., Any], *arguments: Any) -> int:
    """The exit status of a process that calls the function: -9, unless it ended before its `number`-th durable write.

    The names of the writes are in `log`, the last of them that at which it was killed.
    """
    environment = {**os.environ, "ANALYTICS_KILL_LOG": str(log)}
    if number is not None:
        environment["ANALYTICS_KILL_AT"] = str(number)
    process = PROCESSES.Process(target=_run, args=(environment, function, arguments))
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def _run(environment: dict[str, str], function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    function(*arguments)
