"""Scratch folders under .work, each held by the process that made it; those that nobody holds any more are removed."""

from __future__ import annotations

import fcntl
import shutil
import tempfile
import time
from pathlib import Path
from typing import IO

from agent_analytics.storage import Storage


def folder(storage: Storage, kind: str) -> tuple[Path, IO[str]]:
    """A new folder `<kind>-...` of this process, and what holds it until it is closed. Abandoned ones are removed."""
    storage.work.mkdir(parents=True, exist_ok=True)
    for left in storage.work.glob(f"{kind}-*"):
        if is_abandoned(left):
            shutil.rmtree(left, ignore_errors=True)
    made = Path(tempfile.mkdtemp(prefix=f"{kind}-", dir=storage.work))
    # Under its name only once it is locked: nobody must find it free.
    hold = (made / "holding").open("w")
    fcntl.flock(hold, fcntl.LOCK_EX)
    (made / "holding").rename(made / "held")
    return made, hold


def is_abandoned(folder: Path) -> bool:
    """Whether no process holds the folder any more."""
    try:
        with (folder / "held").open() as hold:
            fcntl.flock(hold, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        # A folder younger than a minute may belong to a process that is about to lock it.
        try:
            return time.time() - folder.stat().st_mtime > 60
        except OSError:
            return False
    except OSError:
        return False
    return True


def is_held(folder: Path) -> bool:
    """Whether a process is known to hold the folder."""
    return (folder / "held").exists() and not is_abandoned(folder)
