"""Incidents with their history, notifications, evaluations and run records."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the tables of alerts and runs."""
    op.create_table(
        "incidents",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("threshold_id", sa.Text, nullable=False),
        sa.Column("scope", sa.String(100), nullable=False),
        sa.Column("scope_ref", sa.Text, nullable=False),
        sa.Column("window_type", sa.String(20), nullable=False),
        sa.Column("family", sa.String(100)),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("severity", sa.String(20), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("kpi", sa.String(100)),
        sa.Column("value", sa.Float),
        sa.Column("operator", sa.String(10)),
        sa.Column("threshold_value", sa.Float),
        sa.Column("cause", sa.Text),
        sa.Column("suggested_actions", sa.JSON),
        sa.Column("details", sa.JSON),
        sa.Column("next_run_at", sa.DateTime),
        sa.Column("as_of", sa.DateTime),
        sa.Column("good_evaluations", sa.Integer, nullable=False),
        sa.Column("opened_at", sa.DateTime, nullable=False),
        sa.Column("updated_at", sa.DateTime, nullable=False),
        sa.Column("acknowledged_at", sa.DateTime),
        sa.Column("acknowledged_by", sa.String(200)),
        sa.Column("note", sa.Text),
        sa.Column("resolved_at", sa.DateTime),
        sa.Column("resolved_by", sa.String(200)),
        sa.Column("resolution", sa.Text),
    )
    op.create_index(
        "one_open_incident",
        "incidents",
        ["threshold_id", "scope", "scope_ref", "window_type"],
        unique=True,
        sqlite_where=sa.text("status != 'resolved'"),
        postgresql_where=sa.text("status != 'resolved'"),
    )
    op.create_table(
        "incident_events",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("incident_id", sa.Integer, sa.ForeignKey("incidents.id"), nullable=False),
        sa.Column("at", sa.DateTime, nullable=False),
        sa.Column("event", sa.String(30), nullable=False),
        sa.Column("severity", sa.String(20), nullable=False),
        sa.Column("value", sa.Float),
        sa.Column("actor", sa.String(200)),
        sa.Column("note", sa.Text),
        sa.Column("run_id", sa.String(100)),
    )
    op.create_index("ix_incident_events_incident_id", "incident_events", ["incident_id"])
    op.create_index("ix_incident_events_run_id", "incident_events", ["run_id"])
    op.create_table(
        "evaluations",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("publication", sa.String(100), nullable=False, unique=True),
        sa.Column("at", sa.DateTime, nullable=False),
        sa.Column("as_of", sa.DateTime),
        sa.Column("run_id", sa.String(100)),
        sa.Column("breaches", sa.Integer, nullable=False),
        sa.Column("opened", sa.Integer, nullable=False),
        sa.Column("resolved", sa.Integer, nullable=False),
    )
    op.create_table(
        "notifications",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("event_id", sa.Integer, sa.ForeignKey("incident_events.id"), nullable=False),
        sa.Column("incident_id", sa.Integer, sa.ForeignKey("incidents.id"), nullable=False),
        sa.Column("channel", sa.String(20), nullable=False),
        sa.Column("recipient", sa.String(320), nullable=False),
        sa.Column("key", sa.String(100), nullable=False, unique=True),
        sa.Column("payload", sa.JSON, nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_attempt_at", sa.DateTime, nullable=False),
        sa.Column("claimed_until", sa.DateTime),
        sa.Column("delivered_at", sa.DateTime),
        sa.Column("answer", sa.Text),
        sa.UniqueConstraint("event_id", "channel", "recipient", name="one_notification"),
    )
    op.create_index("ix_notifications_status", "notifications", ["status"])
    op.create_table(
        "runs",
        sa.Column("run_id", sa.String(100), primary_key=True),
        sa.Column("command", sa.String(200), nullable=False),
        sa.Column("host", sa.String(200), nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("started_at", sa.DateTime, nullable=False),
        sa.Column("finished_at", sa.DateTime),
        sa.Column("duration_ms", sa.BigInteger),
        sa.Column("events_processed", sa.BigInteger, nullable=False),
        sa.Column("models_built", sa.Integer, nullable=False),
        sa.Column("gates", sa.JSON, nullable=False),
        sa.Column("rows_published", sa.BigInteger, nullable=False),
        sa.Column("version", sa.Integer),
        sa.Column("outcome", sa.String(20), nullable=False),
        sa.Column("causes", sa.JSON, nullable=False),
    )
    op.create_index("ix_runs_started_at", "runs", ["started_at"])
