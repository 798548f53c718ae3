"""Run records: one row for each run that did something, also when it failed or was killed; and what its failures file.

A run tells this record what each step came to. What a step complains of opens an incident, and what it no longer
complains of resolves one. The record never stops a run: if the operations database is out of reach, or nobody can be
told because a setting is wrong, `problem` says so.
"""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from agent_analytics.errors import AnalyticsError
from agent_analytics.storage import Storage

if TYPE_CHECKING:
    import sqlalchemy as sa

    from agent_analytics.gate import GateResult
    from agent_analytics.ingest import IngestReport
    from agent_analytics.operations.incidents import Finding
    from agent_analytics.publish import Publication
    from agent_analytics.transform import BuildReport

Json = dict[str, Any]

RUNNING, SUCCEEDED, FAILED, ABORTED = "running", "succeeded", "failed", "aborted"
DAGSTER = "dagster"
KILLED = "its process ended without a word: it was killed, or the machine went down"


@dataclass
class Run:
    """The record of one run. Only for the holder of the writer lock.

    whole: whether the run is all of ingest, build, gate and publish, so that a run that was killed before is made good.
    Nothing is written before `begin`, nor by `finish` if the run did nothing and complains of nothing new.
    """

    storage: Storage
    command: str
    run_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    events: int = 0
    models_built: int = 0
    gates: dict[str, str] = field(default_factory=dict)
    rows_published: int = 0
    version: int | None = None
    causes: list[str] = field(default_factory=list)
    whole: bool = True
    began: bool = False
    problem: str | None = None
    _untold: str | None = None
    _started_at: datetime = field(default_factory=lambda: _now())
    _complained_of: set[str] = field(default_factory=set)
    _settled: list[tuple[str, list[Finding], Sequence[str] | None]] = field(default_factory=list)

    # What the steps came to

    def begin(self) -> None:
        """The run has something to do: write its row, or go on with it, and find out about runs that were killed."""
        if not self.began:
            self.began = self._safely(self._begin)

    def ingested(self, report: IngestReport) -> None:
        from agent_analytics.operations import failures

        if report.load_id is not None:
            self.begin()
            self.events += report.accepted
            self._settle(failures.QUARANTINE, failures.of_quarantine(report))
        self._settle(failures.INGEST, failures.of_ingest(report))

    def corrected(self, report: IngestReport) -> None:
        """What a replay or a retraction brought in. A replay that left no file with bad lines only settles that."""
        from agent_analytics.operations import failures

        if report.load_id is not None:
            self.begin()
            self.events += report.accepted
            if report.kind == "replay":
                self._settle(failures.QUARANTINE, failures.of_quarantine(report))

    def built(self, report: BuildReport, is_new: bool) -> None:
        """is_new: whether the build is of this run, and not the last one, to which nothing had to be added."""
        from agent_analytics.operations import failures

        if is_new:
            self.begin()
            self.models_built += len(report.built)
        self._settle(failures.BUILD, failures.of_build(report))

    def gated(self, results: Mapping[str, GateResult]) -> None:
        from agent_analytics.operations import failures

        self.gates |= {name: result.status for name, result in results.items()}
        self._settle(failures.GATE, failures.of_gate(results), ["", *results])

    def published(self, publication: Publication) -> None:
        from agent_analytics.operations import failures

        if publication.changed:
            self.begin()
            self.version, self.rows_published = publication.version, publication.rows_written
        if publication.failed:
            self._safely(self._add_what_others_complain_of)
        self._settle(failures.PUBLISH, failures.of_publish(publication, self._complained_of))

    def failed(self, step: str, error: BaseException, told: bool = False) -> None:
        """The step could not be done at all; told: to the person who asked for it, so that it is no incident."""
        from agent_analytics.operations import failures

        self.begin()
        finding = failures.of_error(step, error)
        if told:
            self.causes.append(f"{finding.title}: {finding.cause}")
        else:
            self._settle(f"pipeline:{step}", [finding], [""])

    def mended(self, step: str) -> None:
        """The step could be done: that it couldn't before is over."""
        self._settle(f"pipeline:{step}", [])

    # Writing

    def save(self) -> None:
        """Write what is known so far; the run goes on."""
        if self.began:
            self._safely(lambda connection: self._write(connection, {"outcome": RUNNING}))

    def finish(self, aborted: str | None = None) -> None:
        """The run has ended; aborted: by whom or what, if that was before its end."""
        from agent_analytics.operations import database

        if self.began or self.causes or database.exists(self.storage):
            self._safely(lambda connection: self._finish(connection, aborted))
            self.problem = self.problem or self._untold

    def _settle(self, threshold_id: str, findings: list[Finding], refs: Sequence[str] | None = None) -> None:
        self._settled.append((threshold_id, findings, refs))
        self._complained_of |= {finding.scope_ref for finding in findings}
        self.causes += [f"{finding.title}: {finding.cause}" for finding in findings]

    def _add_what_others_complain_of(self, connection: sa.Connection) -> None:
        """The families whose build or gate failed in an earlier call: that they aren't published is no news."""
        from agent_analytics.operations import failures
        from agent_analytics.operations.incidents import RESOLVED
        from agent_analytics.operations.tables import incidents

        steps = incidents.c.threshold_id.in_((failures.BUILD, failures.GATE))
        query = incidents.select().where(steps, incidents.c.status != RESOLVED)
        self._complained_of |= {row["scope_ref"] for row in connection.execute(query).mappings()}

    def _begin(self, connection: sa.Connection) -> None:
        from agent_analytics.operations.tables import runs

        self._note_killed(connection)
        known = connection.execute(runs.select().where(runs.c.run_id == self.run_id)).mappings().first()
        if known is None:
            row = {"command": self.command, "host": socket.gethostname(), "pid": os.getpid(), "gates": {}, "causes": []}
            row |= {"events_processed": 0, "models_built": 0, "rows_published": 0, "outcome": RUNNING}
            connection.execute(runs.insert().values(run_id=self.run_id, started_at=self._started_at, **row))
            return
        # A step of a run whose earlier steps were other calls.
        connection.execute(runs.update().where(runs.c.run_id == self.run_id).values(outcome=RUNNING, pid=os.getpid()))
        self._started_at = known["started_at"]
        self.events += known["events_processed"]
        self.models_built += known["models_built"]
        self.gates = known["gates"] | self.gates
        self.causes = [*known["causes"], *self.causes]

    def _write(self, connection: sa.Connection, values: Json) -> None:
        from agent_analytics.operations.tables import runs

        row = {"events_processed": self.events, "models_built": self.models_built, "gates": self.gates}
        row |= {"rows_published": self.rows_published, "version": self.version, "causes": self.causes} | values
        connection.execute(runs.update().where(runs.c.run_id == self.run_id).values(**row))
        self._settle_incidents(connection)

    def _finish(self, connection: sa.Connection, aborted: str | None) -> None:
        from agent_analytics.operations import failures
        from agent_analytics.operations.tables import runs

        if aborted is None and self.whole:
            self._settled.append((failures.RUN, [], None))
        elif aborted is not None:
            self.causes.append(aborted)
        if not self.began:
            self._note_killed(connection)
            newest = runs.select().order_by(runs.c.started_at.desc()).limit(1)
            last = connection.execute(newest).mappings().first()
            if aborted is None and self.causes == (last["causes"] if last else []):
                # Another run told the same, or there is nothing to tell.
                self._settle_incidents(connection)
                return
            causes, self.causes = self.causes, []
            self._begin(connection)
            self.causes += causes
        ended = _now()
        values = {"outcome": ABORTED if aborted else FAILED if self.causes else SUCCEEDED, "finished_at": ended}
        values["duration_ms"] = _milliseconds(ended - self._started_at)
        self._write(connection, values)

    def _note_killed(self, connection: sa.Connection) -> None:
        """Runs that are said to be running and can't be: whoever holds the writer lock is the only one that writes."""
        from agent_analytics.operations import failures
        from agent_analytics.operations.tables import runs

        waiting = runs.select().where(runs.c.outcome == RUNNING, runs.c.run_id != self.run_id)
        for row in connection.execute(waiting).mappings().all():
            if row["command"] == DAGSTER and row["host"] == socket.gethostname() and _is_alive(row["pid"]):
                continue
            ended = {"outcome": ABORTED, "causes": [*row["causes"], KILLED]}
            connection.execute(runs.update().where(runs.c.run_id == row["run_id"]).values(**ended))
            self._settled.append((failures.RUN, [failures.of_killed(row["command"], row["started_at"])], [""]))

    def _settle_incidents(self, connection: sa.Connection) -> None:
        from agent_analytics.operations import database, incidents, notifications

        database.lock(connection, database.EVALUATING)
        run_id = self.run_id if self.began else None
        recipients, self._untold = notifications.recipients()
        register = incidents.Register(connection, _now(), recipients, run_id)
        while self._settled:
            incidents.settle(register, *self._settled.pop(0))

    def _safely(self, work: Callable[[sa.Connection], None]) -> bool:
        from agent_analytics.operations import database

        if self.problem:
            return False  # it was out of reach a moment ago: don't wait for it again
        try:
            with database.connect(self.storage) as connection:
                work(connection)
        except AnalyticsError as error:
            self.problem = str(error)
            return False
        return True


