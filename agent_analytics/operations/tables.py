"""The tables of the operations database, as the newest migration leaves them. Times are UTC, without a zone."""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData()

audit = sa.Table(
    "audit",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("at", sa.DateTime, nullable=False),
    sa.Column("actor", sa.String(200), nullable=False),
    sa.Column("action", sa.String(100), nullable=False, index=True),
    sa.Column("subject", sa.String(500), nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("detail", sa.JSON),
)

incidents = sa.Table(
    "incidents",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    # What it is about. threshold_id is the threshold's, or `pipeline:<step>`.
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("threshold_id", sa.Text, nullable=False),
    sa.Column("scope", sa.String(100), nullable=False),
    sa.Column("scope_ref", sa.Text, nullable=False),
    sa.Column("window_type", sa.String(20), nullable=False),
    sa.Column("family", sa.String(100)),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("severity", sa.String(20), nullable=False),
    sa.Column("status", sa.String(20), nullable=False),
    # What was seen last.
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
    # What became of it.
    sa.Column("opened_at", sa.DateTime, nullable=False),
    sa.Column("updated_at", sa.DateTime, nullable=False),
    sa.Column("acknowledged_at", sa.DateTime),
    sa.Column("acknowledged_by", sa.String(200)),
    sa.Column("note", sa.Text),
    sa.Column("resolved_at", sa.DateTime),
    sa.Column("resolved_by", sa.String(200)),
    sa.Column("resolution", sa.Text),
)
# Two evaluations at once can't open two incidents for one thing.
sa.Index(
    "one_open_incident",
    incidents.c.threshold_id,
    incidents.c.scope,
    incidents.c.scope_ref,
    incidents.c.window_type,
    unique=True,
    sqlite_where=incidents.c.status != "resolved",
    postgresql_where=incidents.c.status != "resolved",
)

incident_events = sa.Table(
    "incident_events",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("incident_id", sa.Integer, sa.ForeignKey("incidents.id"), nullable=False, index=True),
    sa.Column("at", sa.DateTime, nullable=False),
    sa.Column("event", sa.String(30), nullable=False),
    sa.Column("severity", sa.String(20), nullable=False),
    sa.Column("value", sa.Float),
    sa.Column("actor", sa.String(200)),
    sa.Column("note", sa.Text),
    sa.Column("run_id", sa.String(100), index=True),
)

# The publications that were evaluated: each once.
evaluations = sa.Table(
    "evaluations",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("publication", sa.String(100), nullable=False, unique=True),
    sa.Column("at", sa.DateTime, nullable=False),
    sa.Column("as_of", sa.DateTime),
    sa.Column("run_id", sa.String(100)),
    sa.Column("breaches", sa.Integer, nullable=False),
    sa.Column("opened", sa.Integer, nullable=False),
    sa.Column("resolved", sa.Integer, nullable=False),
)

# The outbox, and the record of what was delivered: written with the state change, sent afterwards.
notifications = sa.Table(
    "notifications",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("event_id", sa.Integer, sa.ForeignKey("incident_events.id"), nullable=False),
    sa.Column("incident_id", sa.Integer, sa.ForeignKey("incidents.id"), nullable=False),
    sa.Column("channel", sa.String(20), nullable=False),
    sa.Column("recipient", sa.String(320), nullable=False),
    sa.Column("key", sa.String(100), nullable=False, unique=True),
    sa.Column("payload", sa.JSON, nullable=False),
    sa.Column("status", sa.String(20), nullable=False, index=True),
    sa.Column("created_at", sa.DateTime, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("next_attempt_at", sa.DateTime, nullable=False),
    sa.Column("claimed_until", sa.DateTime),
    sa.Column("delivered_at", sa.DateTime),
    sa.Column("answer", sa.Text),
    sa.UniqueConstraint("event_id", "channel", "recipient", name="one_notification"),
)

runs = sa.Table(
    "runs",
    metadata,
    sa.Column("run_id", sa.String(100), primary_key=True),
    sa.Column("command", sa.String(200), nullable=False),
    sa.Column("host", sa.String(200), nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("started_at", sa.DateTime, nullable=False, index=True),
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
