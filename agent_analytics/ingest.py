"""Ingest: landed files to typed lake files, a quarantine and one ledger entry.

The lines are read and judged by DuckDB, column by column; only lines that are rejected or suspected come
through Python.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

import duckdb

from agent_analytics import durable, landing, packing, quarantine, retraction, scratch, validate
from agent_analytics.contract import Contract, load_contract
from agent_analytics.errors import AnalyticsError
from agent_analytics.hashing import hash_key, settle_key
from agent_analytics.ledger import Entry, Kind, Ledger, LoadedFile, commit_lock
from agent_analytics.load import Load, Outcome, timestamp_text
from agent_analytics.stage import Input
from agent_analytics.storage import Storage

Progress = Callable[[str, float], None]


@dataclass
class IngestReport:
    """What an ingest, replay or retraction did. `load_id` is None when there was nothing to commit.

    `seconds` is wall time.
    """

    kind: Kind
    load_id: int | None = None
    lines: int = 0
    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0
    files: list[LoadedFile] = field(default_factory=list)
    rejects: dict[str, int] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether all landed files are loaded: none refused because it changed, none unreadable."""
        return not self.refused and not self.failed


def ingest(
    storage: Storage,
    contract: Contract | None = None,
    progress: Progress | None = None,
    now: datetime | None = None,
) -> IngestReport:
    """Load what landed since the last load, as one new load.

    `now` is the recorded start (an aware datetime; default: the present). A file that can't be read, or whose
    content changed after it was loaded, is named in the report and the others are loaded. Raises AnalyticsError when
    nothing can be committed: a wrong contract, a corrupt ledger, another ingest that was faster.
    """
    began = time.monotonic()
    contract = contract or load_contract()
    report = IngestReport("load")
    ledger = Ledger(storage)
    inputs = _new_inputs(storage, ledger, report)
    with _Run(storage, contract, ledger, "load", progress, now, report) as run:
        if inputs:
            run.commit(run.load.run(inputs))
    report.seconds = time.monotonic() - began
    return report


def replay(
    storage: Storage,
    contract: Contract | None = None,
    progress: Progress | None = None,
    now: datetime | None = None,
) -> IngestReport:
    """Validate quarantined lines again, as one new load of kind replay.

    Each quarantine file of the standing loads is replayed once; lines that are still bad are recorded in the new load's
    quarantine, from where the next replay takes them. When no line has become good nothing is committed.
    """
    began = time.monotonic()
    contract = contract or load_contract()
    report = IngestReport("replay")
    ledger = Ledger(storage)
    with _Run(storage, contract, ledger, "replay", progress, now, report) as run:
        inputs = quarantine.replay_inputs(storage, ledger, run.load)
        if inputs:
            outcome = run.load.run(inputs)
            if any(file.accepted + file.duplicates for file in outcome.files):
                run.commit(outcome)
            else:
                run.describe(outcome)
    report.seconds = time.monotonic() - began
    return report


def retract(
    storage: Storage,
    load_id: int,
    reason: str,
    contract: Contract | None = None,
    progress: Progress | None = None,
    now: datetime | None = None,
) -> IngestReport:
    """Take a load back, as a new load of kind retraction; events that have a later copy come forward.

    A retraction that brought copies of this load forward is taken back first, by a load of its own. The landed
    files stay known: they aren't loaded again. Raises AnalyticsError for an unknown or already retracted load, a
    retraction, or an empty reason.
    """
    began = time.monotonic()
    contract = contract or load_contract()
    report = IngestReport("retraction")
    if not reason.strip():
        raise AnalyticsError(f"load {load_id} can't be retracted without a reason; name one")
    ledger = Ledger(storage)
    target = _retractable(ledger, load_id)
    if progress:
        progress(f"retracting load {load_id}", 0.0)
    for entry in [*retraction.retractions_holding(ledger, target), target]:
        with _Run(storage, contract, Ledger(storage), "retraction", progress, now, report) as run:
            without = {entry.load_id, target.load_id}
            run.commit(
                retraction.bring_forward(run.load, entry, without, ledger), retracts=entry.load_id, reason=reason
            )
        ledger = Ledger(storage)
    report.warnings += [
        f"load {replayed.load_id} replayed lines that load {load_id} rejected, and counts on:"
        f" agent-analytics loads retract {replayed.load_id} takes them back, too"
        for replayed in quarantine.replays_of(ledger, target)
    ]
    report.seconds = time.monotonic() - began
    return report