@contextmanager
def recording(
    storage: Storage,
    command: str,
    step: str,
    run_id: str | None = None,
    whole: bool = False,
    again: Callable[[Exception], bool] = lambda error: False,
    by_hand: bool = False,
) -> Iterator[Run]:
    """The record of one step: a command of its own, or a part of the run run_id.

    whole: whether the run is then done; again: whether the step will be tried again after an error, of which nothing is
    filed then; by_hand: whether a person asked for it, who is told what went wrong.
    """
    from agent_analytics.operations import failures

    run = Run(storage, command, run_id or str(uuid.uuid4()), whole=whole)
    try:
        yield run
    except Exception as error:
        if not again(error):
            run.failed(step, error, told=by_hand)
            run.finish()
        raise
    except BaseException:
        run.finish(aborted="interrupted")
        raise
    if f"pipeline:{step}" not in failures.REPORTING:
        run.mended(step)
    run.finish()


def fail(storage: Storage, run_id: str, command: str, step: str, cause: str) -> bool:
    """Say of a run that it failed, unless its own record says how it ended; returns whether that was news."""
    from agent_analytics.operations import database, failures, incidents, notifications
    from agent_analytics.operations.tables import runs

    with database.connect(storage) as connection:
        database.lock(connection, database.EVALUATING)
        known = connection.execute(runs.select().where(runs.c.run_id == run_id)).mappings().first()
        if known is not None and known["outcome"] in (FAILED, ABORTED):
            return False
        at = _now()
        if known is not None:
            ended = {"outcome": FAILED, "causes": [*known["causes"], cause], "finished_at": at}
            ended["duration_ms"] = _milliseconds(at - known["started_at"])
            connection.execute(runs.update().where(runs.c.run_id == run_id).values(**ended))
        recipients, _ = notifications.recipients()
        register = incidents.Register(connection, at, recipients, run_id)
        finding = failures.of_error(step, AnalyticsError(cause), f"a run of {command} failed")
        incidents.settle(register, f"pipeline:{step}", [finding], [""])
        return True


