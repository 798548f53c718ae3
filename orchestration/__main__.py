"""`python -m orchestration`: Dagster's UI and daemon on this project, at http://127.0.0.1:3000 by default."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from agent_analytics.errors import AnalyticsError
from agent_analytics.operations import notifications
from agent_analytics.storage import PROJECT_ROOT, Storage
from orchestration.lib import home
from orchestration.lib.project import prepared_manifest


def main(arguments: list[str]) -> None:
    """Become `dg dev`; `arguments` are its own (`--port`, `--host`)."""
    try:
        notifications.Settings.from_env()
        prepared_manifest()
        os.environ |= home.prepared(Storage.from_env())
        home.hold(Path(os.environ["DAGSTER_HOME"]))
    except AnalyticsError as error:
        sys.exit(f"error: {error}")
    os.chdir(PROJECT_ROOT)
    dg = Path(sys.executable).with_name("dg")
    os.execv(dg, [str(dg), "dev", *arguments])


if __name__ == "__main__":
    main(sys.argv[1:])
