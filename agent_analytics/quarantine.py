"""The quarantine's files: which lines still wait for a replay, and how they are read again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_analytics import validate
from agent_analytics.landing import file_hash, stat
from agent_analytics.ledger import Entry, Ledger, LoadedFile
from agent_analytics.stage import Input
from agent_analytics.storage import Storage

if TYPE_CHECKING:
    from agent_analytics.load import Load

FOLDER = "quarantine/"


def waiting(ledger: Ledger) -> list[Entry]:
    """The standing loads whose quarantine no standing replay has taken up, in load order."""
    standing = ledger.standing()
    taken = {file.path for entry in standing if entry.kind == "replay" for file in entry.files}
    return [entry for entry in standing if entry.quarantine and FOLDER + entry.quarantine not in taken]


def replays_of(ledger: Ledger, target: Entry) -> list[Entry]:
    """The standing replays that accepted lines which `target` rejected."""
    path = FOLDER + str(target.quarantine)
    return [
        entry
        for entry in ledger.standing()
        if entry.kind == "replay" and any(file.path == path and file.accepted for file in entry.files)
    ]


def replay_inputs(storage: Storage, ledger: Ledger, load: Load) -> list[Input]:
    """The waiting lines as files to read, in the order they were quarantined."""
    inputs = []
    for entry in waiting(ledger):
        path = storage.quarantine / str(entry.quarantine)
        found = stat(path)
        recorded = LoadedFile(
            path=FOLDER + str(entry.quarantine),
            sha256=file_hash(path),
            size=found.size,
            mtime_ns=found.mtime_ns,
            inode=found.inode,
            lines=0,
            accepted=0,
            duplicates=0,
            rejected=0,
            rejects={},
            dropped_properties={},
        )
        table = f"replay_{entry.load_id}"
        copy = load.work / f"{table}.jsonl"
        load.connection.execute(f"""
            create temp table {table} as
            select row_number() over () as line, file, line_number, coalesce(raw, encode(line)) as text, user_id_hashed
            from {validate.read_parquet([path])}""")
        with copy.open("wb") as out:
            result = load.connection.execute(f"select text, user_id_hashed from {table} order by line")
            while rows := result.fetchmany(1000):
                out.writelines(load.masked(text, hashed) + b"\n" for text, hashed in rows)
        inputs.append(Input(recorded.path, copy, table, True, recorded))
    return inputs
