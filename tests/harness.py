"""Scenarios in a few lines: land these events, run, read the marts."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from agent_analytics import manifest, pipeline, transform
from agent_analytics.ingest import IngestReport, ingest
from agent_analytics.ledger import Ledger
from agent_analytics.storage import Storage
from agent_analytics.transform import BuildReport

Event = dict[str, Any]
Row = dict[str, Any]

NOW = datetime(2026, 6, 1, tzinfo=UTC)
TOLERANCE = 1e-12


@dataclass
class World:
    """One storage root, used as a user would."""

    root: Path
    landed: int = 0

    @property
    def storage(self) -> Storage:
        return Storage(self.root)

    def copy(self, root: Path) -> World:
        """Another storage root that holds the same."""
        return replace(self, root=Path(shutil.copytree(self.root, root, symlinks=True)))

    @property
    def as_of(self) -> datetime:
        """The data clock."""
        return datetime.fromisoformat(str(Ledger(self.storage).as_of()))

    def land(self, events: Iterable[Event], name: str | None = None) -> Path:
        """A file of JSON lines in landing/, after all that landed before."""
        self.landed += 1
        path = self.storage.landing / (name or f"{self.landed:05d}.jsonl")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(event) + "\n" for event in events), encoding="utf-8")
        return path

    def ingest(self, now: datetime = NOW) -> IngestReport:
        return ingest(self.storage, now=now)

    def build(self, **options: Any) -> BuildReport:
        """Build, and insist that every model came out well."""
        report = transform.build(self.storage, **options)
        assert not report.failures, report.failures
        return report

    def tick(self, events: Iterable[Event]) -> BuildReport:
        """Land, ingest and build."""
        self.land(events)
        self.ingest()
        return self.build()

    def run(self, **options: Any) -> pipeline.RunReport:
        return pipeline.run(self.storage, **options)

    def query(self, sql: str) -> list[Row]:
        """Rows of the warehouse."""
        return _rows(self.storage.warehouse, sql)[0]

    def execute(self, sql: str) -> None:
        """Change the warehouse behind the pipeline's back."""
        with duckdb.connect(str(self.storage.warehouse)) as warehouse:
            warehouse.execute(sql)

    def published(self, sql: str) -> list[Row]:
        """Rows of the published snapshot."""
        return _rows(self.storage.published / "analytics.duckdb", sql)[0]

    def marts(self) -> dict[str, list[Row]]:
        """All candidate marts."""
        return _marts(self.storage.warehouse)

    def published_marts(self) -> dict[str, list[Row]]:
        """All published marts."""
        return _marts(self.storage.published / "analytics.duckdb")

    def fingerprints(self) -> dict[str, str]:
        """What stands for the rows of each published mart."""
        return {row["mart"]: row["fingerprint"] for row in self.published("from ops.publications")}


@contextmanager
def held(database: Path) -> Iterator[int]:
    """A DuckDB file that another process has open to write, as a BI tool would; its process id."""
    hold = f"import duckdb, sys; c = duckdb.connect({str(database)!r}); print('ready', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout and holder.stdin
        assert holder.stdout.readline().strip() == b"ready"
        yield holder.pid
        holder.stdin.close()


def marts() -> Sequence[manifest.Model]:
    """Every mart of the project; not what is published along, as the calendar of the semantic layer is."""
    return [mart for family in manifest.read().families.values() if family.gated for mart in family.models]


def incremental_marts() -> list[dict[str, Any]]:
    """The manifest's nodes of the marts that are built incrementally."""
    names = {mart.name for mart in marts()}
    return [
        node
        for node in manifest.model_nodes().values()
        if node["name"] in names and node["config"]["materialized"] == "incremental"
    ]


def _marts(database: Path) -> dict[str, list[Row]]:
    found = marts()
    rows = _rows(database, *(f"from {mart.schema}.{mart.relation}" for mart in found))
    return {mart.name: of_mart for mart, of_mart in zip(found, rows, strict=True)}


def _rows(database: Path, *queries: str) -> list[list[Row]]:
    """What the queries give, over one connection; `published` is a link that moves, hence the resolved path."""
    found = []
    with duckdb.connect(str(database.resolve()), read_only=True) as connection:
        for sql in queries:
            result = connection.execute(sql)
            names = [column[0] for column in result.description or ()]
            found.append([dict(zip(names, row, strict=True)) for row in result.fetchall()])
    return found


def differences(left: Sequence[Row], right: Sequence[Row], ignore: Sequence[str] = ("loaded_through",)) -> list[str]:
    """What differs between two sets of rows in any order; DOUBLEs may differ by 1e-12, relative or absolute."""
    first, second = _ordered(left, ignore), _ordered(right, ignore)
    if len(first) != len(second):
        return [f"{len(first)} rows and {len(second)} rows"]
    found = []
    for one, other in zip(first, second, strict=True):
        columns = [name for name in one if not _same(one[name], other.get(name))]
        if columns or one.keys() != other.keys():
            found.append("; ".join(f"{name}: {one[name]!r} and {other.get(name)!r}" for name in columns) + f" in {one}")
    return found


def _ordered(rows: Sequence[Row], ignore: Sequence[str]) -> list[Row]:
    kept = [{name: value for name, value in row.items() if name not in ignore} for row in rows]
    return sorted(kept, key=lambda row: [(v is None, str(v)) for v in row.values() if not isinstance(v, float)])


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=TOLERANCE) or (math.isnan(one) and math.isnan(other))
    return type(one) is type(other) and bool(one == other)
