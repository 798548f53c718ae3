"""Taking a load back: which copies come forward, and which earlier retractions have to go with it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import duckdb

from agent_analytics import validate
from agent_analytics.contract import EVENT_HASH
from agent_analytics.ledger import Entry, LakeFile, Ledger
from agent_analytics.load import COPY_OPTIONS, Load, Outcome, timestamp_text


def bring_forward(load: Load, entry: Entry, without: set[int], ledger: Ledger) -> Outcome:
    """What retracting `entry` makes.

    For each of its events the earliest copy in a standing load not in `without`.
    """
    outcome = Outcome(hash_probe=load.hash_probe)
    clock: datetime | None = None
    for source in sorted({file.source for file in entry.lake}):
        lost = ledger.event_files(entry, source)
        copies = [
            (standing.load_id, file.path)
            for standing in ledger.standing()
            if standing.load_id not in without
            for file in standing.duplicates
            if file.source == source
        ]
        if not copies:
            continue
        made = load.work / f"{source}-{load.load_id}.parquet"
        rows = _bring_forward(load, source, _rows_of(entry.load_id, lost), copies, made)
        if not rows:
            continue
        newest, before = load.newest(made)
        clock = max(filter(None, (clock, before)), default=None)
        target = f"{source}/{load.load_id}.parquet"
        outcome.lake.append(LakeFile(source=source, path=target, rows=rows, newest_occurred_at=timestamp_text(newest)))
        outcome.moves.append((made, load.storage.lake / target))
    outcome.clock = timestamp_text(clock) if clock else None
    return outcome


def _bring_forward(load: Load, source: str, lost: str, copies: list[tuple[int, str]], made: Path) -> int:
    schema = load.storage.lake / source / "schema.parquet"
    paths = [*filter(Path.exists, [schema]), *dict.fromkeys(load.storage.lake / path for _, path in copies)]
    # Not the contract's columns: it may have lost the source since.
    described = load.connection.execute(f"describe from {validate.read_parquet(paths[:1])}").fetchall()
    listed = ", ".join(validate.name(name) for name, *_ in described if name not in ("load_id", EVENT_HASH))
    rows = validate.read_parquet(paths, ", union_by_name = true, file_row_number = true")
    standing = ", ".join(str(load_id) for load_id, _ in copies)
    found = load.connection.execute(f"""
        copy (
            select {load.load_id}::bigint as load_id, {listed}, hash(event_id) as {EVENT_HASH}
            from {rows}
            where read_parquet.load_id in ({standing}) and event_id in (select event_id from {lost})
            qualify row_number() over (partition by event_id order by file_index, file_row_number) = 1
            order by file_index, file_row_number
        ) to {validate.text(str(made))} ({COPY_OPTIONS})""").fetchone()
    return int(found[0]) if found else 0


def retractions_holding(ledger: Ledger, target: Entry) -> list[Entry]:
    """The standing retractions whose lake files hold an event that `target` holds a copy of, newest first."""
    with duckdb.connect() as connection:
        return [
            entry
            for entry in reversed(ledger.standing())
            if entry.kind == "retraction" and _holds_copies(connection, ledger, entry, target)
        ]


def _holds_copies(connection: duckdb.DuckDBPyConnection, ledger: Ledger, entry: Entry, target: Entry) -> bool:
    return any(
        _share_an_event(
            connection,
            _rows_of(entry.load_id, ledger.event_files(entry, copy.source)),
            _rows_of(target.load_id, [ledger.storage.lake / copy.path]),
        )
        for copy in target.duplicates
        if copy.source in {mine.source for mine in entry.lake}
    )


def _share_an_event(connection: duckdb.DuckDBPyConnection, one: str, other: str) -> bool:
    found = connection.execute(f"select 1 from {one} where event_id in (select event_id from {other}) limit 1")
    return found.fetchone() is not None


def _rows_of(load_id: int, paths: Iterable[Path]) -> str:
    """SQL: the ids of the events that these files hold of a load."""
    return f"(select event_id from {validate.read_parquet(paths)} where load_id = {load_id})"
