"""One load's work in DuckDB: read batches of files, type their lines, find copies, write the load's files.

A batch passes through one table, `stage`: a row per line, the envelope's values as text, the properties as JSON text. A
source's lines are typed while they are written to Parquet. The totals of what was written then prove that the files
held nothing else; if they don't, the lines that aren't plain are judged one by one (`odd.py`), and the batch is written
again.

Everything is written under the load's scratch folder; `Outcome.moves` says what has to be moved where for the load
to exist.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np

from agent_analytics import landing, odd, validate
from agent_analytics.contract import Contract
from agent_analytics.errors import AnalyticsError
from agent_analytics.hashing import keyed_hash, keyed_hash_sql, pads
from agent_analytics.landing import Scan, Stat
from agent_analytics.ledger import DuplicatesFile, LakeFile, Ledger, LoadedFile
from agent_analytics.lines import QuarantinedText, quarantined
from agent_analytics.storage import Storage

MEMORY_LIMIT = "2GB"
BATCH_BYTES = 64 << 20
FUTURE = timedelta(hours=24)
OBJECT_SIZE = 16 << 20
# What `_reason` in `stage` says of a copy of an accepted event.
COPY = "copy"
# A text whose DuckDB hash tells whether two loads' `event_hash` were made by the same function.
HASHED = "event_id"
COPY_OPTIONS = "format parquet, compression zstd, compression_level 1, dictionary_size_limit 1000"


@dataclass(frozen=True)
class Input:
    """A file to read: `label` is its path in the ledger; `replays` is the work table with the lines' first origin."""

    label: str
    path: Path
    replays: str | None = None
    user_id_hashed: bool = False
    recorded: LoadedFile | None = None


@dataclass
class Outcome:
    """What a load made, before it is committed: ledger fields, and (scratch file, final place) pairs."""

    files: list[LoadedFile] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    lake: list[LakeFile] = field(default_factory=list)
    duplicates: list[DuplicatesFile] = field(default_factory=list)
    quarantine: str | None = None
    clock: str | None = None
    hash_probe: int | None = None
    moves: list[tuple[Path, Path]] = field(default_factory=list)


@dataclass
class File:
    """A file being loaded, and what is in it; `lines` are counted without blanks."""

    input: Input
    stat: Stat
    readable: Path
    scan: Scan = field(default_factory=Scan)
    lines: int = 0
    rejects: Counter[str] = field(default_factory=Counter)
    duplicates: int = 0
    dropped: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class _Part:
    """A Parquet file of one batch's events, or copies, of a source; `present` counts the values in each column."""

    source: str
    copied: bool
    number: int
    made: Path
    rows: int
    present: dict[str, int]


def timestamp_text(moment: datetime) -> str:
    """ISO 8601 in UTC with microseconds; a naive datetime is taken as UTC."""
    return (
        moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        if moment.year >= 1000
        else moment.isoformat(timespec="microseconds") + "Z"
    )


