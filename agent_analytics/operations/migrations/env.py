"""Run by Alembic: applies migrations over the connection that it is given, in that connection's transaction."""

from __future__ import annotations

from alembic import context

from agent_analytics.operations.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
