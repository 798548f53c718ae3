"""A process that executes runs, one after the other: what it has imported, and its dbt, stay for the next run.

Requests come in as lines on standard input, each what `dagster api execute_run` is given; after a run the answer is
`idle` if it can do another one. It ends when its standard input does, and a run that is under way is then interrupted;
after a run that did not succeed, so that nothing of it is left; and after MOST_RUNS.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
from typing import IO

IDLE = "idle"
MOST_RUNS = 100


def main() -> None:
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    # Dagster handles the signal while it executes a run; nobody needs a stack trace at another time.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    requests: queue.Queue[str] = queue.Queue()
    busy = threading.Event()
    threading.Thread(target=_listen, args=(sys.stdin, requests, busy), daemon=True).start()
    left = MOST_RUNS
    while request := requests.get():
        busy.set()
        succeeded = _execute(request)
        busy.clear()
        left -= 1
        if not succeeded or not left:
            break
        channel.write(IDLE + "\n")


def _listen(stdin: IO[str], requests: queue.Queue[str], busy: threading.Event) -> None:
    for line in stdin:
        requests.put(line)
    requests.put("")
    if busy.is_set():
        os.kill(os.getpid(), signal.SIGINT)


def _execute(request: str) -> bool:
    """Execute a run; whether it succeeded."""
    from dagster import DagsterInstance, DagsterRunStatus
    from dagster._cli.api import execute_run_command
    from dagster._grpc.types import ExecuteRunArgs
    from dagster._serdes import deserialize_value

    arguments = deserialize_value(request, ExecuteRunArgs)
    assert arguments.instance_ref
    execute_run_command.main([request], standalone_mode=False)
    with DagsterInstance.from_ref(arguments.instance_ref) as instance:
        run = instance.get_run_by_id(arguments.run_id)
        return run is not None and run.status is DagsterRunStatus.SUCCESS


if __name__ == "__main__":
    main()
