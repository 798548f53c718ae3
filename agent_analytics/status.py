"""How the pipeline stands: loads, what waits in landing, build, gates, what is published and how far behind it is.

Read from the ledger, build.json, the gate files, the published manifest and the operations database only: the warehouse
may be being written.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agent_analytics import landing, versions
from agent_analytics.errors import AnalyticsError
from agent_analytics.ledger import Entry, Ledger
from agent_analytics.locking import holder
from agent_analytics.storage import Storage

Json = dict[str, Any]


@dataclass(frozen=True)
class Load:
    """One ledger entry, in numbers. Counts are lines; `retracted_by` is the load that took it back."""

    load_id: int
    kind: str
    started_at: str
    clock: str | None
    files: int
    lines: int
    accepted: int
    duplicates: int
    rejected: int
    reason: str | None
    retracts: int | None
    retracted_by: int | None


@dataclass(frozen=True)
class Watermark:
    """How far a model is behind the newest loads of its own sources, in loads and in hours between events."""

    model: str
    loaded_through: int | None
    newest_event_at: str | None
    lag_loads: int | None
    lag_hours: float | None


@dataclass(frozen=True)
class Family:
    """A family as readers see it: published, stale or unpublished; and the result of its newest gate."""

    family: str
    status: str
    since: str | None
    why: str | None
    gate: str
    marts: tuple[str, ...]


@dataclass(frozen=True)
class Status:
    """Everything that `agent-analytics status` shows. Times are UTC, as ISO 8601 text.

    unreadable: why files and folders under landing/ can't be looked at, by path.
    incidents: the open ones; None if the operations database is out of reach, and incidents_why says why.
    """

    storage: str
    writer: Json | None
    data_clock: str | None
    loads: int
    newest_load: Load | None
    waiting: tuple[str, ...]
    changed: tuple[str, ...]
    unreadable: dict[str, str]
    build: Json | None
    gates: dict[str, Json]
    version: int | None
    published_at: str | None
    published_as_of: str | None
    families: tuple[Family, ...]
    watermarks: tuple[Watermark, ...]
    incidents: tuple[Json, ...] | None = ()
    incidents_why: str | None = None

    def as_json(self) -> Json:
        return asdict(self)


def status(storage: Storage) -> Status:
    """Look at the storage root; nothing is opened for writing, nothing waits."""
    ledger = Ledger(storage)
    loads = _loads(ledger)
    clock = ledger.as_of()
    landed = landing.look(storage, ledger.known_files())
    build = _read(storage.build_record)
    gates = {path.stem: _gate(path, build) for path in sorted(storage.gates.glob("*.json"))}
    folder = versions.current(storage)
    record = versions.read_manifest(folder) if folder else {}
    incidents, incidents_why = _incidents(storage)
    return Status(
        storage=str(storage.root),
        writer=holder(storage),
        data_clock=clock,
        loads=len(loads),
        newest_load=loads[-1] if loads else None,
        waiting=tuple(landed.new),
        changed=tuple(landed.changed),
        unreadable=landed.failed,
        build=_build(build),
        gates=gates,
        version=record.get("version"),
        published_at=record.get("published_at"),
        published_as_of=record.get("as_of"),
        families=_families(record, gates),
        watermarks=_watermarks(record, ledger),
        incidents=incidents,
        incidents_why=incidents_why,
    )


def list_loads(storage: Storage) -> list[Load]:
    """Every load of the ledger, oldest first."""
    return _loads(Ledger(storage))


def _incidents(storage: Storage) -> tuple[tuple[Json, ...] | None, str | None]:
    from agent_analytics.operations import desk

    try:
        return tuple(desk.listed(storage)), None
    except AnalyticsError as error:
        return None, str(error)


def _loads(ledger: Ledger) -> list[Load]:
    retracted_by = {entry.retracts: entry.load_id for entry in ledger.entries() if entry.retracts is not None}
    return [_load(entry, retracted_by.get(entry.load_id)) for entry in ledger.entries()]


def _load(entry: Entry, retracted_by: int | None) -> Load:
    return Load(
        load_id=entry.load_id,
        kind=entry.kind,
        started_at=entry.started_at,
        clock=entry.clock,
        files=len(entry.files),
        lines=sum(file.lines for file in entry.files),
        accepted=sum(file.accepted for file in entry.files),
        duplicates=sum(file.duplicates for file in entry.files),
        rejected=sum(file.rejected for file in entry.files),
        reason=entry.reason,
        retracts=entry.retracts,
        retracted_by=retracted_by,
    )


def _build(build: Json | None) -> Json | None:
    if build is None:
        return None
    models: Json = build.get("models") or {}
    kept = ("build_id", "status", "load_id", "as_of", "started_at", "finished_at")
    return {name: build.get(name) for name in kept} | {
        "built": sum(outcome.get("status") == "success" for outcome in models.values()),
        "unchanged": sum(outcome.get("status") == "unchanged" for outcome in models.values()),
        "failed": sorted(name for name, outcome in models.items() if outcome.get("status") in ("error", "skipped")),
        "failed_tests": [test.get("test") for test in build.get("failed_tests") or ()],
    }


def _gate(path: Path, build: Json | None) -> Json:
    gate = _read(path) or {"status": "unreadable"}
    kept = ("status", "build_id", "evaluated", "expected", "why", "accepted")
    is_of_build = build is not None and gate.get("build_id") == build.get("build_id")
    return {name: gate.get(name) for name in kept} | {"is_of_last_build": is_of_build}


def _families(record: Json, gates: dict[str, Json]) -> tuple[Family, ...]:
    known: Json = record.get("families") or {}
    return tuple(
        Family(
            family=name,
            status=(known.get(name) or {}).get("status", "unpublished"),
            since=(known.get(name) or {}).get("stale_since"),
            why=(known.get(name) or {}).get("why") or (None if name in known else "not published yet"),
            gate=str((gates.get(name) or {}).get("status", "none")),
            marts=tuple((known.get(name) or {}).get("marts") or ()),
        )
        for name in sorted(known.keys() | gates.keys())
    )


def _watermarks(record: Json, ledger: Ledger) -> tuple[Watermark, ...]:
    standing = ledger.standing()
    return tuple(_watermark(row, standing) for row in record.get("watermarks") or () if row.get("model"))


def _watermark(row: Json, standing: list[Entry]) -> Watermark:
    """The lag as in ops.watermarks, against the loads that have landed since: of the model's own sources only."""
    loaded, event = row.get("loaded_through"), row.get("newest_event_at")
    sources = set((row.get("sources") or "").split(", "))
    files = [(entry.load_id, file) for entry in standing for file in entry.lake if file.source in sources]
    landed = max((_moment(file.newest_occurred_at) for _, file in files if file.newest_occurred_at), default=None)
    seconds = max(0.0, (landed - _moment(event)).total_seconds()) if landed and event else None
    return Watermark(
        model=row["model"],
        loaded_through=loaded,
        newest_event_at=event,
        lag_loads=len({load_id for load_id, _ in files if load_id > loaded}) if loaded is not None else None,
        lag_hours=round(seconds / 3600, 2) if seconds is not None else None,
    )


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _read(path: Path) -> Json | None:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None
