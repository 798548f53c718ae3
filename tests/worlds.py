"""Worlds that many tests begin with: each is built once, by the first process that asks, and kept in target/worlds/ for
as long as nothing that it is made of changes."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

from harness import World

from agent_analytics.manifest import default_path
from agent_analytics.storage import PROJECT_ROOT

MADE_OF = (
    "agent_analytics",
    "contracts",
    "dbt_project.yml",
    "expectations",
    "macros",
    "models",
    "profiles.yml",
    "requirements.lock",
    "seeds",
    "tests/conftest.py",
    "tests/data",
    "tests/events",
    "tests/harness.py",
    "tests/worlds.py",
)
KEPT = PROJECT_ROOT / "target" / "worlds"
# What dbt has parsed: a process that starts from a world that is built need not parse the project from nothing.
PARSED = ("manifest.json", "partial_parse.msgpack", "manifest.pickle", "templates.marshal")


def shared(name: str, make: Callable[[World], None], copy: Path) -> World:
    """A copy of the world of that name, in the new folder `copy`; dbt's manifest is that world's then.

    `make` is called with an empty world if there is none yet.
    """
    KEPT.mkdir(parents=True, exist_ok=True)
    kept = KEPT / name / made_of()
    with (KEPT / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            shutil.rmtree(kept.parent, ignore_errors=True)
            part = kept.with_name("part")
            make(World(part / "storage"))
            keep_parsed(part / "parsed")
            part.rename(kept)
        shutil.copytree(kept / "parsed", default_path().parent, dirs_exist_ok=True)
        shutil.copytree(kept / "storage", copy, symlinks=True)
    return World(copy, landed=len(list((copy / "landing").glob("[0-9]*.jsonl"))))


def keep_parsed(folder: Path) -> None:
    """Copy what dbt has parsed into a new folder."""
    folder.mkdir()
    for file in map(default_path().with_name, PARSED):
        if file.exists():
            shutil.copyfile(file, folder / file.name)


@cache
def made_of() -> str:
    """A digest of all files that decide what a world holds, and of the Python that makes it."""
    digest = hashlib.sha256(sys.version.encode())
    for path in sorted(_files()):
        digest.update(f"{path.relative_to(PROJECT_ROOT)}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _files() -> Iterator[Path]:
    for name in MADE_OF:
        for path in (PROJECT_ROOT / name).rglob("*") if (PROJECT_ROOT / name).is_dir() else [PROJECT_ROOT / name]:
            if path.is_file() and path.suffix != ".pyc":
                yield path
