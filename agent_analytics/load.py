"""One load's work in DuckDB: read batches of files, judge and type their lines, find duplicates, write the load's
files.

Everything is written under the load's scratch folder; `Outcome.moves` says what has to be moved where for the load
to exist.
"""

from __future__ import annotations

import base64
import json
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from agent_analytics import landing, validate
from agent_analytics.contract import Contract
from agent_analytics.errors import AnalyticsError
from agent_analytics.hashing import keyed_hash, keyed_hash_sql, pads
from agent_analytics.landing import Scan, Stat
from agent_analytics.ledger import DuplicatesFile, LakeFile, Ledger, LoadedFile
from agent_analytics.lines import MALFORMED, QuarantinedText, judge, quarantined
from agent_analytics.storage import Storage

MEMORY_LIMIT = "2GB"
BATCH_BYTES = 64 << 20
FUTURE = timedelta(hours=24)
OBJECT_SIZE = 16 << 20
MOST_NAMES = 1000
IN_PLACE = 2_000_000
# What `_reason` holds besides reasons to reject: not a plain line, a copy of an accepted event.
ODD = "odd"
COPY = "copy"
COPY_OPTIONS = "(format parquet, compression zstd, compression_level 1, dictionary_size_limit 1000)"


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
    moves: list[tuple[Path, Path]] = field(default_factory=list)


@dataclass
class _Odd:
    """The batch's lines that aren't plain: where each came from, and whether Python has to judge it."""

    path: Path
    line: array[int] = field(default_factory=lambda: array("q"))
    file_no: array[int] = field(default_factory=lambda: array("q"))
    number: array[int] = field(default_factory=lambda: array("q"))
    suspect: bytearray = field(default_factory=bytearray)


