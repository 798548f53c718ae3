"""One writer at a time: an advisory lock on the storage root that the kernel releases when its holder dies."""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from agent_analytics.errors import AnalyticsError, TransientError
from agent_analytics.storage import Storage

# The command that may write while an erase that was killed waits to be finished.
ERASE = "agent-analytics erase"

# The lock belongs to an open file, so that a second attempt in the same process would shut itself out: `run` holds it
# while it calls ingest, build, gate and publish, each of which takes it too. Keyed by thread: another thread is another
# writer.
_held: dict[tuple[Path, int], int] = {}


@contextmanager
def writer_lock(storage: Storage, what: str) -> Iterator[int]:
    """Hold the storage root's writer lock, as `what` (the command in the user's words).

    Yields the lock's file descriptor: a step that starts another program hands it on (`pass_fds`), so that the lock
    outlives a killed parent for as long as that program still writes. Entering again in the same thread is free.
    Raises TransientError with one line that names the holder when another writer has it.
    """
    key = (storage.lock, threading.get_ident())
    if key in _held:
        yield _held[key]
        return
    storage.root.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(storage.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise TransientError(_refusal(storage, what)) from None
        if storage.erasing.exists() and what != ERASE:
            raise AnalyticsError(f"{what}: an erase did not come to its end: run {ERASE} again, as it was")
        _sign(descriptor, what)
        _held[key] = descriptor
        try:
            yield descriptor
        finally:
            del _held[key]
            os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def holder(storage: Storage) -> dict[str, object] | None:
    """Who holds the lock now: pid, command, since; None if nobody does."""
    try:
        descriptor = os.open(storage.lock, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return _signature(storage)
    else:
        return None
    finally:
        os.close(descriptor)


def _sign(descriptor: int, what: str) -> None:
    signature = {
        "pid": os.getpid(),
        "command": what,
        "since": datetime.now(UTC).replace(microsecond=0).isoformat().replace("+00:00", "Z"),
    }
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(signature).encode(), 0)


def _signature(storage: Storage) -> dict[str, object]:
    # The holder may be between taking the lock and signing it.
    try:
        value = json.loads(storage.lock.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _refusal(storage: Storage, what: str) -> str:
    signature = _signature(storage)
    if not signature:
        who = "another process"
    else:
        who = f"`{signature.get('command')}` (pid {signature.get('pid')}, since {signature.get('since')})"
    return f"{what}: {who} is writing to {storage.root}: wait until it ends, then try again"