def file(storage: Storage, step: str, error: BaseException) -> None:
    """File an incident for what failed outside of any run."""
    from agent_analytics.operations import failures

    _settle_step(storage, step, [failures.of_error(step, error)])


def mended(storage: Storage, step: str) -> None:
    """Say that a step which may have failed before has succeeded."""
    from agent_analytics.operations import database

    if database.exists(storage):
        _settle_step(storage, step, [])


def _settle_step(storage: Storage, step: str, findings: list[Finding]) -> None:
    from agent_analytics.operations import database, incidents, notifications

    with database.connect(storage) as connection:
        database.lock(connection, database.EVALUATING)
        # What is wrong with the settings is said by runs, and by the evaluation of alerts.
        recipients, _ = notifications.recipients()
        register = incidents.Register(connection, _now(), recipients)
        incidents.settle(register, f"pipeline:{step}", findings)


def listed(storage: Storage) -> list[Json]:
    """Every run with what alerts did about its publication, oldest first: the rows of pipeline_runs, unformatted."""
    import sqlalchemy as sa

    from agent_analytics.operations import database
    from agent_analytics.operations.tables import incident_events, incidents, runs

    if not database.exists(storage):
        return []
    with database.connect(storage) as connection:
        rows = [dict(row) for row in connection.execute(runs.select().order_by(runs.c.started_at)).mappings()]
        query = (
            sa.select(
                incident_events.c.run_id,
                incident_events.c.event,
                incidents.c.opened_at,
                incident_events.c.at.label("at"),
            )
            .join(incidents, incidents.c.id == incident_events.c.incident_id)
            .where(incident_events.c.event.in_(("opened", "resolved")), incident_events.c.run_id.is_not(None))
        )
        changes = [dict(row) for row in connection.execute(query).mappings()]
    opened: dict[str, int] = {}
    resolved: dict[str, list[float]] = {}
    for change in changes:
        if change["event"] == "opened":
            opened[change["run_id"]] = opened.get(change["run_id"], 0) + 1
        else:
            minutes = (change["at"] - change["opened_at"]).total_seconds() / 60
            resolved.setdefault(change["run_id"], []).append(minutes)
    for row in rows:
        minutes_of = resolved.get(row["run_id"], [])
        row["incidents_created"] = opened.get(row["run_id"], 0)
        row["incidents_resolved"] = len(minutes_of)
        row["mean_resolution_minutes"] = sum(minutes_of) / len(minutes_of) if minutes_of else None
    return rows


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _milliseconds(span: timedelta) -> int:
    return max(0, round(span.total_seconds() * 1000))


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)
