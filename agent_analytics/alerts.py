"""Alerts: the breaches of the newest publication become incidents, and people are told.

A publication is evaluated once, in one transaction that only one process at a time can be in; evaluating it again
changes nothing. Notifications are delivered after that, outside of any transaction.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import sqlalchemy as sa

from agent_analytics import versions
from agent_analytics.errors import AnalyticsError
from agent_analytics.operations import database, notifications
from agent_analytics.operations.incidents import KEY, KPI, Finding, Register
from agent_analytics.operations.tables import evaluations, incidents
from agent_analytics.query import open_published
from agent_analytics.snapshot import literal
from agent_analytics.storage import PROJECT_ROOT, Storage

Json = dict[str, Any]
Key = tuple[str, ...]

THRESHOLDS = PROJECT_ROOT / "seeds" / "kpi_thresholds.csv"
RESOLVE_AFTER = 3

BREACHES = """
    select
        threshold_id, scope, scope_ref, window_type, kpi, value::double as value,
        threshold_value::double as threshold_value, operator, severity, suggested_actions, family, is_stale
    from slo.kpi_breaches
    order by threshold_id, scope, scope_ref, window_type"""


@dataclass(frozen=True)
class Publication:
    """What an evaluation looks at. name: the version and when it was published, so that a root that was made anew
    doesn't pass for another. folder: where that version is; is_stale: whether its KPIs are those of an older one."""

    name: str
    folder: Path
    is_stale: bool
    run_id: str | None
    as_of: datetime | None


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` did. new: whether there was a publication that had not been evaluated; counts: by event."""

    new: bool
    breaches: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    delivered: notifications.Delivered = field(default_factory=notifications.Delivered)


def evaluate(storage: Storage, now: datetime | None = None) -> Evaluation:
    """Evaluate the newest publication if that has not been done, then deliver what is due.

    Safe to run twice at once. Raises AnalyticsError for a wrong setting, and when the operations database is out of
    reach; a receiver that is down is not an error, its notifications wait.
    """
    settings = notifications.Settings.from_env()
    needed = resolve_after(os.environ)
    at = database.naive_utc(now or datetime.now(UTC))
    done = Evaluation(new=False)
    if publication(storage) is not None:
        with database.connect(storage) as connection:
            database.lock(connection, database.EVALUATING)
            # The newest when its turn has come: a newer one may have been evaluated while this waited.
            found = publication(storage)
            if found is not None and not _is_evaluated(connection, found):
                register = Register(connection, at, settings.recipients, found.run_id, found.as_of)
                done = _evaluated(storage, register, found, needed)
    delivered = notifications.dispatch(storage, settings)
    return Evaluation(done.new, done.breaches, done.counts, delivered)


def due(storage: Storage) -> str | None:
    """Why an evaluation would find something to do; None if it would not. Nothing is written."""
    found = publication(storage)
    if found is None and not database.exists(storage):
        return None
    if not database.exists(storage):
        return f"version {found.name.partition(' ')[0]} is new" if found else None
    settings = notifications.Settings.from_env()
    channels = [recipient.channel for recipient in settings.recipients]
    with database.connect(storage) as connection:
        if found is not None and not _is_evaluated(connection, found):
            return f"version {found.name.partition(' ')[0]} is new"
        now = database.naive_utc(datetime.now(UTC))
        return "notifications are due" if channels and notifications.due(connection, channels, now) else None


def publication(storage: Storage) -> Publication | None:
    """The current publication, if it has breaches to look at."""
    folder = versions.current(storage)
    if folder is None:
        return None
    record = versions.read_manifest(folder)
    read = [entry for entry in record.get("marts", ()) if entry["mart"] in ("kpi_breaches", "kpi_values")]
    if len(read) < 2:
        return None
    as_of = record.get("as_of")
    return Publication(
        name=f"{record['version']} of {record['published_at']}",
        folder=folder,
        is_stale=any(entry["is_stale"] for entry in read),
        run_id=record.get("run_id"),
        as_of=database.naive_utc(datetime.fromisoformat(as_of)) if as_of else None,
    )


def resolve_after(environment: Mapping[str, str]) -> int:
    """ANALYTICS_RESOLVE_AFTER: how many evaluations in a row a KPI must be good before its incident is resolved."""
    text = environment.get("ANALYTICS_RESOLVE_AFTER") or str(RESOLVE_AFTER)
    if not text.isdecimal() or int(text) < 1:
        raise AnalyticsError(f"ANALYTICS_RESOLVE_AFTER: {text!r} is not a number of evaluations, 1 or more")
    return int(text)


def _is_evaluated(connection: sa.Connection, found: Publication) -> bool:
    query = sa.select(evaluations.c.id).where(evaluations.c.publication == found.name)
    return connection.execute(query).first() is not None


def _evaluated(storage: Storage, register: Register, found: Publication, needed: int) -> Evaluation:
    known = register.open(incidents.c.kind == KPI)
    with open_published(storage, folder=found.folder) as published:
        breaches = _rows(published, BREACHES)
        values = _values(published, known.values())
    # The rows of a stale mart don't know that it is: they were written before.
    news = [] if found.is_stale else [row for row in breaches if not row["is_stale"]]
    fresh = {finding.key: finding for finding in map(_finding, news)}
    shown = {tuple(row[name] for name in KEY) for row in breaches}
    for key, finding in fresh.items():
        register.observe(finding, known.get(key))
    watched = _watched()
    for key, incident in known.items():
        if key in shown:
            continue
        value = values.get((incident["kpi"], *key[1:]))
        if (reason := watched.get(incident["threshold_id"], "is removed")) is not None:
            register.resolve(incident, f"threshold {incident['threshold_id']} {reason}")
        elif found.is_stale:
            continue
        elif value is None:
            register.resolve(incident, f"{incident['kpi']} is no longer measured here")
        elif not value["is_stale"]:
            register.good(incident, needed, _told(incident["kpi"], value["value"]))
    register.connection.execute(
        evaluations.insert().values(
            publication=found.name,
            at=register.at,
            as_of=found.as_of,
            run_id=found.run_id,
            breaches=len(breaches),
            opened=register.counts.get("opened", 0),
            resolved=register.counts.get("resolved", 0),
        )
    )
    return Evaluation(True, len(breaches), register.counts)


def _finding(row: Json) -> Finding:
    where = " ".join(part for part in (row["scope"], row["scope_ref"]) if part)
    return Finding(
        kind=KPI,
        title=f"{row['kpi']} {row['operator']} {row['threshold_value']:g} ({where}, {row['window_type']})",
        cause=_told(row["kpi"], row["value"]),
        suggested_actions=actions(row["suggested_actions"]),
        **{name: row[name] for name in (*KEY, "severity", "family", "kpi", "value", "operator", "threshold_value")},
    )


def actions(text: str | None) -> list[str]:
    """The actions that a threshold suggests, which its row separates by semicolons."""
    return [part.strip() for part in (text or "").split(";") if part.strip()]


def _told(kpi: str, value: float | None) -> str:
    return f"{kpi} has no events in its window" if value is None else f"{kpi} is {value:.6g}"


def _values(published: duckdb.DuckDBPyConnection, open_incidents: Iterable[Mapping[str, Any]]) -> dict[Key, Json]:
    """The present values that open incidents are about, by kpi, scope, scope_ref and window_type."""
    kpis = sorted({incident["kpi"] for incident in open_incidents})
    if not kpis:
        return {}
    listed = ", ".join(map(literal, kpis))
    query = "select kpi, scope, scope_ref, window_type, value::double as value, is_stale from slo.kpi_values"
    rows = _rows(published, f"{query} where kpi in ({listed})")
    return {(row["kpi"], row["scope"], row["scope_ref"], row["window_type"]): row for row in rows}


def _rows(published: duckdb.DuckDBPyConnection, sql: str) -> list[Json]:
    try:
        cursor = published.execute(sql)
    except duckdb.Error as error:
        raise AnalyticsError(f"the published breaches can't be read: {str(error).splitlines()[0]}") from error
    names = [column[0] for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _watched() -> dict[str, str | None]:
    """Every threshold of the seed; None if it is watched, else why not."""
    with THRESHOLDS.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    return {row["threshold_id"]: None if row["enabled"].lower() == "true" else "is disabled" for row in rows}
