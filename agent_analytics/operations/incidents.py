"""Incidents: what is wrong, since when, how badly, who looks after it, and how it ended. Nothing is ever deleted.

One incident is open for one thing (threshold and scope member, or step and family); the database refuses a second.
Every change is a row of its history; those that people should hear of become notifications in the same transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from agent_analytics.errors import AnalyticsError
from agent_analytics.operations import notifications
from agent_analytics.operations.tables import incident_events, incidents

Json = dict[str, Any]
Row = Mapping[str, Any]

KPI, PIPELINE = "kpi", "pipeline"
OPEN, ACKNOWLEDGED, RESOLVED = "open", "acknowledged", "resolved"
SEVERITIES = ("info", "warning", "critical")
KEY = ("threshold_id", "scope", "scope_ref", "window_type")


@dataclass(frozen=True)
class Finding:
    """Something that is wrong now: a KPI that breaks a threshold, or a step that failed for a family.

    cause: one line; details: the evidence (models, expectations, rows, examples), whose change is told again.
    """

    kind: str
    threshold_id: str
    scope: str
    scope_ref: str
    window_type: str
    title: str
    severity: str
    family: str | None = None
    kpi: str | None = None
    value: float | None = None
    operator: str | None = None
    threshold_value: float | None = None
    cause: str | None = None
    suggested_actions: Sequence[str] = ()
    details: Sequence[Json] = ()
    next_run_at: datetime | None = None

    @property
    def key(self) -> tuple[str, ...]:
        return tuple(getattr(self, name) for name in KEY)


@dataclass
class Register:
    """One writer's pass over the incidents, inside one transaction: what it saw, when (UTC), in which run.

    as_of is the data clock that findings about KPIs are of.
    """

    connection: sa.Connection
    at: datetime
    channels: Sequence[notifications.Recipient] = ()
    run_id: str | None = None
    as_of: datetime | None = None
    counts: dict[str, int] = field(default_factory=dict)

    def open(self, *conditions: sa.ColumnElement[bool]) -> dict[tuple[str, ...], Row]:
        """The unresolved incidents, by their key."""
        query = sa.select(incidents).where(incidents.c.status != RESOLVED, *conditions).order_by(incidents.c.id)
        rows = [dict(row) for row in self.connection.execute(query).mappings()]
        return {tuple(row[name] for name in KEY): row for row in rows}

    def observe(self, finding: Finding, known: Row | None) -> None:
        """Open an incident for the finding, or bring the one that is known up to it."""
        seen = {
            "title": finding.title,
            "family": finding.family,
            "kpi": finding.kpi,
            "value": finding.value,
            "operator": finding.operator,
            "threshold_value": finding.threshold_value,
            "cause": finding.cause,
            "suggested_actions": list(finding.suggested_actions),
            "details": list(finding.details),
        }
        if known is None:
            self._open(finding, seen)
            return
        raised = _rank(finding.severity) > _rank(known["severity"])
        differs = any(known[name] != value for name, value in seen.items())
        if not (raised or differs or known["good_evaluations"]):
            if self.as_of not in (None, known["as_of"]):
                query = incidents.update().where(incidents.c.id == known["id"])
                self.connection.execute(query.values(as_of=self.as_of))
            return
        severity = finding.severity if raised else known["severity"]
        changes = seen | {"severity": severity, "good_evaluations": 0, "next_run_at": finding.next_run_at}
        event = "severity_raised" if raised else "broke_again" if known["good_evaluations"] else "updated"
        told = raised or (finding.kind == PIPELINE and known["cause"] != finding.cause)
        self._change(known, event, changes | {"as_of": self.as_of or known["as_of"]}, told=told)

    def good(self, known: Row, needed: int, note: str) -> None:
        """Count an evaluation in which nothing was wrong; the `needed`-th in a row resolves the incident.

        It counts if the data clock is another than at the last look: the same numbers are no new evidence.
        """
        if known["as_of"] == self.as_of:
            return
        count = known["good_evaluations"] + 1
        changes = {"good_evaluations": count, "as_of": self.as_of}
        if count >= needed:
            self._resolve(known, note, None, changes)
        else:
            self._change(known, "good", changes, note=f"{count} of {needed}: {note}")

    def resolve(self, known: Row, reason: str, actor: str | None = None) -> None:
        """End an incident at once, for a stated reason."""
        self._resolve(known, reason, actor, {})

    def acknowledge(self, known: Row, note: str, actor: str) -> None:
        """Say that a person looks after it. It stays open; a later note is added to its history."""
        changes = {"status": ACKNOWLEDGED, "acknowledged_at": self.at, "acknowledged_by": actor, "note": note}
        self._change(known, "acknowledged", changes, note=note, actor=actor, told=known["status"] == OPEN)

    def _open(self, finding: Finding, seen: Json) -> None:
        row = {name: getattr(finding, name) for name in ("kind", *KEY, "severity", "next_run_at")} | seen
        row |= {"status": OPEN, "opened_at": self.at, "updated_at": self.at, "as_of": self.as_of}
        query = incidents.insert().values(**row, good_evaluations=0).returning(incidents.c.id)
        self._record(self.connection.execute(query).scalar_one(), "opened", told=True)

    def _resolve(self, known: Row, reason: str, actor: str | None, changes: Json) -> None:
        ended = {"status": RESOLVED, "resolved_at": self.at, "resolved_by": actor, "resolution": reason}
        self._change(known, "resolved", changes | ended, note=reason, actor=actor, told=True)

    def _change(
        self,
        known: Row,
        event: str,
        changes: Json,
        note: str | None = None,
        actor: str | None = None,
        told: bool = False,
    ) -> None:
        query = incidents.update().where(incidents.c.id == known["id"], incidents.c.status != RESOLVED)
        if self.connection.execute(query.values(**changes, updated_at=self.at)).rowcount:
            self._record(known["id"], event, note, actor, told)

    def _record(
        self, incident_id: int, event: str, note: str | None = None, actor: str | None = None, told: bool = False
    ) -> None:
        incident = get(self.connection, incident_id)
        entry = {"at": self.at, "event": event, "note": note, "actor": actor, "run_id": self.run_id}
        entry |= {name: incident[name] for name in ("severity", "value")}
        query = incident_events.insert().values(**entry, incident_id=incident_id).returning(incident_events.c.id)
        event_id = self.connection.execute(query).scalar_one()
        self.counts[event] = self.counts.get(event, 0) + 1
        if told:
            notifications.enqueue(self.connection, self.channels, event_id, entry, incident)


def settle(
    register: Register, threshold_id: str, findings: Iterable[Finding], refs: Sequence[str] | None = None
) -> None:
    """Bring the incidents of one step up to how it ended just now: what it no longer complains of is resolved.

    refs: only these scope members took part; None is all of them.
    """
    conditions = [incidents.c.threshold_id == threshold_id]
    if refs is not None:
        conditions.append(incidents.c.scope_ref.in_(refs))
    known = register.open(*conditions)
    found = {finding.key: finding for finding in findings}
    for key, finding in found.items():
        register.observe(finding, known.get(key))
    for key, row in known.items():
        if key not in found:
            register.resolve(row, f"the next {threshold_id.partition(':')[2]} succeeded")


def get(connection: sa.Connection, incident_id: int) -> Row:
    """One incident; AnalyticsError if there is none of this number."""
    found = connection.execute(sa.select(incidents).where(incidents.c.id == incident_id)).mappings().first()
    if found is None:
        raise AnalyticsError(f"there is no incident {incident_id}: see agent-analytics incidents list --all")
    return dict(found)


def listed(connection: sa.Connection, everything: bool = False) -> list[Json]:
    """The incidents, worst and newest first; `everything` lists resolved ones too."""
    query = sa.select(incidents)
    if not everything:
        query = query.where(incidents.c.status != RESOLVED)
    rows = [dict(row) for row in connection.execute(query).mappings()]
    return sorted(rows, key=lambda row: (row["status"] == RESOLVED, -_rank(row["severity"]), -row["id"]))


def history(connection: sa.Connection, incident_id: int) -> list[Json]:
    """All that happened to an incident, oldest first."""
    query = sa.select(incident_events).where(incident_events.c.incident_id == incident_id)
    return [dict(row) for row in connection.execute(query.order_by(incident_events.c.id)).mappings()]


def _rank(severity: str) -> int:
    return SEVERITIES.index(severity) if severity in SEVERITIES else 0
