"""Dagster's instance: where its files are, and what it is told (dagster.yaml)."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path

import psycopg

from agent_analytics import durable
from agent_analytics.errors import AnalyticsError
from agent_analytics.storage import Storage
from orchestration.lib.settings import Settings

BASE = Path(__file__).parents[1] / "dagster.yaml"
POSTGRES = "DAGSTER_POSTGRES_URL"

WARM_RUNS = """
# A process that has done a run waits for the next one.
run_launcher:
  module: orchestration.lib.launcher
  class: WarmRunLauncher
"""

IN_SQLITE = """
# Runs, events and schedules are kept in SQLite, where Dagster would keep them.
storage:
  custom:
    module: orchestration.lib.run_storage
    class: KeptSqliteStorage
    config:
      base_dir: %s
"""

IN_POSTGRES = f"""
# Runs, events and schedules are kept in PostgreSQL.
storage:
  postgres:
    postgres_url: {{env: {POSTGRES}}}
"""


def prepared(storage: Storage) -> dict[str, str]:
    """What Dagster's processes must find in the environment, with dagster.yaml written where they look for it.

    DAGSTER_HOME is <storage>/dagster by default. Raises AnalyticsError when the PostgreSQL asked for is out of reach.
    """
    home = Path(os.environ.get("DAGSTER_HOME") or storage.root / "dagster").resolve()
    text = BASE.read_text(encoding="utf-8")
    found = {"DAGSTER_HOME": str(home), "ANALYTICS_STORAGE": str(storage.root), "DAGSTER_DISABLE_TELEMETRY": "yes"}
    if Settings.from_env().warm_runs:
        text += WARM_RUNS
    if url := os.environ.get(POSTGRES):
        found[POSTGRES] = _reached(url)
        text += IN_POSTGRES
    else:
        text += IN_SQLITE % json.dumps(str(home))
    home.mkdir(parents=True, exist_ok=True)
    durable.write_text(home / "dagster.yaml", text)
    return found


def _reached(url: str) -> str:
    """The address as Dagster takes it."""
    scheme, separator, rest = url.partition("://")
    if scheme not in ("postgres", "postgresql") or not separator:
        raise AnalyticsError(f"{POSTGRES}: not an address such as postgresql://user:password@host:5432/dagster")
    address = f"postgresql://{rest}"
    try:
        psycopg.connect(address, connect_timeout=10).close()
    except psycopg.Error as error:
        where = rest.rpartition("@")[2]
        raise AnalyticsError(f"{POSTGRES}: {where} can't be reached: {str(error).splitlines()[-1].strip()}") from error
    return address


def hold(home: Path) -> int:
    """Keep other daemons off the instance until this process, and what it becomes, ends: each would start every run.

    Returns what it is held by, a file descriptor. Raises AnalyticsError if another has it.
    """
    descriptor = os.open(home / "running.lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise AnalyticsError(
            f"Dagster is running on {home} already: stop it first, or name another DAGSTER_HOME"
        ) from None
    os.set_inheritable(descriptor, True)
    return descriptor
