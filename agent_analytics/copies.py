"""Copies of events: the staged lines whose event an earlier line of the batch, of the load, or of another load has.

Events are compared by the hash of their event_id first, then by source and event_id. Hashes of earlier loads are in
their lake files; those of the load itself are kept sorted, with the batch that each is of.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agent_analytics import validate
from agent_analytics.ledger import Ledger
from agent_analytics.stage import Stage
from agent_analytics.storage import Storage

Hashes = NDArray[np.uint64]

# What `_reason` in `stage` says of a copy of an accepted event.
COPY = "copy"
# A batch's number stands in place of a hash's last bits. Batches may share one: then more files are read.
NUMBER = np.uint64(0xFFFF)
# From so many on they are left on disk, and what is added begins anew.
MOST = 1 << 24


class Copies:
    """Finds the copies in each batch of a load, among what it and the standing loads have taken."""

    def __init__(self, storage: Storage, ledger: Ledger, work: Path, hash_probe: int) -> None:
        # By source: files of earlier loads, and SQL for what `hash(event_id)` is in them. A packed file stands in many
        # entries.
        self.history: dict[str, dict[str, dict[str, None]]] = {}
        files = [
            (file.source, entry.hash_probe, storage.lake / file.path)
            for entry in ledger.standing()
            for file in entry.lake
            if file.path
        ]
        files += [(cold.source, cold.hash_probe, storage.archive / cold.path) for cold in ledger.archive().ids]
        for source, probe, path in files:
            event_hash = "event_hash" if probe == hash_probe else "hash(event_id)"
            self.history.setdefault(source, {}).setdefault(event_hash, {})[str(path)] = None
        retracted = ", ".join(map(str, sorted(ledger.retracted())))
        self.stands = f"load_id not in ({retracted})" if retracted else "true"
        # By the number of a batch, as it is kept: its files.
        self.own: dict[int, list[tuple[str, Path]]] = {}
        self.batches = 0
        self.taken = Taken(work)

    def mark(self, stage: Stage, sources: Iterable[str]) -> list[tuple[str, int, int]]:
        """Mark the copies among the lines of these sources that aren't rejected.

        Returns how many there are, by source and file.
        """
        again = ~_first_of_each(stage.hashes)
        again[:-1] |= again[1:]
        taken, batches = self.taken.find(stage.hashes)
        stage.connection.register("suspected", {"row": stage.rows[again | taken]})
        stage.connection.execute("""
            create or replace temp table suspects as
            select rowid as row, _r_source, _r_event_id from stage
            where _reason is null and rowid in (select row from suspected)""")
        stage.connection.unregister("suspected")
        stage.connection.execute("""
            create or replace temp table copies as
            select row
            from (
                select row, row_number() over (partition by _r_source, _r_event_id order by row) as copy from suspects
            )
            where copy > 1""")
        own = [(source, str(path)) for number in batches for source, path in self.own[number]]
        staged = "(select rowid as row, _r_source, _r_event_id from stage where _reason is null)"
        for source in sources:
            mine = [path for found, path in own if found == source]
            self._find(stage, f"(from suspects where _r_source = {validate.text(source)})", mine, "event_hash")
            for event_hash, paths in self.history.get(source, {}).items():
                self._find(stage, f"(from {staged} where _r_source = {validate.text(source)})", paths, event_hash)
        stage.connection.execute(f"update stage set _reason = '{COPY}' where rowid in (select row from copies)")
        return stage.connection.execute(
            f"select _r_source, _file_no, count(*) from stage where _reason = '{COPY}' group by all"
        ).fetchall()

    def _find(self, stage: Stage, lines: str, paths: Iterable[str], event_hash: str) -> None:
        """Add the rows of those lines to `copies` whose event is in one of the files.

        `event_hash` is SQL for what `hash(event_id)` is in them.
        """
        paths = list(paths)
        if not paths:
            return
        stage.connection.execute(f"""
            create or replace temp table candidates as
            select {event_hash} as event_hash, filename
            from {validate.read_parquet(paths, ", filename = true")}
            where {event_hash} in (select hash(_r_event_id) from {lines}) and {self.stands}""")
        found = stage.connection.execute("select distinct filename from candidates").fetchall()
        if found:
            # Few files hold an event that comes again: the ids are read of these alone.
            stage.connection.execute(f"""
                insert into copies
                select row
                from {lines}
                where _r_event_id in (
                    select event_id from {validate.read_parquet(row[0] for row in found)}
                    where {event_hash} in (select event_hash from candidates) and {self.stands}
                )""")

    def add(self, stage: Stage, files: Iterable[tuple[str, Path]]) -> None:
        """Remember what a batch took: (source, file) of its events."""
        number = self.batches & int(NUMBER)
        self.taken.add(number, stage.hashes)
        self.own.setdefault(number, []).extend(files)
        self.batches += 1


class Taken:
    """Hashes and the numbers of the batches that have them, sorted; MOST are in memory at most."""

    def __init__(self, work: Path) -> None:
        self.work = work
        self.on_disk: list[Hashes] = []
        self.latest: Hashes = np.empty(0, np.uint64)

    def add(self, number: int, hashes: Hashes) -> None:
        """Keep a batch's (sorted) hashes."""
        marked = (hashes & ~NUMBER) | np.uint64(number)
        # Not the default sort: this one merges what is sorted already.
        self.latest = np.sort(np.concatenate([self.latest, marked[_first_of_each(marked)]]), kind="stable")
        if len(self.latest) >= MOST:
            path = self.work / f"taken-{len(self.on_disk)}.npy"
            np.save(path, self.latest)
            self.on_disk.append(np.load(path, mmap_mode="r"))
            self.latest = np.empty(0, np.uint64)

    def find(self, hashes: Hashes) -> tuple[NDArray[np.bool_], set[int]]:
        """Which of (sorted) hashes may be among those kept, and the numbers of the batches that they may be of.

        All that are, and hardly one that isn't: they are compared in their first 48 bits.
        """
        found, numbers = np.zeros(len(hashes), bool), set[int]()
        for kept in (*self.on_disk, self.latest):
            at = np.searchsorted(kept, hashes & ~NUMBER)
            there = at < len(kept)
            there[there] = kept[at[there]] | NUMBER == hashes[there] | NUMBER
            found |= there
            at, end = at[there], np.searchsorted(kept, hashes[there] | NUMBER, "right")
            while len(at):
                numbers.update((kept[at] & NUMBER).tolist())
                at, end = at[at + 1 < end] + 1, end[at + 1 < end]
        return found, numbers


def _first_of_each(ordered: Hashes) -> NDArray[np.bool_]:
    return np.append(np.ones(min(1, len(ordered)), bool), ordered[1:] != ordered[:-1])