def _retractable(ledger: Ledger, load_id: int) -> Entry:
    entry = next((entry for entry in ledger.entries() if entry.load_id == load_id), None)
    if entry is None:
        raise AnalyticsError(f"load {load_id} doesn't exist; the newest is {ledger.last_load_id()}")
    if load_id in ledger.retracted():
        raise AnalyticsError(f"load {load_id} is retracted already")
    if entry.kind == "retraction":
        raise AnalyticsError(
            f"load {load_id} is itself a retraction and can't be retracted; land the events again as a new file"
        )
    return entry


def prepare_lake(storage: Storage, contract: Contract) -> None:
    """Write lake/<source>/schema.parquet, the contract's present columns and no rows, wherever it differs.

    Raises AnalyticsError, and writes nothing, if a column has another type than in files that are there.
    """
    with duckdb.connect() as connection:
        targets = {source: storage.lake / source / "schema.parquet" for source in contract.sources}
        before = {source: _columns(connection, target) for source, target in targets.items()}
        gone = _gone_columns(storage, contract, before)
        if gone != _recorded_columns(storage):
            durable.write_json(_columns_path(storage), gone)
        for source, target in targets.items():
            columns = contract.lake_columns(source)
            if before[source] == columns:
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            part = target.with_name(f".{target.name}.{os.getpid()}.part")
            nothing = ", ".join(f'null::{kind} as "{name}"' for name, kind in columns)
            try:
                connection.sql(f"select {nothing} where false").write_parquet(str(part), compression="zstd")
                durable.rename(part, target)
            finally:
                part.unlink(missing_ok=True)


def _gone_columns(
    storage: Storage, contract: Contract, before: dict[str, list[tuple[str, str]] | None]
) -> dict[str, dict[str, str]]:
    """The columns, with their types, that sources had and the contract doesn't declare any more."""
    gone = _recorded_columns(storage)
    for source, columns in before.items():
        types = dict(columns or ()) | gone.get(source, {})
        for name, kind in contract.lake_columns(source):
            stored = types.pop(name, kind)
            if stored != kind and _has_events(storage, source):
                raise AnalyticsError(
                    f"contracts/events.yml: {source}.{name} is stored as {kind} now, and was stored as {stored} in"
                    " events that are there: give the property another name, and keep the old one as it was"
                )
        gone[source] = types
    return {source: types for source, types in gone.items() if types}


def _has_events(storage: Storage, source: str) -> bool:
    ledger = Ledger(storage)
    files = (file.source for entry in ledger.entries() for file in entry.lake)
    return any(found == source for found in chain(files, (cold.source for cold in ledger.archive().ids)))


def _columns_path(storage: Storage) -> Path:
    return storage.loads / ".gone_columns.json"


