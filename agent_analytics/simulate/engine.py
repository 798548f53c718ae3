"""The simulator's engine: quotas, chunks of time, lateness and copies, and files in arrival order."""

from __future__ import annotations

import gzip as gzip_module
import hashlib
import math
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt

from agent_analytics.errors import AnalyticsError
from agent_analytics.simulate.broken import broken_line
from agent_analytics.simulate.draw import Draw, Part, Window, take
from agent_analytics.simulate.render import render
from agent_analytics.simulate.sources import SOURCES
from agent_analytics.simulate.universe import DAY, HOUR, MINUTE, SECOND, Ints, Universe

#: The default end of a history: within a month and a day, daylight saving changed in Berlin and Lord Howe in the weeks
#: before it, and it is later than the newest of the sample events.
DEFAULT_END = datetime(2026, 5, 3, 12, tzinfo=UTC)

#: Events generated at once; bounds the memory.
CHUNK = 500_000
#: Events per file when the number of files isn't given.
PER_FILE = 500_000
#: DuckDB's threads; None: all cores. The bytes don't depend on it.
THREADS: int | None = None
#: Lateness never exceeds this.
MOST_LATE = 7 * DAY

Progress = Callable[[int, int], None]


@dataclass
class SimulationReport:
    """What was written.

    `lines` = `events` + `duplicates` + the sum of `broken`. `counts` has the events (without copies) by source and
    event type. `broken` counts by kind, `rejects` the same lines by the reject reason that ingest must give. `late`
    events arrived a minute to seven days after they occurred; all others within three seconds.
    """

    files: list[Path] = field(default_factory=list)
    events: int = 0
    duplicates: int = 0
    late: int = 0
    lines: int = 0
    bytes: int = 0
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    broken: dict[str, int] = field(default_factory=dict)
    rejects: dict[str, int] = field(default_factory=dict)
    first_occurred_at: datetime | None = None
    last_occurred_at: datetime | None = None
    seconds: float = 0.0

    @property
    def events_per_second(self) -> float:
        """Distinct events per second of wall time, writing included."""
        return self.events / self.seconds if self.seconds else 0.0


def simulate(
    out: Path,
    *,
    events: int,
    days: float,
    seed: int,
    end: datetime = DEFAULT_END,
    late: float = 0.02,
    duplicates: float = 0.005,
    broken: float = 0.0,
    files: int | None = None,
    gzip: bool = False,
    sources: Sequence[str] | None = None,
    tenants: int = 50,
    progress: Progress | None = None,
) -> SimulationReport:
    """Write a history of `events` distinct events over the `days` before `end` as JSON Lines files under `out`.

    `late`, `duplicates` and `broken` are shares of `events`: events that arrive up to seven days after they occurred,
    extra copies of lines, and extra lines that must be rejected. `sources` restricts the sources, their shares
    renormalised. The same arguments give the same bytes. `progress` is called after each file with about how many lines
    are written, and how many there are in all.

    Raises AnalyticsError for arguments that make no sense.
    """
    plan = _Plan(
        "history", events, timedelta(days=days), seed, end, late, duplicates, broken, files, gzip, sources, tenants
    )
    return _run(out, plan, progress)


def tick(
    out: Path,
    *,
    events: int,
    seed: int,
    end: datetime = DEFAULT_END + timedelta(hours=1),
    late: float = 0.02,
    duplicates: float = 0.005,
    broken: float = 0.0,
    files: int | None = None,
    gzip: bool = False,
    sources: Sequence[str] | None = None,
    tenants: int = 50,
    span: timedelta = timedelta(hours=1),
    progress: Progress | None = None,
) -> SimulationReport:
    """Write the events that arrive in the `span` before `end`, continuing a history of the same `tenants`.

    All but `late` of them occurred within the span, the others before it, in the seven days before the end. Event ids
    differ from those of any history and of ticks with other arguments. Otherwise as `simulate`.
    """
    plan = _Plan("tick", events, span, seed, end, late, duplicates, broken, files, gzip, sources, tenants)
    return _run(out, plan, progress)


