"""A copy of the project that a test may edit, with a storage root of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from agent_analytics.storage import PROJECT_ROOT

PARTS = (
    "agent_analytics",
    "contracts",
    "docs",
    "expectations",
    "macros",
    "models",
    "seeds",
    "tests/data",
    "tests/planted",
    "dbt_project.yml",
    "profiles.yml",
)


@dataclass(frozen=True)
class Copy:
    """A copy of the project, with a storage root of its own."""

    root: Path

    @property
    def storage(self) -> Path:
        return self.root / "storage"

    def land(self, name: str, *events: dict[str, Any]) -> None:
        (self.storage / "landing").mkdir(parents=True, exist_ok=True)
        lines = "".join(json.dumps(event) + "\n" for event in events)
        (self.storage / "landing" / name).write_text(lines, encoding="utf-8")

    def call(self, *arguments: str) -> str:
        """What the copy's own command line prints."""
        return self.call_in(self.storage, *arguments)

    def call_in(self, storage: Path, *arguments: str) -> str:
        """The same, on another storage root."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("ANALYTICS_", "DBT_"))}
        environment |= {"PYTHONPATH": str(self.root), "ANALYTICS_HASH_KEY": "a key for tests"}
        environment |= {"ANALYTICS_STORAGE": str(storage)}
        done = subprocess.run(
            [sys.executable, "-m", "agent_analytics.cli", *arguments],
            cwd=self.root,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def published(self, sql: str) -> list[tuple[Any, ...]]:
        snapshot = (self.storage / "published" / "analytics.duckdb").resolve()
        with duckdb.connect(str(snapshot), read_only=True) as connection:
            return connection.execute(sql).fetchall()

    def warehouse(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.storage / "warehouse.duckdb"), read_only=True) as connection:
            return connection.execute(sql).fetchall()

    def gate(self, family: str) -> dict[str, dict[str, Any]]:
        found = json.loads((self.storage / "gates" / f"{family}.json").read_text(encoding="utf-8"))
        return {f"{result['mart']}.{result['expectation']}": result for result in found["results"]}


def copied(root: Path) -> Copy:
    """What the pipeline is made of, copied to `root`."""
    for part in PARTS:
        source, target = PROJECT_ROOT / part, root / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(source, target)
    return Copy(root)