def _recorded_columns(storage: Storage) -> dict[str, dict[str, str]]:
    """What `_gone_columns` were."""
    path = _columns_path(storage)
    try:
        return {str(source): dict(types) for source, types in json.loads(path.read_bytes()).items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise AnalyticsError(
            f"{path} can't be read: restore it from a backup; if there is none, delete it, and give no property that"
            " was taken out of the contract another type"
        ) from error


def _columns(connection: duckdb.DuckDBPyConnection, path: Path) -> list[tuple[str, str]] | None:
    if not path.exists():
        return None
    # A literal: DuckDB loads pandas, which takes a second, before it looks at a parameter.
    describe = f"describe from {validate.read_parquet([path])}"
    try:
        return [(row[0], row[1]) for row in connection.execute(describe).fetchall()]
    except duckdb.Error:
        return None


def _new_inputs(storage: Storage, ledger: Ledger, report: IngestReport) -> list[Input]:
    """The landed files that no load has; those that changed since they were loaded go into the report."""
    known = ledger.known_files()
    landed = landing.look(storage, known)
    landing.remember(storage, {path: stat for path, stat in landed.same.items() if path in known})
    report.refused += landed.changed
    report.failed |= landed.failed
    return [Input(relative, storage.landing / relative) for relative in landed.new]


class _Run:
    """The frame of a load: its number, its scratch folder, and the commit at the end."""

    def __init__(
        self,
        storage: Storage,
        contract: Contract,
        ledger: Ledger,
        kind: Kind,
        progress: Progress | None,
        now: datetime | None,
        report: IngestReport,
    ) -> None:
        self.storage, self.contract, self.ledger, self.kind, self.report = storage, contract, ledger, kind, report
        self.started_at = (now or datetime.now(UTC)).astimezone(UTC)
        key, warning = hash_key(storage)
        if warning and warning not in report.warnings:
            report.warnings.append(warning)
        prepare_lake(storage, contract)
        self.work, self.hold = scratch.folder(storage, "ingest")
        self.load = Load(storage, contract, ledger, self.work, ledger.next_load_id(), self.started_at, key, progress)

    def __enter__(self) -> _Run:
        return self

    def __exit__(self, *_: object) -> None:
        self.load.close()
        shutil.rmtree(self.work, ignore_errors=True)
        self.hold.close()

    def describe(self, outcome: Outcome) -> None:
        """Put the load's counts into the report."""
        report = self.report
        report.files = outcome.files
        report.failed |= outcome.failed
        report.lines = sum(file.lines for file in outcome.files)
        report.accepted = sum(file.accepted for file in outcome.files)
        report.duplicates = sum(file.duplicates for file in outcome.files)
        report.rejected = sum(file.rejected for file in outcome.files)
        totals: Counter[str] = Counter()
        for file in outcome.files:
            totals.update(file.rejects)
        report.rejects = dict(sorted(totals.items()))

    def commit(self, outcome: Outcome, retracts: int | None = None, reason: str | None = None) -> None:
        """Move the load's files into place and write its ledger entry; nothing when no file could be read."""
        self.describe(outcome)
        if not outcome.files and retracts is None:
            return
        load_id = self.load.load_id
        entry = Entry(
            load_id=load_id,
            kind=self.kind,
            started_at=timestamp_text(self.started_at),
            contract=self.contract.fingerprint,
            files=outcome.files,
            lake=outcome.lake,
            duplicates=outcome.duplicates,
            quarantine=outcome.quarantine,
            clock=outcome.clock,
            hash_probe=outcome.hash_probe,
            retracts=retracts,
            reason=reason,
        )
        with commit_lock(self.storage):
            now_last = Ledger(self.storage).last_load_id()
            if now_last >= load_id:
                raise AnalyticsError(
                    f"load {load_id} was committed by another process meanwhile; run the command again"
                )
            settle_key(self.storage, self.load.key)
            _remove_leftovers(self.storage, now_last)
            for made, target in outcome.moves:
                durable.rename(made, target)
            self.ledger.commit(entry)
        self.report.load_id = load_id
        if warning := packing.pack_due(self.storage):
            self.report.warnings.append(warning)


def _remove_leftovers(storage: Storage, last: int) -> None:
    """Remove the files of loads that were never committed: a killed ingest left them."""
    folders = [storage.quarantine, *storage.lake.glob("*"), *(storage.lake / "_duplicates").glob("*")]
    for folder in folders:
        if folder == storage.loads or not folder.is_dir():
            continue
        for path in folder.glob("*.parquet"):
            load_id = path.stem.partition("-")[0]
            if load_id.isdigit() and int(load_id) > last:
                path.unlink()
