"""The changes of the operations database's tables, applied by Alembic. One file of versions/ each, never edited."""

from __future__ import annotations

import logging
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from agent_analytics.errors import AnalyticsError

# What was there before migrations were: the table `audit`.
FIRST = "0001"


def config(connection: sa.Connection | None = None) -> Config:
    """Alembic's configuration; there is no alembic.ini."""
    found = Config(attributes={"connection": connection})
    found.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    return found


def upgrade(connection: sa.Connection, version: str | None) -> None:
    """Bring the tables from `version` (None: no version is known) to the newest, in the connection's transaction.

    Tables made before there were migrations are taken over. Raises AnalyticsError when the database is newer.
    """
    logging.getLogger("alembic").setLevel(logging.WARNING)
    settings = config(connection)
    script = ScriptDirectory.from_config(settings)
    if version is not None and version not in {known.revision for known in script.walk_revisions()}:
        raise AnalyticsError(
            f"the operations database is at version {version}, this program knows {script.get_current_head()}: "
            "upgrade agent-analytics"
        )
    if version is None and sa.inspect(connection).has_table("audit"):
        command.stamp(settings, FIRST)
    command.upgrade(settings, "head")