@dataclass
class _File:
    """A file being loaded.

    `first` is the load-wide number of its first line, lines being numbered through without blanks.
    """

    number: int
    input: Input
    stat: Stat
    readable: Path
    scan: Scan = field(default_factory=Scan)
    first: int = 0
    lines: int = 0
    rejects: Counter[str] = field(default_factory=Counter)
    duplicates: int = 0
    dropped: Counter[str] = field(default_factory=Counter)


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
        self.user_id_longest = next(field.max_length for field in contract.envelope if field.name == "user_id")
        self.envelope = contract.envelope
        self.latest = f"timestamp {validate.text(str((started_at + FUTURE).replace(tzinfo=None)))}"
        self.files: list[_File] = []
        self.batch: list[_File] = []
        self.failed: dict[str, str] = {}
        self.sources: list[str] = []
        self.next_line = 0
        self.accepted = 0
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
        self.tell("looking for duplicates and writing", 0.8)
        outcome = self._write()
        self.tell("written", 1.0)
        return outcome

    def _batches(self, inputs: list[Input]) -> Iterator[list[_File]]:
        """Small files are read together: each statement costs more than a small file."""
        batch: list[_File] = []
        size = 0
        for number, given in enumerate(inputs):
            try:
                stat = landing.stat(given.path)
            except OSError as problem:
                self.failed[given.label] = problem.strerror or str(problem)
                continue
            readable = given.path if given.path.name.endswith(".jsonl") else self.work / f"{number}.jsonl"
            batch.append(_File(number, given, stat, readable))
            size += stat.size * (1 if readable == given.path else 8)
            if size >= BATCH_BYTES:
                yield batch
                batch, size = [], 0
        if batch:
            yield batch

    def _start(self, pool: ThreadPoolExecutor, batch: list[_File]) -> list[Future[Scan]]:
        return [pool.submit(_scan, file.input.path, file.readable) for file in batch]

    def _read(self, batch: list[_File], scans: list[Future[Scan]]) -> None:
        plain = all(file.readable == file.input.path for file in batch)
        staged = plain and self._try_stage([file.readable for file in batch])
        good = [file for file, scan in zip(batch, scans, strict=True) if self._scanned(file, scan)]
        self.longest = max([self.longest, *(file.scan.longest for file in good)])
        if not good:
            return
        if not staged or len(good) < len(batch):
            self._stage(good)
        self._count(good)
        self.files += good
        self.batch = good
        for source in self._staged_sources("true"):
            self._type(source)
        if not self._all_plain(good):
            self._settle(good)
        self.next_line = good[-1].first + good[-1].lines
        for file in good:
            if file.readable != file.input.path:
                file.readable.unlink()

    def _scanned(self, file: _File, scan: Future[Scan]) -> bool:
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

    # Plain lines

    def _stage(self, batch: list[_File]) -> None:
        """The table `stage`: a row per line in order; lines that the JSON reader refuses are read as `{}`."""
        paths = [file.readable for file in batch]
        if self._try_stage(paths):
            return
        not_an_object = "json is null or not starts_with(ltrim(json, ' \t\r'), '{')"
        repeats = f"{not_an_object} or len(list_distinct(json_keys(json))) < len(json_keys(json))"
        for bad in (not_an_object, repeats):
            lines = self._read_lines(paths)
            self.connection.execute(
                f"create or replace temp table refused as select file_index, {bad} as bad from {lines}"
            )
            copies = [self._blotted(path, index) for index, path in enumerate(paths)]
            if self._try_stage(copies):
                return
        nothing = ", ".join(f"null::varchar as {validate.raw(field)}" for field in self.contract.envelope)
        self.connection.execute(
            f"create or replace temp table stage as select file_index::bigint as _file_no, {nothing} from refused"
        )

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
        columns = ", ".join(f"{validate.name(field.name)}: '{validate.plain_type(field)}'" for field in self.envelope)
        fields = ", ".join(f"{validate.name(field.name)}::varchar as {validate.raw(field)}" for field in self.envelope)
        try:
            self.connection.execute(f"""
                create or replace temp table stage as
                select file_index::bigint as _file_no, {fields}
                from read_json(
                    [{validate.texts(map(str, paths))}], format = 'newline_delimited', columns = {{{columns}}},
                    maximum_object_size = {self._object_size()}
                )""")
        except duckdb.Error:
            return False
        return True

    def _object_size(self) -> int:
        return max(OBJECT_SIZE, 2 * self.longest)

    def _count(self, batch: list[_File]) -> None:
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
            file.first, file.lines = self.next_line + first, count
            expected += count

    def _type(self, source: str) -> None:
        """Type one source's lines, appending those that look plain to the table of its events.

        Whether they are is for `_all_plain` and `_settle` to say: the reader turns 5 into a text where a text is
        declared, and leaves out what isn't declared.
        """
        contract = self.contract
        fields = contract.source_properties(source)
        structure = json.dumps({field.name: validate.plain_type(field) for field in fields})
        parts = "".join(f", _parts.{validate.name(field.name)}::varchar as {validate.raw(field)}" for field in fields)
        understood = ", ".join(
            f"{validate.plain_understand(field)} as {validate.understood(field)}" for field in (*self.envelope, *fields)
        )
        values = "".join(
            f", {validate.plain_value(field)} as {validate.name(field.name)}"
            for field in (*contract.stored_envelope, *fields)
        )
        members, strings, properties = validate.plain_counts(contract, source)
        numbers = [file.number for file in self.batch]
        hashed = [file.input.user_id_hashed for file in self.batch]
        transform = f"json_transform(_r_properties, {validate.text(structure)})" if fields else "null"
        self._append(
            source,
            f"""
            select
                _n, {numbers}[_file_no + 1] as _file_no, case when not _plain then '{ODD}' end as _reason,
                null::varchar[] as _undeclared,
                false as _lax, {hashed}[_file_no + 1] as _user_id_hashed
                {values},
                md5_number_lower(_u_event_id) as event_hash,
                (_members)::smallint as _members, (_strings)::smallint as _strings,
                (_members - 1 - (_properties > 0)::utinyint)::smallint as _commas
            from (
                select
                    *, {validate.plain_row(contract, source, self.latest)} as _plain,
                    {members} as _members, {strings} as _strings, {properties} as _properties
                from (
                    select *, {understood}
                    from (
                        select *{parts}
                        from (
                            select {self.next_line} + rowid as _n, *, {transform} as _parts
                            from stage where _r_source = {validate.text(source)}
                        )
                    )
                )
            )""",
        )

    def _append(self, source: str, query: str) -> None:
        table = _events(source)
        if source in self.sources:
            self.connection.execute(f"insert into {table} {query}")
        else:
            self.connection.execute(f"create temp table {table} as {query}")
            self.sources.append(source)

    def _all_plain(self, batch: list[_File]) -> bool:
        """Whether every line of the batch is plain, proved by totals.

        In a plain line all members are declared, none stands twice or is null, and texts stand where texts are
        declared and nowhere else. For every line the `":` in it are at least its members, which are at least the
        declared ones that were read: if the totals are equal, so is each line. Then no `":` stands within a text, so
        that the `":"` count texts that are members; these are at most the members that are declared as texts, since
        what isn't was found to be a number, a boolean or an object: if the totals are equal, so is each line. Commas
        are at least those between members; one more may end a list, which DuckDB's parser lets pass.
        """
        totals = [0, 0, 0, 0]
        for source in self.sources:
            found = self.connection.execute(f"""
                select count(*), sum(_members), sum(_strings), sum(_commas)
                from {_events(source)} where _n >= {self.next_line} and _reason is null""").fetchall()[0]
            totals = [total + int(part or 0) for total, part in zip(totals, found, strict=True)]
        lines, members, strings, commas = totals
        scans = [file.scan for file in batch]
        return (
            lines == sum(file.lines for file in batch)
            and members == sum(scan.members for scan in scans)
            and strings == sum(scan.strings for scan in scans)
            and not any(scan.odd for scan in scans)
            and (
                commas == sum(scan.commas for scan in scans)
                or not any(landing.has_trailing_comma(file.readable) for file in batch)
            )
        )

    # Odd lines

    def _settle(self, batch: list[_File]) -> None:
        """Take the lines that aren't plain out of the events and judge each exactly."""
        odd = self._odd_lines(batch)
        columns = {
            "_odd_row": np.arange(len(odd.line)),
            "_n": np.frombuffer(odd.line, np.int64),
            "_file_no": np.frombuffer(odd.file_no, np.int64),
        }
        self.connection.register("odd_lines", columns)
        self.connection.execute("create or replace temp table odd as from odd_lines")
        self.connection.unregister("odd_lines")
        for source in self.sources:
            self.connection.execute(f"delete from {_events(source)} where _n in (select _n from odd)")
        self.connection.execute(self._stage_sql(self._lines([odd.path])))
        rows = self.connection.execute("select count(*) from stage").fetchall()[0][0]
        if rows != len(odd.line):
            raise AnalyticsError(f"{len(odd.line)} odd lines, but {rows} were read; nothing was committed; report this")
        for source in self._staged_sources("_reason is null"):
            self._type_odd(source)
        self._judge(batch, odd)
        odd.path.unlink()

    def _odd_lines(self, batch: list[_File]) -> _Odd:
        """Compare line by line what was read with what is there."""
        expected = np.full((3, sum(file.lines for file in batch)), -1, np.int16)
        for source in self.sources:
            found = self.connection.execute(f"""
                select _n - {self.next_line} as n, _members, _strings, _commas
                from {_events(source)} where _n >= {self.next_line} and _reason is null""").fetchnumpy()
            for row, name in enumerate(("_members", "_strings", "_commas")):
                expected[row, found["n"]] = found[name]
        odd = _Odd(self.work / "odd.jsonl")
        n = self.next_line
        with odd.path.open("wb") as out:
            for file_no, file in enumerate(batch):
                counts = expected[:, file.first - self.next_line :][:, : file.lines]
                is_odd = file.scan.odd
                for (number, line), members, strings, commas in zip(
                    landing.lines(file.readable), *(part.tolist() for part in counts), strict=True
                ):
                    if (
                        line.count(b'":') != members
                        or line.count(b'":"') + line.count(b'": "') != strings
                        or (line.count(b",") != commas and landing.is_suspect(line))
                        or (is_odd and landing.has_odd_space(line))
                    ):
                        out.write(line + b"\n")
                        odd.line.append(n)
                        odd.file_no.append(file_no)
                        odd.number.append(number)
                        odd.suspect.append(landing.is_suspect(line))
                    n += 1
        return odd

    def _read_lines(self, paths: Iterable[Path]) -> str:
        return (
            f"read_ndjson_objects([{validate.texts(map(str, paths))}], format = 'newline_delimited', "
            f"ignore_errors = true, maximum_object_size = {self._object_size()})"
        )

    def _lines(self, paths: list[Path]) -> str:
        """SQL for the lines as JSON, a line that isn't JSON as NULL, and the envelope's raw values.

        `read_json` would save a pass, but loses the line after a bad one (after `[`, say), and fails on repeated names.
        """
        fields = ", ".join(
            f"_parts.{validate.name(field.name)}::varchar as {validate.raw(field)}" for field in self.contract.envelope
        )
        structure = validate.text(json.dumps({field.name: "JSON" for field in self.contract.envelope}))
        return f"""
            select json, _keys, _parts is not null as _is_object, {fields}
            from (
                select json, json_keys(json) as _keys, json_transform(json, {structure}) as _parts
                from {self._read_lines(paths)}
            )"""

    def _stage_sql(self, rows: str) -> str:
        contract = self.contract
        names = validate.texts(field.name for field in contract.envelope)
        lax = validate.text(validate.LAX_LITERAL)
        present = " + ".join(f"({validate.raw(field)} is not null)::integer" for field in contract.envelope)
        understood = ", ".join(
            f"{validate.understand(field)} as {validate.understood(field)}" for field in contract.envelope
        )
        values = ", ".join(f"{validate.value(field)} as {validate.name(field.name)}" for field in contract.envelope)
        return f"""
            create or replace temp table stage as
            select
                case when _repeats then '{MALFORMED}' else {validate.envelope_reason(contract, self.latest)} end
                    as _reason,
                nullif(_undeclared, []) as _undeclared,
                case when len(_undeclared) > 0 then regexp_matches(json, {lax}) else false end as _lax,
                _u_source as _r_source, {values}
            from (
                select
                    *, {understood},
                    case when len(_keys) > _present then list_filter(_keys, lambda k: k not in ({names})) end
                        as _undeclared,
                    case when len(_keys) > _present then len(list_distinct(_keys)) < len(_keys) else false end
                        as _repeats
                from (select *, {present} as _present from ({rows}))
            )"""

    def _staged_sources(self, condition: str) -> list[str]:
        rows = self.connection.execute(f"select distinct _r_source from stage where {condition}").fetchall()
        found = {row[0] for row in rows}
        return [source for source in self.contract.sources if source in found]

    def _type_odd(self, source: str) -> None:
        """Judge and type the odd lines' properties of one source, appending to the table of its events."""
        contract = self.contract
        fields = contract.source_properties(source)
        envelope = [validate.name(field.name) for field in contract.stored_envelope]
        parts = "".join(f", _parts.{validate.name(field.name)}::varchar as {validate.raw(field)}" for field in fields)
        understood = "".join(f", {validate.understand(field)} as {validate.understood(field)}" for field in fields)
        values = "".join(
            f", {validate.property_value(contract, source, field)} as {validate.name(field.name)}" for field in fields
        )
        undeclared = validate.properties_undeclared(contract, source)
        lax = validate.text(validate.LAX_LITERAL)
        numbers = [file.number for file in self.batch]
        hashed = [file.input.user_id_hashed for file in self.batch]
        transform = (
            f"json_transform(properties, {validate.properties_structure(contract, source)})" if fields else "null"
        )
        self._append(
            source,
            f"""
            select
                _n, {numbers}[_file_no + 1] as _file_no,
                {validate.property_reason(contract, source)} as _reason,
                nullif(list_concat(_undeclared, _undeclared_properties), []) as _undeclared,
                case
                    when len(_undeclared_properties) > 0
                        then _lax or regexp_matches(properties, {lax})
                    else _lax
                end as _lax,
                {hashed}[_file_no + 1] as _user_id_hashed, {", ".join(envelope)}{values},
                md5_number_lower(event_id) as event_hash,
                -1::smallint as _members, -1::smallint as _strings, -1::smallint as _commas
            from (
                select
                    *{understood},
                    case when len(_keys) > _present then len(list_distinct(_keys)) < len(_keys) else false end
                        as _repeats,
                    case when len(_keys) > _present then {undeclared} end as _undeclared_properties
                from (
                    select *, {validate.properties_present(contract, source)} as _present
                    from (
                        select *{parts}
                        from (
                            select stage.*, odd._n, odd._file_no, {transform} as _parts, json_keys(properties) as _keys
                            from stage join odd on odd._odd_row = stage.rowid
                            where _reason is null and source = {validate.text(source)}
                        )
                    )
                )
            )""",
        )

    def _judge(self, batch: list[_File], odd: _Odd) -> None:
        """Look at each rejected or suspected line: settle its reason and write it for the quarantine."""
        overruled: list[int] = []
        path = self.work / f"rejects-{len(self.reject_files)}.jsonl"
        before = self.rejected
        doubtful = self._doubtful()
        doubt = next(doubtful, None)
        with path.open("w", encoding="utf-8") as out:
            for row, (_, line) in enumerate(landing.lines(odd.path)):
                n, reason, suspect = odd.line[row], None, odd.suspect[row]
                if doubt and doubt[0] == n:
                    reason, suspect = doubt[1], True
                    doubt = next(doubtful, None)
                verdict = judge(line) if suspect else None
                if verdict and reason is None:
                    overruled.append(n)
                reason = verdict or reason
                if reason:
                    file = batch[odd.file_no[row]]
                    file.rejects[reason] += 1
                    out.write(
                        json.dumps(self._record(file, n, odd.number[row], reason, line), ensure_ascii=False) + "\n"
                    )
                    self.rejected += 1
        if self.rejected > before:
            self.reject_files.append(path)
        if overruled:
            for source in self.sources:
                self.connection.execute(
                    f"update {_events(source)} set _reason = '{MALFORMED}' "
                    f"where _n in (select unnest({overruled}::bigint[]))"
                )

    def _doubtful(self) -> Iterator[tuple[int, str | None]]:
        """(line, reason) of the batch's rejected lines; (line, None) of accepted ones that may hide a lax literal."""
        parts = ["select _n, _reason from stage join odd on odd._odd_row = stage.rowid where _reason is not null"]
        parts += [
            f"select _n, _reason from {_events(source)} where _n >= {self.next_line} and (_reason is not null or _lax)"
            for source in self.sources
        ]
        result = self.connection.execute(" union all ".join(parts) + " order by _n")
        while rows := result.fetchmany(10_000):
            yield from rows

    def masked(self, line: bytes, already_hashed: bool) -> bytes:
        """The line's bytes without a user_id in the clear."""
        kept = self._kept(line, already_hashed)
        return kept.text.encode("utf-8") if kept.raw is None else kept.raw

    def _kept(self, line: bytes, already_hashed: bool) -> QuarantinedText:
        return quarantined(line, lambda value: keyed_hash(self.key, value), already_hashed, self.user_id_longest)

    def _record(self, file: _File, n: int, number: int, reason: str, line: bytes) -> dict[str, Any]:
        kept = self._kept(line, file.input.user_id_hashed)
        return {
            "n": n,
            "file": file.input.label,
            "replays": file.input.replays,
            "line_number": number,
            "reason": reason,
            "field": reason.partition(":")[2] or None,
            "line": kept.text,
            "raw": base64.b64encode(kept.raw).decode() if kept.raw is not None else None,
            "user_id_hashed": kept.user_id_hashed,
        }

    # Writing

    def _write(self) -> Outcome:
        outcome = Outcome(failed=self.failed)
        clock: datetime | None = None
        self._hash_users()
        for source in self.sources:
            self._mark_duplicates(source)
            newest = self._write_source(source, outcome)
            clock = max(filter(None, (clock, newest)), default=None)
            self._count_dropped(source)
        outcome.clock = timestamp_text(clock) if clock else None
        self._write_quarantine(outcome)
        outcome.files = self._ledger_files()
        return outcome

    def _hash_users(self) -> None:
        if not self.sources:
            return
        ids = " union all ".join(
            f"select distinct user_id from {_events(source)} where not _user_id_hashed" for source in self.sources
        )
        # A table of its own: otherwise DuckDB hashes each row's user_id, not each user_id.
        self.connection.execute(
            f"create temp table user_ids as select distinct user_id from ({ids}) where user_id is not null"
        )
        # Registered, not written into the statement, which an error message might show; parameters would load pandas.
        inner, outer = pads(self.key)
        self.connection.register("pads", {"_inner": np.array([inner.hex()]), "_outer": np.array([outer.hex()])})
        self.connection.execute(
            f"create temp table users as select user_id, {keyed_hash_sql('user_id')} as hashed from user_ids, pads"
        )
        self.connection.unregister("pads")

    def _mark_duplicates(self, source: str) -> None:
        """Mark a source's copies: later ones within the load, and all whose event an earlier load accepted."""
        events = _events(source)
        self.connection.execute(f"""
            update {events} set _reason = '{COPY}' where _n in (
                select _n from (
                    select _n, row_number() over (partition by event_id order by _n) as copy
                    from {events}
                    where _reason is null and event_hash in (
                        select event_hash from {events} where _reason is null group by event_hash having count(*) > 1
                    )
                )
                where copy > 1
            )""")
        history = [str(self.storage.lake / file.path) for _, file in self.ledger.lake_files() if file.source == source]
        if not history:
            return
        hashes = f"select event_hash from {events} where _reason is null"
        with_hits = [
            row[0]
            for row in self.connection.execute(
                f"""
                select distinct filename from read_parquet([{validate.texts(history)}], filename = true)
                where event_hash in ({hashes})"""
            ).fetchall()
        ]
        if with_hits:
            self.connection.execute(f"""
                update {events} set _reason = '{COPY}' where _reason is null and (event_hash, event_id) in (
                    select (event_hash, event_id) from read_parquet([{validate.texts(with_hits)}])
                    where event_hash in ({hashes})
                )""")

    def _write_source(self, source: str, outcome: Outcome) -> datetime | None:
        """Write a source's accepted events and copies.

        Returns the newest occurred_at that isn't later than the start.
        """
        started = validate.text(str(self.started_at.replace(tzinfo=None)))
        accepted, copies, odd, newest, clock = self.connection.execute(
            f"""
            select
                count(*) filter (where _reason is null), count(*) filter (where _reason = '{COPY}'),
                count(*) filter (where _members < 0),
                max(occurred_at) filter (where _reason is null),
                max(occurred_at) filter (where _reason is null and occurred_at <= timestamp {started})
            from {_events(source)} where _reason is null or _reason = '{COPY}'"""
        ).fetchall()[0]
        rows = self._put_hashes(source, accepted + copies)
        # Odd lines were added behind the others, and a join's rows come in any order.
        order = "order by _n" if odd or rows != _events(source) else ""
        if accepted:
            target = f"{source}/{self.load_id}.parquet"
            self._copy(source, f"{rows} where _reason is null {order}", target, outcome)
            outcome.lake.append(
                LakeFile(source=source, path=target, rows=accepted, newest_occurred_at=timestamp_text(newest))
            )
        if copies:
            target = f"_duplicates/{source}/{self.load_id}.parquet"
            self._copy(source, f"{rows} where _reason = '{COPY}' {order}", target, outcome)
            outcome.duplicates.append(DuplicatesFile(source=source, path=target, rows=copies))
        self.accepted += accepted
        return clock if isinstance(clock, datetime) else None

    def _put_hashes(self, source: str, rows: int) -> str:
        """SQL for a source's events with hashed users and what to order them by.

        A join loses the order of the lines, and sorting them costs as much as writing them. Few rows are changed in
        place, which costs next to nothing; the new values stay in memory, so that many rows are joined and sorted.
        """
        events = _events(source)
        if rows > IN_PLACE:
            hashed = "case when events._user_id_hashed then events.user_id else users.hashed end"
            return (
                f"(select events.* replace ({hashed} as user_id) from {events} as events "
                f"left join users on users.user_id = events.user_id)"
            )
        self.connection.execute(f"""
            update {events} as events set user_id = users.hashed from users
            where events.user_id = users.user_id and not events._user_id_hashed""")
        return events

    def _copy(self, source: str, rows: str, target: str, outcome: Outcome) -> None:
        columns = ", ".join(
            f"{self.load_id}::bigint as load_id"
            if name == "load_id"
            else f"{validate.name(name)}::{kind} as {validate.name(name)}"
            for name, kind in self.contract.lake_columns(source)
        )
        made = self.work / target.replace("/", "-")
        self.connection.execute(f"copy (select {columns} from {rows}) to {validate.text(str(made))} {COPY_OPTIONS}")
        outcome.moves.append((made, self.storage.lake / target))

    def _count_dropped(self, source: str) -> None:
        by_number = {file.number: file for file in self.files}
        for number, count in self.connection.execute(
            f"select _file_no, count(*) from {_events(source)} where _reason = '{COPY}' group by _file_no"
        ).fetchall():
            by_number[number].duplicates += count
        dropped = self.connection.execute(f"""
            select _file_no, event_type || '.' || _undeclared, count(*) as events
            from (
                select _file_no, event_type, unnest(_undeclared) as _undeclared
                from {_events(source)} where _reason is null or _reason = '{COPY}'
            )
            group by _file_no, event_type, _undeclared
            qualify row_number() over (partition by _file_no order by events desc, _undeclared) <= {MOST_NAMES}
            order by 1, 2""").fetchall()
        for number, name, count in dropped:
            by_number[number].dropped[name] += count

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
            ) to {validate.text(str(made))} {COPY_OPTIONS}""")
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
        if self.accepted != sum(file.accepted for file in made):
            raise AnalyticsError("the load's counts don't add up; nothing was committed; report this")
        return made


def _events(source: str) -> str:
    return validate.name(f"events_{source}")


def _scan(path: Path, readable: Path) -> Scan:
    """One pass over a file, in a thread of its own; leaves readable JSON Lines where the file isn't."""
    if path.name.endswith(".jsonl.gz"):
        return landing.scan_gzip(path, readable)
    if path.name.endswith(".parquet"):
        return landing.scan_parquet(path, readable)
    return landing.scan_plain(path)
