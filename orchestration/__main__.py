"""`python -m orchestration`: Dagster's UI and daemon on this project, at http://127.0.0.1:3000 by default."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from agent_analytics.errors import AnalyticsError
from agent_analytics.storage import PROJECT_ROOT, Storage
from orchestration.lib.project import prepared_manifest


def prepared_home(storage: Storage) -> Path:
    """DAGSTER_HOME, by default <storage>/dagster, with this project's dagster.yaml in it."""
    home = Path(os.environ.get("DAGSTER_HOME") or storage.root / "dagster").resolve()
    home.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(Path(__file__).with_name("dagster.yaml"), home / "dagster.yaml")
    return home


def main(arguments: list[str]) -> None:
    """Become `dg dev`; `arguments` are its own (`--port`, `--host`)."""
    storage = Storage.from_env()
    try:
        prepared_manifest()
    except AnalyticsError as error:
        sys.exit(f"error: {error}")
    os.environ |= {"DAGSTER_HOME": str(prepared_home(storage)), "ANALYTICS_STORAGE": str(storage.root)}
    os.chdir(PROJECT_ROOT)
    dg = Path(sys.executable).with_name("dg")
    os.execv(dg, [str(dg), "dev", *arguments])


if __name__ == "__main__":
    main(sys.argv[1:])
