"""Where everything lives: one storage root, shared by the command line, dbt and Dagster."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from agent_analytics.errors import AnalyticsError

PROJECT_ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Storage:
    """The paths under one storage root (docs/spec/pipeline.md). Nothing is created by naming a path."""

    root: Path

    @classmethod
    def from_env(cls) -> Storage:
        """The root named by ANALYTICS_STORAGE; relative paths and the default `storage/` lie in the project.

        Raises AnalyticsError when it is no folder, or its path can't be part of a pattern in SQL, where dbt's macros
        put it.
        """
        root = (PROJECT_ROOT / os.environ.get("ANALYTICS_STORAGE", "storage")).resolve()
        if bad := [character for character in "'*?[" if character in str(root)]:
            raise AnalyticsError(
                f"ANALYTICS_STORAGE: {root} has {' '.join(bad)} in its path: choose a folder without these characters"
            )
        if root.exists() and not root.is_dir():
            raise AnalyticsError(f"ANALYTICS_STORAGE: {root} is a file: choose a folder")
        return cls(root)

    @property
    def landing(self) -> Path:
        return self.root / "landing"

    @property
    def lake(self) -> Path:
        return self.root / "lake"

    @property
    def loads(self) -> Path:
        """The ledger: one `<load_id>.json` per committed load."""
        return self.lake / "_loads"

    @property
    def archive(self) -> Path:
        """Events older than the hot days, hourly rollups and landed files that aged out (docs/retention.md)."""
        return self.root / "archive"

    @property
    def quarantine(self) -> Path:
        return self.root / "quarantine"

    @property
    def warehouse(self) -> Path:
        """dbt's working database of the target prod."""
        return self.root / "warehouse.duckdb"

    @property
    def versions(self) -> Path:
        """The complete published versions; `published` is a symlink to one of them."""
        return self.root / "versions"

    @property
    def published(self) -> Path:
        return self.root / "published"

    @property
    def gates(self) -> Path:
        """Gate results of the present candidates, one `<family>.json` each."""
        return self.root / "gates"

    @property
    def data_docs(self) -> Path:
        """Great Expectations' Data Docs, static HTML."""
        return self.root / "data_docs"

    @property
    def build_record(self) -> Path:
        """What the last build did, model by model; absent or unfinished means: nothing to publish."""
        return self.root / "build.json"

    @property
    def publish_record(self) -> Path:
        """Which build was published last."""
        return self.root / "publish.json"

    @property
    def operations_db(self) -> Path:
        return self.root / "operations.db"

    @property
    def work(self) -> Path:
        """Scratch space of the running command; its leftovers mean nothing and are removed by the next run."""
        return self.root / ".work"

    @property
    def erasing(self) -> Path:
        """Exists while an erase is going on, or was ended before it was through: then only another may write."""
        return self.root / ".erasing"

    @property
    def lock(self) -> Path:
        return self.root / ".lock"
