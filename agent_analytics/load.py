"""One load's work in DuckDB: read batches of files, type their lines, find copies, write the load's files.

A batch is staged (`stage.py`) while the one before is written. A source's lines are typed while they are written to
Parquet. The totals of what was written then prove that the files held nothing else; if they don't, the lines that
aren't plain are judged one by one (`odd.py`), and the batch is written again.

Everything is written under the load's scratch folder; `Outcome.moves` says what has to be moved where for the load
to exist.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import chain
from pathlib import Path

import duckdb

from agent_analytics import durable, landing, odd, validate
from agent_analytics.contract import Contract
from agent_analytics.copies import COPY, Copies
from agent_analytics.errors import AnalyticsError
from agent_analytics.hashing import keyed_hash
from agent_analytics.ledger import DuplicatesFile, LakeFile, Ledger, LoadedFile
from agent_analytics.lines import QuarantinedText, quarantined
from agent_analytics.side_by_side import side_by_side
from agent_analytics.stage import OBJECT_SIZE, File, Input, Stage
from agent_analytics.storage import Storage

MEMORY_LIMIT = "2GB"
BATCH_BYTES = 64 << 20
# From so many rows of a source on, a batch's are written as two files at a time: two of Parquet's row groups.
SPLIT_ROWS = 2 * 122_880
FUTURE = timedelta(hours=24)
CHANGED = "the file changed while it was read; land it under a .part name and rename it when it is whole"
STAGED = "(select *, rowid as _row from stage)"
# A text whose DuckDB hash tells whether two loads' `event_hash` were made by the same function.
HASHED = "event_id"
COPY_OPTIONS = (
    "format parquet, parquet_version v2, compression zstd, compression_level 1, dictionary_size_limit 1000, "
    "write_bloom_filter false"
)


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


@dataclass(frozen=True)
class _Part:
    """A Parquet file of one batch's events, or copies, of a source.

    `present` counts the values in each column; `beyond` says that a text among them is empty, or a value beyond its
    limits.
    """

    source: str
    copied: bool
    number: int
    made: Path
    rows: int
    present: dict[str, int]
    beyond: bool


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
        cores = self.connection.execute("select current_setting('threads')").fetchall()[0][0]
        # One is left for the thread that stages ahead.
        self.threads: int = max(1, cores - 1)
        for setting in (
            f"set memory_limit = '{MEMORY_LIMIT}'",
            f"set temp_directory = {validate.text(str(work / 'spill'))}",
            "set enable_progress_bar = false",
            # A long IN list turned into a join would lose the order of the lines that are read.
            "set disabled_optimizers = 'build_side_probe_side,join_order,in_clause'",
        ):
            self.connection.execute(setting)
        self.stages = [Stage(self.connection.cursor(), contract, key, work, name) for name in ("even", "odd")]
        self.writers = {stage.name: [stage.connection, stage.beside()] for stage in self.stages}
        self.user_id_longest = next(field.max_length for field in contract.envelope if field.name == "user_id")
        self.latest = (started_at + FUTURE).replace(tzinfo=None)
        self.files: list[File] = []
        self.parts: list[_Part] = []
        self.hash_probe: int = self.connection.execute(f"select hash({validate.text(HASHED)})").fetchall()[0][0]
        self.failed: dict[str, str] = {}
        self.next_line = 0
        self.reject_files: list[Path] = []
        self.longest = 0

    def close(self) -> None:
        """Let go of DuckDB's memory and files."""
        for connection in chain(*self.writers.values(), [self.connection]):
            connection.close()

    def tell(self, message: str, fraction: float) -> None:
        if self.progress:
            self.progress(message, fraction)

    # Reading

    def run(self, inputs: list[Input]) -> Outcome:
        """Read all inputs in order and write the load's files."""
        self.copies = Copies(self.storage, self.ledger, self.work, self.hash_probe)
        staged = self._staged(inputs)
        # What is renamed has to be on the disk: it gets there meanwhile.
        flushing: list[Future[None]] = []
        with ThreadPoolExecutor(1) as ahead, ThreadPoolExecutor(1) as flush:
            filling = ahead.submit(next, staged, None)
            while stage := filling.result():
                # The first batch is read by all cores: nothing is written meanwhile.
                self.connection.execute(f"set threads = {self.threads}")
                filling = ahead.submit(next, staged, None)
                first, *more = stage.files
                self.tell(f"reading {first.input.label}{(more and f' and {len(more)} more') or ''}", 0.8 * first.done)
                flushing += [flush.submit(durable.sync, part.made) for part in self._take(stage)]
        self.tell("adding up", 0.8)
        for flushed in flushing:
            flushed.result()
        outcome = self._outcome()
        self.tell("written", 1.0)
        return outcome

    def _staged(self, inputs: list[Input]) -> Iterator[Stage]:
        """The batches, staged in turn in two tables: while one is written, the other is filled."""
        for number, batch in enumerate(self._batches(inputs)):
            stage = self.stages[number % 2]
            while batch and (changed := stage.fill(batch)):
                self.failed |= {file.input.label: CHANGED for file in changed}
                batch = [file for file in batch if file not in changed]
            if batch:
                yield stage

    def _batches(self, inputs: list[Input]) -> Iterator[list[File]]:
        """Small files are read together: each statement costs more than a small file."""
        batch: list[File] = []
        size = 0
        for number, given in enumerate(inputs):
            for file in self._pieces(number, given):
                file.done = number / len(inputs)
                batch.append(file)
                size += file.scan.size
                if size >= BATCH_BYTES:
                    yield batch
                    batch, size = [], 0
        if batch:
            yield batch

    def _pieces(self, number: int, given: Input) -> Iterator[File]:
        """A landed file, or the pieces of a large one; nothing if it can't be read."""
        # DuckDB takes a backslash in a path for a slash if it looks for a pattern there.
        is_plain = given.path.name.endswith(".jsonl") and "\\" not in str(given.path)
        readable = given.path if is_plain else self.work / f"{number}.jsonl"
        try:
            stat = landing.stat(given.path)
            sha256, scans = landing.scan(given.path, readable)
            if landing.has_changed(given.path, stat):
                raise AnalyticsError(CHANGED)
        except (AnalyticsError, OSError, duckdb.Error) as problem:
            why = problem.strerror if isinstance(problem, OSError) else None
            self.failed[given.label] = why or str(problem).splitlines()[0]
            return
        if len(scans) == 1:
            yield File(given, stat, sha256, readable, scans[0])
            return
        start = lines = 0
        for scan in scans:
            piece = self.work / f"{number}-{start}.jsonl"
            landing.cut(readable, start, scan.size, piece)
            if landing.has_changed(given.path, stat):
                raise AnalyticsError(f"landing/{given.label}: {CHANGED}; nothing was committed")
            yield File(given, stat, sha256, piece, scan, lines)
            start += scan.size
            lines += scan.physical_lines
        if not is_plain:
            readable.unlink()

    def _take(self, stage: Stage) -> list[_Part]:
        """Write what is staged."""
        self.longest = max(self.longest, stage.longest)
        parts = self._write(stage) if stage.readable else None
        if parts is None:
            odd.settle(self, stage)
            parts = self._write(stage, settled=True)
        if parts is None:
            raise AnalyticsError("lines that were judged good can't be written; nothing was committed; report this")
        self.parts += parts
        self.copies.add(stage, [(part.source, part.made) for part in parts if not part.copied])
        self.files += stage.files
        self.next_line += sum(file.lines for file in stage.files)
        stage.clear()
        return parts

    # Writing

    def rows(self, source: str, settled: bool = False, staged: str = STAGED) -> str:
        """SQL: a source's lines, staged in `staged`, as rows of the lake, with `_row` and `_reason`.

        `load_id` is NULL where a line can't be plain, if that isn't settled. Whether the others are is for `_is_whole`
        to say: the reader turns 5 into a text where a text is declared, and leaves out what isn't declared.
        """
        contract = self.contract
        fields = contract.source_properties(source)
        parts = "".join(f", _parts.{validate.column(field)}::varchar as {validate.raw(field)}" for field in fields)
        transform = f"json_transform(_r_properties, {validate.structure(fields)})" if fields else "null"
        split = f"""(
            select *{parts}
            from (select *, {transform} as _parts from {staged} where _r_source = {validate.text(source)})
        )"""
        rows = validate.typed((*contract.stored_envelope, *fields), split)
        if not settled:
            rows = f"""(
                select *, {validate.plain(contract, source)} as _plain
                from (select *, {validate.event_number(contract, source)} as _event from {rows})
            )"""
        load_id = f"{self.load_id}::bigint" if settled else f"case when _plain then {self.load_id}::bigint end"
        return f"(select *, {load_id} as load_id, hash(event_id) as event_hash from {rows})"

    def _write(self, stage: Stage, settled: bool = False) -> list[_Part] | None:
        """Write a batch's events and copies; None, and what was written doesn't count, if not all lines are plain.

        They all are if they are settled.
        """
        stage.connection.execute(f"update stage set _reason = null where _reason = '{COPY}'")
        lines: Counter[tuple[str, str]] = Counter()
        rows: Counter[tuple[str, bool]] = Counter()
        for source, event_type, count in stage.connection.execute(
            "select _r_source, _r_event_type, count(*) from stage where _reason is null group by all"
        ).fetchall():
            if event_type in self.contract.sources.get(source, ()):
                lines[source, event_type] += count
                rows[source, False] += count
        if lines.total() < sum(file.lines - file.rejects.total() for file in stage.files):
            return None
        copies: Counter[int] = Counter()
        for source, file_no, count in self.copies.mark(stage, {source for source, _ in rows}):
            rows[source, True] += count
            rows[source, False] -= count
            copies[file_no] += count
        rows = +rows
        parts = self._copies(stage, rows, settled) if rows else []
        if not settled and not self._is_whole(stage, lines, parts):
            return None
        for file_no, count in copies.items():
            stage.files[file_no].duplicates = count
        return parts

    def _is_whole(self, stage: Stage, lines: Counter[tuple[str, str]], parts: list[_Part]) -> bool:
        """Whether nothing but what was written is in the batch's files, proved by totals.

        In a plain line all members are declared, none stands twice or is null, and texts stand where texts are
        declared and nowhere else. For every line the `":` in it are at least its members, which are at least the
        declared ones that were read: if the totals are equal, so is each line. Then no `":` stands within a text, so
        that the `":"` count texts that are members; these are at most the members that are declared as texts, since
        what isn't was found to be a number, a boolean or an object: if the totals are equal, so is each line. Commas
        are at least those between members; one more may end a list, which DuckDB's parser lets pass.
        """
        if any(part.present["load_id"] < part.rows or part.beyond for part in parts):
            return False
        scans = [file.scan for file in stage.files]
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
            landing.has_trailing_comma(file.readable) for file in stage.files
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

    def _copies(self, stage: Stage, rows: Counter[tuple[str, bool]], settled: bool) -> list[_Part]:
        """Write the lines of each source and their copies, `rows` of each; two files at a time, largest first."""
        # To find few lines among many costs as much as to read them all: once for all but the most.
        most = max(rows, key=lambda group: rows[group])
        stage.connection.execute(f"create or replace table others as from {STAGED} where ({_is_of(*most)}) is not true")
        jobs = []
        for group in sorted(rows, key=lambda group: -rows[group]):
            lines = STAGED if group == most else "others"
            before = sum((part.source, part.copied) == group for part in self.parts)
            slices = self._halves(stage, group, lines) if rows[group] >= SPLIT_ROWS else ["true"]
            for number, piece in enumerate(slices, before + 1):
                jobs.append((*group, number, self.rows(group[0], settled, f"(from {lines} where {piece})")))
        return list(side_by_side(self.writers[stage.name], lambda writer, job: self._copy(writer, *job), jobs))

    def _halves(self, stage: Stage, group: tuple[str, bool], lines: str) -> list[str]:
        """SQL: whether a line is in the first half of where a group's lines are, or in the second; neither is empty."""
        middle = f"select (min(_row) + max(_row)) // 2 from {lines} where {_is_of(*group)}"
        ((last,),) = stage.connection.execute(middle).fetchall()
        return [f"_row <= {last}", f"_row > {last}"]

    def _copy(self, connection: duckdb.DuckDBPyConnection, source: str, copied: bool, number: int, typed: str) -> _Part:
        made = self.work / f"{'copies' if copied else 'events'}-{source}-{number}.parquet"
        columns = ", ".join(
            f"{validate.name(name)}::{kind} as {validate.name(name)}"
            for name, kind in self.contract.lake_columns(source)
        )
        # One thread writes the lines in order by itself; to be told so costs another copy of them.
        connection.execute(f"set session preserve_insertion_order = {self.threads > 1}")
        ((rows,),) = connection.execute(f"""
            copy (select {columns} from {typed} where {_is_of(source, copied)})
            to {validate.text(str(made))} ({COPY_OPTIONS})""").fetchall()
        connection.execute("set session preserve_insertion_order = true")
        return _Part(source, copied, number, made, rows, *self._statistics(connection, source, made))

    def _statistics(
        self, connection: duckdb.DuckDBPyConnection, source: str, made: Path
    ) -> tuple[dict[str, int], bool]:
        """`present` and `beyond` of a part, by the statistics of its row groups: those of the file leave some out."""
        fields = {f.name: f for f in (*self.contract.stored_envelope, *self.contract.source_properties(source))}
        present: Counter[str] = Counter()
        beyond = False
        for name, values, least, greatest in connection.execute(f"""
            select path_in_schema, num_values - stats_null_count, stats_min_value, stats_max_value
            from parquet_metadata({validate.path(made)})""").fetchall():
            present[name] += values
            if values and name in fields:
                beyond |= validate.reaches_beyond(fields[name], least, greatest, self.latest)
        return present, beyond

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
        started = self.started_at.replace(tzinfo=None)
        newest = f"select max(occurred_at) from {validate.read_parquet([made])}"
        # The first is in the file's statistics; few files hold events that are ahead of the clock.
        ((latest,),) = self.connection.execute(newest).fetchall()
        if latest <= started:
            return latest, latest
        ((before,),) = self.connection.execute(
            f"{newest} where occurred_at <= timestamp {validate.text(str(started))}"
        ).fetchall()
        return latest, before

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
        paths = ", ".join(map(validate.path, self.reject_files))
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
                    [{paths}], format = 'newline_delimited', hive_partitioning = false, maximum_object_size = {size},
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
        pieces_of: dict[str, list[File]] = {}
        for file in self.files:
            pieces_of.setdefault(file.input.label, []).append(file)
        made: list[LoadedFile] = []
        for label, pieces in pieces_of.items():
            file = pieces[0]
            lines, duplicates = sum(piece.lines for piece in pieces), sum(piece.duplicates for piece in pieces)
            rejects = sum((piece.rejects for piece in pieces), Counter[str]())
            dropped = sum((piece.dropped for piece in pieces), Counter[str]())
            entry = LoadedFile(
                path=label,
                sha256=file.sha256,
                size=file.stat.size,
                mtime_ns=file.stat.mtime_ns,
                inode=file.stat.inode,
                lines=lines,
                accepted=lines - rejects.total() - duplicates,
                duplicates=duplicates,
                rejected=rejects.total(),
                rejects=dict(sorted(rejects.items())),
                dropped_properties=dict(sorted(dropped.most_common(odd.MOST_NAMES))),
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


def _is_of(source: str, copied: bool) -> str:
    """SQL: whether a staged line is an event, or a copy, of a source."""
    reason = f"_reason = '{COPY}'" if copied else "_reason is null"
    return f"_r_source = {validate.text(source)} and {reason}"
