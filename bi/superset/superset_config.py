"""Superset on what agent-analytics has published: it reads that version, nothing else, and the next one by itself."""

import os
from pathlib import Path
from typing import Any

from sqlalchemy.engine import URL

HOME = Path(os.environ.get("SUPERSET_HOME", Path.home() / ".superset"))
# Relative to the project, as everywhere.
STORAGE = Path(__file__).parents[2] / os.environ.get("ANALYTICS_STORAGE", "storage")

SECRET_KEY = os.environ["SUPERSET_SECRET_KEY"]
SQLALCHEMY_DATABASE_URI = f"sqlite:///{HOME}/superset.db"

READ_ONLY = {
    "access_mode": "read_only",
    # DuckDB can read any file of the machine in SQL: not for whoever may write SQL in Superset.
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "python_enable_replacements": "false",
}


def DB_CONNECTION_MUTATOR(
    uri: URL, params: dict[str, Any], username: str | None, security_manager: Any, source: Any
) -> tuple[URL, dict[str, Any]]:
    """Open the version that is published now.

    Superset makes an engine, without a pool, for each query. By the name of the symlink DuckDB would give a process
    that still reads the old version that one again; by its resolved path it is another file. A relative path is one
    in the storage root.
    """
    if uri.get_backend_name() == "duckdb":
        uri = uri.set(database=os.path.realpath(STORAGE / (uri.database or "")))
        connect_args = params.setdefault("connect_args", {})
        connect_args["config"] = {**connect_args.get("config", {}), **READ_ONLY}
    return uri, params


# Nobody waits for a number that is cached: a publication shows at the next look.
DATA_CACHE_CONFIG = {"CACHE_TYPE": "NullCache"}
CACHE_CONFIG = {"CACHE_TYPE": "NullCache"}
WTF_CSRF_TIME_LIMIT = None
TALISMAN_ENABLED = False