@dataclass(frozen=True)
class _Plan:
    """The arguments, checked, and what follows from them."""

    mode: str
    events: int
    span: timedelta
    seed: int
    end: datetime
    late: float
    duplicates: float
    broken: float
    files: int | None
    gzip: bool
    sources: Sequence[str] | None
    tenants: int

    def __post_init__(self) -> None:
        unknown = sorted(set(self.sources or ()) - set(SOURCES))
        if unknown:
            raise AnalyticsError(f"simulate: unknown source {unknown[0]!r}; choose from {', '.join(SOURCES)}")
        if self.sources is not None and not self.sources:
            raise AnalyticsError("simulate: no source chosen; leave `sources` out for all of them")
        if self.events < 1 or self.tenants < 1 or self.seed < 0 or (self.files is not None and self.files < 1):
            raise AnalyticsError("simulate: events, tenants and files must be at least 1, seed at least 0")
        if not timedelta(minutes=1) <= self.span <= timedelta(days=20 * 366):
            raise AnalyticsError("simulate: the span must be between a minute and twenty years")
        if self.end.tzinfo is None:
            raise AnalyticsError("simulate: `end` needs a time zone")
        for name in ("late", "duplicates", "broken"):
            if not 0 <= getattr(self, name) <= 1:
                raise AnalyticsError(f"simulate: {name} is a share between 0 and 1")

    @property
    def end_micros(self) -> int:
        return round(self.end.timestamp() * 1_000_000)

    @property
    def begin_micros(self) -> int:
        return self.end_micros - self.span // timedelta(microseconds=1)

    @property
    def chosen(self) -> list[str]:
        return [name for name in SOURCES if self.sources is None or name in self.sources]

    @property
    def run(self) -> str:
        """The prefix of all ids: mode, seed, and a digest of whatever else shapes the events."""
        shape = repr(
            (self.mode, self.events, self.span, self.seed, self.end_micros, self.chosen, self.tenants, self.late)
        )
        return f"{self.mode[0]}{self.seed:x}{hashlib.sha256(shape.encode()).hexdigest()[:8]}"

    @property
    def file_count(self) -> int:
        return self.files or -(-self.events // PER_FILE)

    @property
    def chunks_per_file(self) -> int:
        return max(1, math.ceil(self.events / self.file_count / CHUNK))

    @property
    def chunks(self) -> int:
        return self.file_count * self.chunks_per_file

    def totals(self) -> dict[str, int]:
        """Events per source by share, whole numbers that sum to `events` (largest remainders)."""
        shares = {name: SOURCES[name].share for name in self.chosen}
        exact = {name: self.events * share / sum(shares.values()) for name, share in shares.items()}
        totals = {name: math.floor(value) for name, value in exact.items()}
        rest = self.events - sum(totals.values())
        for name in sorted(exact, key=lambda name: totals[name] - exact[name])[:rest]:
            totals[name] += 1
        return totals


def _slice(total: int, chunk: int, chunks: int) -> int:
    """The chunk's part of a total, such that the parts sum to it."""
    return total * (chunk + 1) // chunks - total * chunk // chunks


def _bounds(universe: Universe, begin: int, end: int, chunks: int) -> Ints:
    """Times that cut the span into `chunks` pieces of about equal activity."""
    if chunks == 1:
        return np.array([begin, end], dtype=np.int64)
    first, last = begin // HOUR, -(-end // HOUR)
    edges = np.clip(np.arange(first, last + 1, dtype=np.int64) * HOUR, begin, end)
    activity = universe.activity("work", first, last - first).sum(axis=0) * np.diff(edges)
    heights = np.concatenate(([0.0], np.cumsum(activity)))
    cuts = np.interp(np.arange(chunks + 1) / chunks * heights[-1], heights, edges.astype(np.float64))
    bounds = np.array(np.round(cuts), dtype=np.int64)
    bounds[0], bounds[-1] = begin, end
    return bounds


@dataclass
class _Chunk:
    """A chunk's lines as columns with their queries, and what to report of it."""

    views: dict[str, dict[str, npt.NDArray[Any]]]
    queries: list[str]
    counts: dict[str, dict[str, int]]
    late: int
    duplicates: int
    later: bool
    first: int
    last: int


def _collect(source: str, rng: np.random.Generator, window: Window, before: int, quota: int, first: int) -> list[Part]:
    """Exactly `quota` events of a source from stories that start in the window, none at or after `before`.

    Stories are taken at random until the quota is full; the last one loses its ending.
    """
    definition = SOURCES[source]
    parts: list[Part] = []
    have = stories = 0
    while have < quota:
        wanted = math.ceil((quota - have) / definition.mean_events)
        if definition.mean_events > 1:
            wanted = math.ceil(wanted * 1.04) + 2
        for part in definition.generate(Draw(rng, window, first + stories), wanted):
            inside = part.t < before
            part = part if inside.all() else take(part, inside)
            part.story = part.story + stories
            parts.append(part)
            have += len(part.t)
        stories += wanted
    if have == quota:
        return parts
    position = rng.permutation(stories)
    places = [position[part.story] for part in parts]
    filled = np.cumsum(np.bincount(np.concatenate(places), minlength=stories))
    cut = int(np.searchsorted(filled, quota, side="left"))
    room = quota - (int(filled[cut - 1]) if cut else 0)
    last_times = np.sort(np.concatenate([part.t[place == cut] for part, place in zip(parts, places, strict=True)]))
    limit = last_times[room - 1]
    ties = room - int((last_times < limit).sum())
    out = []
    for part, place in zip(parts, places, strict=True):
        equal = np.flatnonzero((place == cut) & (part.t == limit))[:ties]
        ties -= len(equal)
        keep = (place < cut) | ((place == cut) & (part.t < limit))
        keep[equal] = True
        out.append(take(part, keep))
    return out


class _Generator:
    """Makes a plan's chunks, each from random streams of its own."""

    def __init__(self, plan: _Plan) -> None:
        self.plan = plan
        self.universe = Universe(plan.tenants)
        self.bounds = _bounds(self.universe, plan.begin_micros, plan.end_micros, plan.chunks)
        self.totals = plan.totals()

    def chunk(self, number: int) -> _Chunk:
        """The lines of the stories that start in the chunk's piece of time."""
        plan, chunks = self.plan, self.plan.chunks
        begin, end = int(self.bounds[number]), int(self.bounds[number + 1])
        window = Window(self.universe, begin, max(end, begin + 1))
        back: Window | None = None
        if plan.mode == "tick" and plan.late:
            back = Window(self.universe, plan.end_micros - MOST_LATE, plan.begin_micros)

        parts: list[tuple[str, int, bool, Part]] = []
        for index, source in enumerate(SOURCES):
            total = self.totals.get(source, 0)
            quota, sequence = _slice(total, number, chunks), total * number // chunks
            behind = 0
            if back is not None:
                late_total = round(total * plan.late)
                behind = min(quota, _slice(late_total, number, chunks))
            for late, share, where, before in (
                (False, quota - behind, window, plan.end_micros), (True, behind, back, plan.begin_micros)
            ):  # fmt: skip
                if not share or where is None:
                    continue
                rng = np.random.Generator(np.random.PCG64([plan.seed, number, index, int(late), len(plan.mode)]))
                first = (2 * number + late) * 10_000_000
                for part in _collect(source, rng, where, before, share, first):
                    if len(part.t):
                        parts.append((source, sequence, late, part))
                        sequence += len(part.t)
        return self._arrive(number, parts)

    def _arrive(self, number: int, parts: list[tuple[str, int, bool, Part]]) -> _Chunk:
        plan, chunks = self.plan, self.plan.chunks
        rng = np.random.Generator(np.random.PCG64([plan.seed, number, len(SOURCES), 0, len(plan.mode)]))
        begin, end = int(self.bounds[number]), int(self.bounds[number + 1])
        t = np.concatenate([part.t for _, _, _, part in parts]) if parts else np.empty(0, np.int64)
        count = len(t)
        newest = plan.end_micros - 1
        arrival = np.minimum(t + (rng.random(count) * 3 * SECOND).astype(np.int64), newest)
        if plan.mode == "tick":
            behind = np.concatenate([np.full(len(p.t), late) for _, _, late, p in parts]) if parts else t > 0
            arrival[behind] = begin + (rng.random(int(behind.sum())) * (end - begin)).astype(np.int64)
            late = int(behind.sum())
        else:
            late = _slice(round(plan.events * plan.late), number, chunks)
            candidates = np.flatnonzero(newest - t > 2 * MINUTE)
            late = min(late, len(candidates))
            chosen = rng.choice(candidates, late, replace=False) if late else candidates[:0]
            most = np.minimum(MOST_LATE, newest - t[chosen]) / MINUTE
            arrival[chosen] = t[chosen] + (MINUTE * most ** rng.random(late)).astype(np.int64)

        copies = min(_slice(round(plan.events * plan.duplicates), number, chunks), count)
        copied = np.sort(rng.choice(count, copies, replace=False)) if copies else np.empty(0, np.int64)
        again = arrival[copied] + (10 * MINUTE * np.exp(1.5 * rng.standard_normal(copies))).astype(np.int64)
        copy_arrival = np.minimum(again, np.maximum(arrival[copied], newest))

        # The copy's tie is larger, so that of two equal arrivals the original comes first.
        base = number << 32
        views: dict[str, dict[str, npt.NDArray[Any]]] = {}
        queries: list[str] = []
        counts: dict[str, dict[str, int]] = {}
        offset, later = 0, False
        for source, sequence, _, part in parts:
            size = len(part.t)
            low, high = np.searchsorted(copied, [offset, offset + size])
            rows = np.concatenate([np.arange(size), copied[low:high] - offset])
            arrived = np.concatenate([arrival[offset : offset + size], copy_arrival[low:high]])
            tie = base + np.concatenate([np.arange(offset, offset + size), count + np.arange(low, high)])
            bucket = np.clip(np.searchsorted(self.bounds, arrived, side="right") - 1, number, chunks - 1)
            later = later or bool((bucket > number).any())
            view = f"part_{len(views)}"
            numbers = np.arange(sequence, sequence + size)
            views[view], query = render(part, source, plan.run, view, numbers, bucket, arrived, tie, rows)
            queries.append(query)
            of_source = counts.setdefault(source, {})
            of_source[part.event_type] = of_source.get(part.event_type, 0) + size
            offset += size
        return _Chunk(
            views, queries, counts, late, copies, later, int(t.min()) if count else newest, int(t.max()) if count else 0
        )


def _chunks(generator: _Generator) -> Iterator[_Chunk]:
    """The chunks in order, the next one being made while the caller works on this one."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        ahead = pool.submit(generator.chunk, 0)
        for number in range(generator.plan.chunks):
            chunk = ahead.result()
            if number + 1 < generator.plan.chunks:
                ahead = pool.submit(generator.chunk, number + 1)
            yield chunk


class _Writer:
    """Renders chunks in DuckDB and writes the lines of each piece of time, in arrival order."""

    def __init__(self, scratch: Path) -> None:
        self._connection = duckdb.connect()
        self._connection.execute("SET memory_limit = '1500MB'")
        self._connection.execute("SET temp_directory = ?", [str(scratch / "spill")])
        if THREADS:
            self._connection.execute(f"SET threads = {THREADS}")
        self._connection.execute("CREATE TABLE pending (bucket BIGINT, arrival BIGINT, tie BIGINT, line VARCHAR)")
        self._pending = self._spent = 0

    def close(self) -> None:
        """Give the memory back."""
        self._connection.close()

    def write(self, number: int, chunk: _Chunk, path: Path) -> None:
        """Write the lines that arrive in piece `number`: the chunk's own and those kept from earlier chunks."""
        connection = self._connection
        for view, columns in chunk.views.items():
            connection.register(view, columns)
        union = "\nUNION ALL ".join(chunk.queries)
        due = f"SELECT arrival, tie, line FROM pending WHERE bucket = {number}"
        if union:
            due += f" UNION ALL SELECT arrival, tie, line FROM ({union}) WHERE bucket = {number}"
        connection.execute(
            f"""COPY (SELECT line FROM ({due}) ORDER BY arrival, tie) TO '{path.as_posix().replace("'", "''")}'
            (FORMAT csv, HEADER false, QUOTE '', ESCAPE '', DELIMITER '\x07')"""
        )
        if chunk.later:
            connection.execute(f"INSERT INTO pending SELECT * FROM ({union}) WHERE bucket > {number}")
        for view in chunk.views:
            connection.unregister(view)
        total, kept = connection.execute(
            f"SELECT count(*), count(*) FILTER (WHERE bucket > {number}) FROM pending"
        ).fetchall()[0]
        # Rows already written are dropped once they are most of the table: a delete wouldn't give memory back.
        if total > 2 * kept + 10_000:
            connection.execute(f"CREATE TABLE kept AS SELECT * FROM pending WHERE bucket > {number}")
            connection.execute("DROP TABLE pending")
            connection.execute("ALTER TABLE kept RENAME TO pending")


def _run(out: Path, plan: _Plan, progress: Progress | None) -> SimulationReport:
    started = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    report = SimulationReport(events=plan.events)
    generator = _Generator(plan)
    lines_in_all = plan.events + round(plan.events * plan.duplicates) + round(plan.events * plan.broken)
    stem = f"{plan.mode}-{plan.end.astimezone(UTC):%Y%m%dT%H%M%SZ}-{plan.run}"
    suffix = ".jsonl.gz" if plan.gzip else ".jsonl"
    first, last = plan.end_micros, 0
    with tempfile.TemporaryDirectory(prefix=".simulate-", dir=out) as folder:
        scratch = Path(folder)
        writer = _Writer(scratch)
        try:
            pieces: list[Path] = []
            for number, chunk in enumerate(_chunks(generator)):
                pieces.append(scratch / f"{number}.part")
                writer.write(number, chunk, pieces[-1])
                _add(report, chunk)
                first, last = min(first, chunk.first), max(last, chunk.last)
                if len(pieces) < plan.chunks_per_file:
                    continue
                index = len(report.files)
                whole = _joined(pieces)
                pieces = []
                if plan.broken:
                    begin = generator.bounds[number + 1 - plan.chunks_per_file]
                    _break(whole, plan, index, int(begin), report)
                if plan.gzip:
                    whole = _compressed(whole)
                target = out / f"{stem}-{index + 1:05d}{suffix}"
                report.bytes += whole.stat().st_size
                os.replace(whole, target)
                report.files.append(target)
                if progress is not None:
                    progress(round(lines_in_all * (index + 1) / plan.file_count), lines_in_all)
        finally:
            writer.close()
    report.lines = report.events + report.duplicates + sum(report.broken.values())
    report.first_occurred_at = datetime.fromtimestamp(first / 1_000_000, tz=UTC)
    report.last_occurred_at = datetime.fromtimestamp(last / 1_000_000, tz=UTC)
    report.seconds = time.monotonic() - started
    return report


def _add(report: SimulationReport, chunk: _Chunk) -> None:
    report.late += chunk.late
    report.duplicates += chunk.duplicates
    for source, types in chunk.counts.items():
        mine = report.counts.setdefault(source, {})
        for event_type, count in types.items():
            mine[event_type] = mine.get(event_type, 0) + count


def _joined(pieces: list[Path]) -> Path:
    """The pieces appended to the first of them."""
    whole, *rest = pieces
    if rest:
        with whole.open("ab") as target:
            for piece in rest:
                with piece.open("rb") as source:
                    shutil.copyfileobj(source, target, 1 << 20)
                piece.unlink()
    return whole


def _compressed(path: Path) -> Path:
    """The file as gzip, without a name or time in the header, so that the bytes depend on the content alone."""
    target = path.with_suffix(".gz")
    with (
        path.open("rb") as source,
        target.open("wb") as raw,
        gzip_module.GzipFile(filename="", mode="wb", fileobj=raw, compresslevel=3, mtime=0) as packed,
    ):
        shutil.copyfileobj(source, packed, 1 << 20)
    path.unlink()
    return target


def _break(path: Path, plan: _Plan, index: int, begin: int, report: SimulationReport) -> None:
    """Insert the file's broken lines at random places."""
    total = round(plan.events * plan.broken)
    first, count = total * index // plan.file_count, _slice(total, index, plan.file_count)
    if not count:
        return
    rng = np.random.Generator(np.random.PCG64([plan.seed, index, len(SOURCES) + 1, 0, len(plan.mode)]))
    lines = path.read_bytes().split(b"\n")[:-1]
    occurred_at = f"{datetime.fromtimestamp(begin / 1_000_000, tz=UTC):%Y-%m-%dT%H:%M:%SZ}"
    places = np.sort(rng.integers(0, len(lines) + 1, count))
    out: list[bytes] = []
    taken = 0
    for number, place in enumerate(places.tolist(), start=first):
        kind, reason, line = broken_line(number, plan.run, occurred_at)
        out += lines[taken:place]
        out.append(line)
        taken = place
        report.broken[kind] = report.broken.get(kind, 0) + 1
        report.rejects[reason] = report.rejects.get(reason, 0) + 1
    path.write_bytes(b"\n".join([*out, *lines[taken:]]) + b"\n")
