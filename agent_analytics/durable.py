"""Writes that survive a crash: whole or not at all, and each a named point at which tests kill the process.

Every durable change of ingest, build and publish goes through `point` just before it takes effect. With
ANALYTICS_KILL_LOG=<file> in the environment the names of the points passed, by this process and by dbt's, are appended
to that file; with ANALYTICS_KILL_AT=<n> too, the process that writes its n-th line is ended there with SIGKILL.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path
from typing import Any

# Threads write side by side: of two points each has its number.
_POINTS = threading.Lock()


def point(name: str) -> None:
    """Mark the moment before a durable write, so that a test can end the process right there."""
    log = os.environ.get("ANALYTICS_KILL_LOG")
    if not log:
        return
    with _POINTS, open(log, "a+", encoding="utf-8") as handle:
        handle.write(f"{name}\n")
        handle.seek(0)
        passed = len(handle.readlines())
        if str(passed) == os.environ.get("ANALYTICS_KILL_AT"):
            os.kill(os.getpid(), signal.SIGKILL)


def sync(path: Path) -> None:
    """Flush a file or a directory entry to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def rename(source: Path, target: Path) -> None:
    """Move a finished file or directory to its final name in one step, durably."""
    if source.is_file():
        sync(source)
    target.parent.mkdir(parents=True, exist_ok=True)
    point(f"rename:{target.name}")
    os.replace(source, target)
    sync(target.parent)


def write_text(target: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    write_bytes(target, text.encode())


def write_bytes(target: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        part.write_bytes(content)
        rename(part, target)
    except OSError:
        # Most likely the disk is full: what is half written shouldn't keep it so.
        part.unlink(missing_ok=True)
        raise


def write_json(target: Path, value: Any) -> None:
    """Write a JSON file whole or not at all."""
    write_text(target, json.dumps(value, indent=2, sort_keys=False, ensure_ascii=False) + "\n")


def symlink(target: str, link: Path) -> None:
    """Point a symlink at `target` (relative to the link's folder), replacing the old link in one step."""
    part = link.with_name(f".{link.name}.{os.getpid()}.part")
    part.unlink(missing_ok=True)
    part.symlink_to(target)
    rename(part, link)