class Load:
    """One load in the making."""

    def __init__(
        self,
        storage: Storage,
        contract: Contract,
        ledger: Ledger,
        work: Path,
        load_id: int,
        started_at: datetime,
        key: bytes,
        progress: Callable[[str, float], None] | None = None,
    ) -> None:
        self.storage, self.contract, self.ledger, self.work = storage, contract, ledger, work
        self.load_id, self.started_at, self.key, self.progress = load_id, started_at, key, progress
        self.connection = duckdb.connect()
        for setting in (
            f"set memory_limit = '{MEMORY_LIMIT}'",
            f"set temp_directory = {validate.text(str(work / 'spill'))}",
            "set preserve_insertion_order = true",
            "set enable_progress_bar = false",
            # A long IN list turned into a join would lose the order of the lines that are read.
            "set disabled_optimizers = 'build_side_probe_side,join_order,in_clause'",
        ):
            self.connection.execute(setting)
        # Registered, not written into the statements, which an error message might show; parameters would load pandas.
        inner, outer = pads(key)
        self.connection.register("pads", {"_inner": np.array([inner.hex()]), "_outer": np.array([outer.hex()])})
        self.user_id_longest = next(field.max_length for field in contract.envelope if field.name == "user_id")
        self.latest = f"timestamp {validate.text(str((started_at + FUTURE).replace(tzinfo=None)))}"
        self.files: list[File] = []
        self.parts: list[_Part] = []
        self.hash_probe: int = self.connection.execute(f"select hash({validate.text(HASHED)})").fetchall()[0][0]
        self.failed: dict[str, str] = {}
        self.history: dict[str, dict[tuple[int | None, str], None]] = {source: {} for source in contract.sources}
        retracted = ", ".join(map(str, sorted(ledger.retracted())))
        self.stands = f"load_id not in ({retracted})" if retracted else "true"
        self.next_line = 0
        self.reject_files: list[Path] = []
        self.rejected = 0
        self.longest = 0

    def close(self) -> None:
        """Let go of DuckDB's memory and files."""
        self.connection.close()

    def tell(self, message: str, fraction: float) -> None:
        if self.progress:
            self.progress(message, fraction)

    # Reading

    def run(self, inputs: list[Input]) -> Outcome:
        """Read all inputs in order and write the load's files."""
        for entry in self.ledger.standing():
            for file in entry.lake:
                # A packed file stands in many entries.
                self.history.setdefault(file.source, {})[entry.hash_probe, str(self.storage.lake / file.path)] = None
        batches = list(self._batches(inputs))
        total = sum(file.stat.size for batch in batches for file in batch) or 1
        done = 0
        with ThreadPoolExecutor(1) as pool:
            scans = [self._start(pool, batch) for batch in batches[:1]]
            for index, batch in enumerate(batches):
                if index + 1 < len(batches):
                    scans.append(self._start(pool, batches[index + 1]))
                names = batch[0].input.label + (f" and {len(batch) - 1} more" if len(batch) > 1 else "")
                self.tell(f"reading {names}", 0.8 * done / total)
                self._read(batch, scans.pop(0))
                done += sum(file.stat.size for file in batch)
        self.tell("adding up", 0.8)
        outcome = self._outcome()
        self.tell("written", 1.0)
        return outcome

    def _batches(self, inputs: list[Input]) -> Iterator[list[File]]:
        """Small files are read together: each statement costs more than a small file."""
        batch: list[File] = []
        size = 0
        for number, given in enumerate(inputs):
            try:
                stat = landing.stat(given.path)
            except OSError as problem:
                self.failed[given.label] = problem.strerror or str(problem)
                continue
            readable = given.path if given.path.name.endswith(".jsonl") else self.work / f"{number}.jsonl"
            batch.append(File(given, stat, readable))
            size += stat.size * (1 if readable == given.path else 8)
            if size >= BATCH_BYTES:
                yield batch
                batch, size = [], 0
        if batch:
            yield batch

    def _start(self, pool: ThreadPoolExecutor, batch: list[File]) -> list[Future[Scan]]:
        return [pool.submit(_scan, file.input.path, file.readable) for file in batch]

    def _read(self, batch: list[File], scans: list[Future[Scan]]) -> None:
        unpacked = all(file.readable == file.input.path for file in batch)
        staged = unpacked and self._try_stage([file.readable for file in batch])
        good = [file for file, scan in zip(batch, scans, strict=True) if self._scanned(file, scan)]
        self.longest = max([self.longest, *(file.scan.longest for file in good)])
        if not good:
            return
        if not staged or len(good) < len(batch):
            staged = self._stage(good)
        self._count(good)
        self._hash_users(good)
        if not staged or not self._write(good):
            odd.settle(self, good)
            if not self._write(good, settled=True):
                raise AnalyticsError("lines that were judged good can't be written; nothing was committed; report this")
        self.files += good
        self.next_line += sum(file.lines for file in good)
        for file in good:
            if file.readable != file.input.path:
                file.readable.unlink()

    def _scanned(self, file: File, scan: Future[Scan]) -> bool:
        try:
            file.scan = scan.result()
            if landing.stat(file.input.path) != file.stat:
                raise AnalyticsError(
                    "the file changed while it was read; land it under a .part name and rename it when it is whole"
                )
        except (AnalyticsError, OSError, duckdb.Error) as problem:
            why = (
                problem.strerror if isinstance(problem, OSError) and problem.strerror else str(problem).splitlines()[0]
            )
            self.failed[file.input.label] = why
            return False
        return True

    # Staging

    def _stage(self, batch: list[File]) -> bool:
        """Stage a batch; lines that the JSON reader refuses are read as `{}`. Whether there were none."""
        paths = [file.readable for file in batch]
        if self._try_stage(paths):
            return True
        not_an_object = "json is null or not starts_with(ltrim(json, ' \t\r'), '{')"
        repeats = f"{not_an_object} or len(list_distinct(json_keys(json))) < len(json_keys(json))"
        for bad in (not_an_object, repeats):
            self.connection.execute(f"""
                create or replace temp table refused as
                select file_index, {bad} as bad from {self.json_lines(paths)}""")
            copies = [self._blotted(path, index) for index, path in enumerate(paths)]
            if self._try_stage(copies):
                return False
        nothing = ", ".join(f"null::varchar as {validate.raw(field)}" for field in self.contract.envelope)
        self.connection.execute(f"""
            create or replace temp table stage as
            select file_index::bigint as _file_no, null::varchar as _reason, {nothing} from refused""")
        return False

    def _blotted(self, path: Path, index: int) -> Path:
        """The file, or a copy without the lines that are refused."""
        found = self.connection.execute(
            f"""
            select rowid - first from refused, (select min(rowid) as first from refused where file_index = {index})
            where file_index = {index} and bad order by rowid"""
        ).fetchnumpy()
        (ordinals,) = found.values()
        if not len(ordinals):
            return path
        copy = self.work / f"blotted-{index}.jsonl"
        landing.blot(path, copy, ordinals.tolist())
        return copy

    def _try_stage(self, paths: list[Path]) -> bool:
        """Stage with DuckDB's typed reader, which fails as a whole for a line that isn't a JSON object."""
        envelope = self.contract.envelope
        columns = ", ".join(f"{validate.column(field)}: '{validate.json_type(field)}'" for field in envelope)
        fields = ", ".join(f"{validate.column(field)}::varchar as {validate.raw(field)}" for field in envelope)
        try:
            self.connection.execute(f"""
                create or replace temp table stage as
                select file_index::bigint as _file_no, null::varchar as _reason, {fields}
                from read_json(
                    [{validate.texts(map(str, paths))}], format = 'newline_delimited', columns = {{{columns}}},
                    maximum_object_size = {self._object_size()}
                )""")
        except duckdb.Error:
            return False
        return True

    def json_lines(self, paths: Iterable[Path]) -> str:
        """SQL for the lines as JSON, a line that isn't JSON as NULL."""
        return (
            f"read_ndjson_objects([{validate.texts(map(str, paths))}], format = 'newline_delimited', "
            f"ignore_errors = true, maximum_object_size = {self._object_size()})"
        )

    def _object_size(self) -> int:
        return max(OBJECT_SIZE, 2 * self.longest)

    def _count(self, batch: list[File]) -> None:
        """Number the lines through, and make sure that DuckDB saw the very lines that the scan counted."""
        rows = self.connection.execute(
            "select _file_no, count(*), min(rowid), max(rowid) from stage group by _file_no"
        ).fetchall()
        found = {file_no: (count, first, last) for file_no, count, first, last in rows}
        expected = 0
        for file_no, file in enumerate(batch):
            count, first, last = found.get(file_no, (0, expected, expected - 1))
            blank = landing.blank_lines(file.readable) if count < file.scan.physical_lines else 0
            if (first, last) != (expected, expected + count - 1) or count + blank != file.scan.physical_lines:
                raise AnalyticsError(
                    f"landing/{file.input.label}: {file.scan.physical_lines} lines, but {count} were read; report this"
                )
            file.lines = count
            expected += count

    def _hash_users(self, batch: list[File]) -> None:
        """Hash the user_id of each staged line; one that isn't valid is taken away, so that its line isn't plain."""
        hashed = [file.input.user_id_hashed for file in batch]
        clear = f"_r_user_id is not null and not {hashed}[_file_no + 1]"
        # A table of its own: otherwise DuckDB hashes each row's user_id, not each user_id.
        self.connection.execute(
            f"create or replace temp table user_ids as select distinct _r_user_id as user_id from stage where {clear}"
        )
        valid = f"length(user_id) between 1 and {self.user_id_longest}"
        self.connection.execute(f"""
            create or replace temp table users as
            select user_id, case when {valid} then {keyed_hash_sql("user_id")} end as hashed from user_ids, pads""")
        # In place: a join would lose the order of the lines.
        self.connection.execute(
            f"update stage set _r_user_id = hashed from users where _r_user_id = user_id and {clear}"
        )

    def staged_sources(self) -> list[str]:
        """The contract's sources that the staged lines name."""
        found = set(self.connection.execute("select distinct _r_source from stage").fetchall())
        return [source for source in self.contract.sources if (source,) in found]

    # Writing

    def rows(self, source: str, settled: bool = False) -> str:
        """SQL: a source's staged lines as rows of the lake, with `_row` and `_reason`.

        `load_id` is NULL where a line can't be plain, if that isn't settled. Whether the others are is for `_is_whole`
        to say: the reader turns 5 into a text where a text is declared, and leaves out what isn't declared.
        """
        contract = self.contract
        fields = contract.source_properties(source)
        parts = "".join(f", _parts.{validate.column(field)}::varchar as {validate.raw(field)}" for field in fields)
        transform = f"json_transform(_r_properties, {validate.structure(fields)})" if fields else "null"
        staged = f"""(
            select *{parts}
            from (
                select *, rowid as _row, {transform} as _parts
                from stage where _r_source = {validate.text(source)}
            )
        )"""
        rows = validate.typed((*contract.stored_envelope, *fields), staged)
        if not settled:
            rows = f"""(
                select *, {validate.plain(contract, source, self.latest)} as _plain
                from (select *, {validate.event_number(contract, source)} as _event from {rows})
            )"""
        load_id = f"{self.load_id}::bigint" if settled else f"case when _plain then {self.load_id}::bigint end"
        return f"(select *, {load_id} as load_id, hash(event_id) as event_hash from {rows})"

    def _write(self, batch: list[File], settled: bool = False) -> bool:
        """Write a batch's events and copies; False, and nothing is written, if it isn't settled and not all plain."""
        self._mark_copies()
        lines: Counter[tuple[str, str]] = Counter()
        rows: Counter[tuple[str, bool]] = Counter()
        copies: Counter[int] = Counter()
        for source, event_type, file_no, reason, count in self.connection.execute(f"""
            select _r_source, _r_event_type, _file_no, _reason, count(*) from stage
            where _reason is distinct from '{odd.REJECTED}' group by all""").fetchall():
            if event_type in self.contract.sources.get(source, ()):
                lines[source, event_type] += count
                rows[source, reason == COPY] += count
                copies[file_no] += count if reason == COPY else 0
        if lines.total() < sum(file.lines - file.rejects.total() for file in batch):
            return False
        parts = [self._copy(source, copied, settled) for source, copied in sorted(rows)]
        if not settled and not self._is_whole(batch, lines, parts):
            return False
        self.parts += parts
        for file_no, count in copies.items():
            batch[file_no].duplicates = count
        return True

    def _is_whole(self, batch: list[File], lines: Counter[tuple[str, str]], parts: list[_Part]) -> bool:
        """Whether nothing but what was written is in the batch's files, proved by totals.

        In a plain line all members are declared, none stands twice or is null, and texts stand where texts are
        declared and nowhere else. For every line the `":` in it are at least its members, which are at least the
        declared ones that were read: if the totals are equal, so is each line. Then no `":` stands within a text, so
        that the `":"` count texts that are members; these are at most the members that are declared as texts, since
        what isn't was found to be a number, a boolean or an object: if the totals are equal, so is each line. Commas
        are at least those between members; one more may end a list, which DuckDB's parser lets pass.
        """
        if any(part.present["load_id"] < part.rows for part in parts):
            return False
        scans = [file.scan for file in batch]
        # Each line has a source, which is a text, and properties.
        members, strings = 2 * lines.total(), lines.total()
        for part in parts:
            for known in (*self.contract.stored_envelope, *self.contract.source_properties(part.source)):
                members += part.present[known.name]
                strings += part.present[known.name] if validate.is_text(known) else 0
        if members != sum(scan.members for scan in scans) or strings != sum(scan.strings for scan in scans):
            return False
        if any(scan.odd for scan in scans):
            return False
        return self._commas(members, lines) == sum(scan.commas for scan in scans) or not any(
            landing.has_trailing_comma(file.readable) for file in batch
        )

    def _commas(self, members: int, lines: Counter[tuple[str, str]]) -> int | None:
        """How many commas stand between so many members; None if events may have properties or none."""
        commas = members - lines.total()
        for (source, event_type), count in lines.items():
            fields = self.contract.sources[source][event_type]
            if fields and not any(field.required for field in fields):
                return None
            commas -= count if fields else 0
        return commas

    def _mark_copies(self) -> None:
        """Mark the staged lines whose event an earlier line of the batch, of the load or of an earlier load has."""
        self.connection.execute(f"update stage set _reason = null where _reason = '{COPY}'")
        self.connection.execute(f"""
            update stage set _reason = '{COPY}' where rowid in (
                select row
                from (
                    select rowid as row, row_number() over (partition by _r_source, _r_event_id order by rowid) as copy
                    from stage
                    where _reason is null and hash(_r_event_id) in (
                        select hash(_r_event_id) from stage where _reason is null group by all having count(*) > 1
                    )
                )
                where copy > 1
            )""")
        for source in self.staged_sources():
            self._mark_copies_of_earlier(source)

    def _mark_copies_of_earlier(self, source: str) -> None:
        staged = f"from stage where _reason is null and _r_source = {validate.text(source)}"
        for paths, event_hash in self._earlier(source):
            # Few files hold an event that comes again: the ids are read of these alone.
            same = f"where {event_hash} in (select hash(_r_event_id) {staged}) and {self.stands}"
            found = self.connection.execute(
                f"select distinct filename from read_parquet([{validate.texts(paths)}], filename = true) {same}"
            ).fetchall()
            if found:
                ids = f"select event_id from read_parquet([{validate.texts(row[0] for row in found)}]) {same}"
                self.connection.execute(f"""
                    update stage set _reason = '{COPY}'
                    where rowid in (select rowid {staged} and _r_event_id in ({ids}))""")

    def _earlier(self, source: str) -> list[tuple[list[str], str]]:
        """Files with earlier events of a source, and SQL for what `hash(event_id)` is in them."""
        same: list[str] = []
        other: list[str] = []
        for hash_probe, path in self.history[source]:
            (same if hash_probe == self.hash_probe else other).append(path)
        same += [str(part.made) for part in self.parts if part.source == source and not part.copied]
        return [(paths, event_hash) for paths, event_hash in ((same, "event_hash"), (other, "hash(event_id)")) if paths]

    def _copy(self, source: str, copied: bool, settled: bool) -> _Part:
        number = 1 + sum((part.source, part.copied) == (source, copied) for part in self.parts)
        made = self.work / f"{'copies' if copied else 'events'}-{source}-{number}.parquet"
        columns = ", ".join(
            f"{validate.name(name)}::{kind} as {validate.name(name)}"
            for name, kind in self.contract.lake_columns(source)
        )
        reason = f"_reason = '{COPY}'" if copied else "_reason is null"
        _, rows, _, _, statistics, _ = self.connection.execute(f"""
            copy (select {columns} from {self.rows(source, settled)} where {reason})
            to {validate.text(str(made))} ({COPY_OPTIONS}, return_stats)""").fetchall()[0]
        present = {
            name.strip('"'): int(found["num_values"]) - int(found["null_count"]) for name, found in statistics.items()
        }
        return _Part(source, copied, number, made, rows, present)

    # What was made

    def _outcome(self) -> Outcome:
        outcome = Outcome(failed=self.failed, hash_probe=self.hash_probe)
        clock: datetime | None = None
        for part in sorted(self.parts, key=lambda part: (part.source, part.copied, part.number)):
            stem = str(self.load_id) if part.number == 1 else f"{self.load_id}-{part.number}"
            target = f"{'_duplicates/' * part.copied}{part.source}/{stem}.parquet"
            outcome.moves.append((part.made, self.storage.lake / target))
            if part.copied:
                outcome.duplicates.append(DuplicatesFile(source=part.source, path=target, rows=part.rows))
                continue
            newest, before = self.newest(part.made)
            clock = max(filter(None, (clock, before)), default=None)
            outcome.lake.append(
                LakeFile(source=part.source, path=target, rows=part.rows, newest_occurred_at=timestamp_text(newest))
            )
        outcome.clock = timestamp_text(clock) if clock else None
        self._write_quarantine(outcome)
        outcome.files = self._ledger_files()
        return outcome

    def newest(self, made: Path) -> tuple[datetime, datetime | None]:
        """The newest occurred_at of a lake file, and the newest that isn't later than the start."""
        started = f"timestamp {validate.text(str(self.started_at.replace(tzinfo=None)))}"
        newest, before = self.connection.execute(f"""
            select max(occurred_at), max(occurred_at) filter (where occurred_at <= {started})
            from read_parquet({validate.text(str(made))})""").fetchall()[0]
        return newest, before

    def masked(self, line: bytes, already_hashed: bool) -> bytes:
        """The line's bytes without a user_id in the clear."""
        kept = self.kept(line, already_hashed)
        return kept.text.encode("utf-8") if kept.raw is None else kept.raw

    def kept(self, line: bytes, already_hashed: bool) -> QuarantinedText:
        """The line as the quarantine keeps it."""
        return quarantined(line, lambda value: keyed_hash(self.key, value), already_hashed, self.user_id_longest)

    def _write_quarantine(self, outcome: Outcome) -> None:
        if not self.reject_files:
            return
        made = self.work / "quarantine.parquet"
        paths = validate.texts(map(str, self.reject_files))
        size = max(OBJECT_SIZE, 8 * self.longest)
        origin = (
            "select null::varchar as replays, null::bigint as line, null::varchar as file, null::bigint as line_number "
            "where false"
        )
        replayed = sorted({file.input.replays for file in self.files if file.input.replays})
        origins = " union all ".join(
            [origin, *(f"select {validate.text(table)}, line, file, line_number from {table}" for table in replayed)]
        )
        self.connection.execute(f"""
            copy (
                select
                    {self.load_id}::bigint as load_id,
                    coalesce(origins.file, rejects.file) as file,
                    coalesce(origins.line_number, rejects.line_number) as line_number,
                    rejects.reason, rejects.field, rejects.line, from_base64(rejects.raw) as raw, rejects.user_id_hashed
                from read_json(
                    [{paths}], format = 'newline_delimited', maximum_object_size = {size},
                    columns = {{
                        n: 'bigint', file: 'varchar', replays: 'varchar', line_number: 'bigint', reason: 'varchar',
                        field: 'varchar', line: 'varchar', raw: 'varchar', user_id_hashed: 'boolean'
                    }}
                ) as rejects
                left join ({origins}) as origins
                    on origins.replays = rejects.replays and origins.line = rejects.line_number
                order by rejects.n
            ) to {validate.text(str(made))} ({COPY_OPTIONS})""")
        outcome.quarantine = f"{self.load_id}.parquet"
        outcome.moves.append((made, self.storage.quarantine / outcome.quarantine))

    def _ledger_files(self) -> list[LoadedFile]:
        made: list[LoadedFile] = []
        for file in self.files:
            rejected = file.rejects.total()
            entry = LoadedFile(
                path=file.input.label,
                sha256=file.scan.sha256,
                size=file.stat.size,
                mtime_ns=file.stat.mtime_ns,
                inode=file.stat.inode,
                lines=file.lines,
                accepted=file.lines - rejected - file.duplicates,
                duplicates=file.duplicates,
                rejected=rejected,
                rejects=dict(sorted(file.rejects.items())),
                dropped_properties=dict(sorted(file.dropped.items())),
            )
            if file.input.recorded:
                recorded = file.input.recorded
                entry = entry.model_copy(
                    update={
                        "sha256": recorded.sha256,
                        "size": recorded.size,
                        "mtime_ns": recorded.mtime_ns,
                        "inode": recorded.inode,
                    }
                )
            made.append(entry)
        if sum(part.rows for part in self.parts if not part.copied) != sum(file.accepted for file in made):
            raise AnalyticsError("the load's counts don't add up; nothing was committed; report this")
        return made


def _scan(path: Path, readable: Path) -> Scan:
    """One pass over a file, in a thread of its own; leaves readable JSON Lines where the file isn't."""
    if path.name.endswith(".jsonl.gz"):
        return landing.scan_gzip(path, readable)
    if path.name.endswith(".parquet"):
        return landing.scan_parquet(path, readable)
    return landing.scan_plain(path)
