"""Landed files: which there are, what is in them, and the lines that have to be looked at one by one."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import shutil
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG
from typing import TYPE_CHECKING, BinaryIO

import duckdb
import numpy as np
from duckdb.sqltypes import DuckDBPyType

from agent_analytics import durable, validate
from agent_analytics.errors import AnalyticsError
from agent_analytics.storage import Storage

if TYPE_CHECKING:
    from agent_analytics.ledger import KnownFile

BLOCK = 8 << 20
CHUNK = 96 << 10
PIECE = 256 << 20
LONGEST_LINE = 64 << 20
SUFFIXES = (".jsonl", ".jsonl.gz", ".parquet")
UNFINISHED = (".tmp", ".part")
# What fsck makes on a volume of its own, for nobody else to read.
LOST = "lost+found"
LINKED = "a symlink to a folder is not followed; land the files themselves"
NOT_UTF8 = "its name is not UTF-8: rename it"
# What DuckDB's parser lets pass and RFC 8259 doesn't, where no field is looked at: a comma before a closing
# bracket, and vertical tabs and form feeds around a value.
TRAILING_COMMA = re.compile(rb",[ \t\r]*[}\]]")
ODD_SPACE = (b"\x0b", b"\x0c")
RARELY_SPACED_COLON = (b"\t:", b"\r:")
SPACED_COLON = (b" :", *RARELY_SPACED_COLON)
QUOTE, COLON, COMMA, SPACE, NEWLINE = b'":, \n'


@dataclass(frozen=True)
class Stat:
    """What tells, without reading it, that a file wasn't touched: bytes, modification time in ns, inode."""

    size: int
    mtime_ns: int
    inode: int


@dataclass
class Scan:
    """What one pass over a piece of a file tells; a file is one piece, or several of about PIECE bytes.

    `members` counts `":`, `strings` counts `":"` and `": "`, `commas` counts commas: see `Load._is_whole`. `odd` says
    that the piece holds white space where these counts don't expect it.
    """

    size: int = 0
    physical_lines: int = 0
    members: int = 0
    strings: int = 0
    commas: int = 0
    odd: bool = False
    longest: int = 0


def stat(path: Path | str) -> Stat:
    """The file's present Stat."""
    found = os.stat(path)
    return Stat(found.st_size, found.st_mtime_ns, found.st_ino)


def has_changed(path: Path, before: Stat) -> bool:
    """Whether the file was touched since, or is gone."""
    try:
        return stat(path) != before
    except OSError:
        return True


def landed_files(storage: Storage) -> list[str]:
    """The files to read, as paths relative to landing/ with `/`, in path order; `look` tells what can't be read."""
    return files_in(storage.landing, {})


def files_in(folder: Path, failed: dict[str, str] | None = None) -> list[str]:
    """The files of events in a folder, as paths relative to it with `/`, in path order.

    Dot-files, anything in a dot-folder, and names that say that the file is still being written are left alone. What
    can't be looked at is put into `failed`, with the reason; without `failed`, it raises AnalyticsError.
    """
    found: list[str] = []
    problems: dict[str, str] = {}

    def inside(path: str) -> str:
        return path.removeprefix(str(folder)).lstrip("/")

    def note(problem: OSError) -> None:
        # What is gone meanwhile is no problem.
        if not isinstance(problem, FileNotFoundError):
            problems[inside(problem.filename or "") or "."] = problem.strerror or str(problem)

    def is_file(path: str) -> bool:
        try:
            return S_ISREG(os.stat(path).st_mode)
        except OSError as problem:
            note(problem)
            return False

    for parent, folders, names in os.walk(folder, onerror=note):
        folders[:] = [name for name in folders if not _is_left_alone(name)]
        problems |= {inside(path): LINKED for name in folders if leads_outside(path := f"{parent}/{name}", folder)}
        for name in names:
            if name.endswith(SUFFIXES) and not _is_left_alone(name) and is_file(f"{parent}/{name}"):
                found.append(inside(f"{parent}/{name}"))
    problems |= {name: NOT_UTF8 for name in found if _printable(name) != name}
    if failed is not None:
        failed |= {_printable(name): why for name, why in problems.items()}
    elif problems:
        name, why = min(problems.items())
        raise AnalyticsError(f"{folder / _printable(name)}: {why}; mend that first")
    return sorted(name for name in found if name not in problems)


def _printable(name: str) -> str:
    """A file's name, with escapes where it isn't UTF-8."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def leads_outside(path: str, top: Path) -> bool:
    """Whether a path is a symlink to what lies outside of a folder; what lies inside is found where it lies."""
    return os.path.islink(path) and not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(top))


def _is_left_alone(name: str) -> bool:
    return name.startswith(".") or name.endswith(UNFINISHED) or name == LOST


@dataclass(frozen=True)
class Landed:
    """What lies in landing/, beside what was loaded from there.

    new: no load names it; changed: its content isn't what was loaded; failed: why it can't be looked at, or a folder
    can't; same: those that were touched since they were loaded, and hold the same all the same.
    """

    new: list[str]
    changed: list[str]
    failed: dict[str, str]
    same: dict[str, Stat]


def look(storage: Storage, known: Mapping[str, KnownFile]) -> Landed:
    """What lies in landing/; a file that was touched is read, unless `remember` knows it as it is."""
    found = Landed([], [], {}, _remembered(storage))
    for relative in files_in(storage.landing, found.failed):
        before = known.get(relative)
        try:
            present = stat(f"{storage.landing}/{relative}")
            if before is None:
                found.new.append(relative)
            elif present not in (Stat(before.size, before.mtime_ns, before.inode), found.same.get(relative)):
                may_be_same = present.size == before.size or before.earlier
                if may_be_same and file_hash(storage.landing / relative) in (before.sha256, *before.earlier):
                    found.same[relative] = present
                else:
                    found.changed.append(relative)
        except OSError as problem:
            found.failed[relative] = problem.strerror or str(problem)
    return found


def remember(storage: Storage, same: Mapping[str, Stat]) -> None:
    """Spare the next look the reading of files that were found to hold the same."""
    if same != _remembered(storage):
        kept = {path: [found.size, found.mtime_ns, found.inode] for path, found in same.items()}
        durable.write_json(_memory(storage), kept)


def _remembered(storage: Storage) -> dict[str, Stat]:
    try:
        return {path: Stat(*found) for path, found in json.loads(_memory(storage).read_bytes()).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _memory(storage: Storage) -> Path:
    """Where that is remembered; deleting it costs reading the files again."""
    return storage.loads / ".seen.json"


def file_hash(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def blocks(handle: BinaryIO) -> Iterator[bytes]:
    """The file in pieces of about BLOCK bytes that end at a line's end (but for the last)."""
    carried = b""
    while read := handle.read(BLOCK):
        cut = read.rfind(b"\n") + 1
        if cut:
            yield carried + read[:cut] if carried else read[:cut]
            carried = read[cut:]
        else:
            carried += read
            if len(carried) > LONGEST_LINE:
                raise AnalyticsError(f"a line is longer than {LONGEST_LINE >> 20} MiB")
    if carried:
        yield carried


class _Counter:
    """Adds up a Scan, chunk by chunk; patterns may lie across two chunks."""

    def __init__(self) -> None:
        self.scan = Scan()
        # Each chunk comes behind the three bytes before it. Chunks are small enough for the processor's cache.
        self.buffer = bytearray(b"\n\n\n" + bytes(CHUNK))
        self.free = memoryview(self.buffer)[3:]
        self.line = 0

    def add(self, size: int) -> None:
        """Count the patterns that begin before the last three bytes, `size` bytes having been put into `free`."""
        scan, buffer = self.scan, self.buffer
        scan.size += size
        end = size + 3
        codes = np.frombuffer(buffer, np.uint8, end)
        quotes = codes == QUOTE
        members = quotes[:-3] & (codes[1:-2] == COLON)
        scan.members += int(np.count_nonzero(members))
        scan.strings += int(np.count_nonzero(members & quotes[2:-1]))
        scan.commas += int(np.count_nonzero(codes[3:] == COMMA))
        if self._holds(b" ", end):
            spaces = codes == SPACE
            scan.strings += int(np.count_nonzero(members & spaces[2:-1] & quotes[3:]))
            scan.odd |= bool(np.any(spaces[:-1] & (codes[1:] == COLON)))
        if not scan.odd:
            scan.odd = any(self._holds(odd, end) for odd in ODD_SPACE) or any(
                self._holds(pair[:1], end) and self._holds(pair, end) for pair in RARELY_SPACED_COLON
            )
        self._count_lines(end, int(np.count_nonzero(codes[3:] == NEWLINE)))
        buffer[:3] = buffer[size:end]

    def _holds(self, pattern: bytes, end: int) -> bool:
        return self.buffer.find(pattern, 0, end) >= 0

    def _count_lines(self, end: int, ends: int) -> None:
        scan, buffer = self.scan, self.buffer
        scan.physical_lines += ends
        self.line += (buffer.find(b"\n", 3, end) if ends else end) - 3
        scan.longest = max(scan.longest, self.line)
        if self.line > LONGEST_LINE:
            raise AnalyticsError(f"a line is longer than {LONGEST_LINE >> 20} MiB")
        if ends:
            self.line = end - 1 - buffer.rfind(b"\n", 3, end)

    def last_line_end(self, size: int) -> int:
        """How many of the `size` bytes in `free` belong to whole lines, the one begun before included."""
        return max(0, self.buffer.rfind(b"\n", 3, size + 3) - 2)

    def finish(self) -> Scan:
        """The Scan, when nothing more comes."""
        scan = self.scan
        size, lines = scan.size, scan.physical_lines
        if self.buffer[2] != NEWLINE:
            lines += 1
        self.free[:3] = b"\n\n\n"
        self.add(3)
        scan.size, scan.physical_lines = size, lines
        return scan


def scan(path: Path, readable: Path) -> tuple[str, list[Scan]]:
    """A landed file's hash, and what is in its pieces; leaves JSON Lines in `readable` if that is another file."""
    if path == readable:
        return _scan_lines(path)
    if path.name.endswith(".parquet"):
        _unpack_parquet(path, readable)
    elif path.name.endswith(".gz"):
        _unpack_gzip(path, readable)
    else:
        shutil.copyfile(path, readable)
    return file_hash(path), _scan_lines(readable)[1]


def _scan_lines(path: Path) -> tuple[str, list[Scan]]:
    counter, digest = _Counter(), hashlib.sha256()
    pieces: list[Scan] = []
    with path.open("rb", buffering=0) as handle:
        while size := handle.readinto(counter.free):
            end = counter.last_line_end(size) if counter.scan.size + size > PIECE else 0
            if end:
                # What comes behind is read again, for the next piece.
                handle.seek(end - size, os.SEEK_CUR)
                size = end
            digest.update(counter.free[:size])
            counter.add(size)
            if end:
                pieces.append(counter.finish())
                counter = _Counter()
    if counter.scan.size or not pieces:
        pieces.append(counter.finish())
    return digest.hexdigest(), pieces


def _unpack_gzip(path: Path, copy: Path) -> None:
    try:
        with gzip.open(path, "rb") as handle, copy.open("wb") as out:
            shutil.copyfileobj(handle, out, BLOCK)
    except (EOFError, gzip.BadGzipFile, zlib.error) as problem:
        raise AnalyticsError(f"the gzip file is cut off or damaged ({problem})") from problem


def cut(path: Path, start: int, size: int, copy: Path) -> None:
    """Copy `size` bytes of a file."""
    with path.open("rb") as handle, copy.open("wb") as out:
        handle.seek(start)
        while size and (block := handle.read(min(size, BLOCK))):
            out.write(block)
            size -= len(block)


def lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """(physical number, bytes without the line end) of the lines that aren't blank."""
    number = 0
    with path.open("rb") as handle:
        for block in blocks(handle):
            for line in block.removesuffix(b"\n").split(b"\n"):
                number += 1
                if line and not line.isspace():
                    yield number, line.removesuffix(b"\r")


def blank_lines(path: Path) -> int:
    """How many lines are empty or white space only."""
    blank = 0
    with path.open("rb") as handle:
        for block in blocks(handle):
            blank += sum(not line or line.isspace() for line in block.removesuffix(b"\n").split(b"\n"))
    return blank


def has_trailing_comma(path: Path) -> bool:
    """Whether a comma stands before a closing bracket anywhere, be it in a text."""
    with path.open("rb") as handle:
        return any(TRAILING_COMMA.search(block) for block in blocks(handle))


def is_suspect(line: bytes) -> bool:
    """Whether the line may hold what DuckDB's parser lets pass and RFC 8259 doesn't."""
    return TRAILING_COMMA.search(line) is not None or any(odd in line for odd in ODD_SPACE)


def has_odd_space(line: bytes) -> bool:
    """Whether there is white space, in a text or not, where the counts of a Scan don't expect it."""
    return any(odd in line for odd in (*ODD_SPACE, *SPACED_COLON))


def blot(path: Path, copy: Path, ordinals: Iterable[int]) -> None:
    """Copy a file with `{}` for some of its lines, given by their places (from 0) among those that aren't blank."""
    wanted = iter(ordinals)
    wanted_next = next(wanted, None)
    with copy.open("wb") as out:
        for ordinal, (_, line) in enumerate(lines(path)):
            if ordinal == wanted_next:
                line, wanted_next = b"{}", next(wanted, None)
            out.write(line + b"\n")


def _unpack_parquet(path: Path, copy: Path) -> None:
    """Leave a Parquet file's rows in `copy` as JSON Lines; a line's number is its row's.

    Columns are those of the envelope; `properties` may be a STRUCT, a MAP or JSON text. TIMESTAMP columns are
    taken as UTC.
    """
    # A literal: DuckDB loads pandas, which takes a second, before it looks at a parameter.
    rows_of = validate.read_parquet([path])
    with duckdb.connect() as connection:
        connection.execute("set memory_limit = '1GB'; set preserve_insertion_order = true")
        columns = connection.sql(f"from {rows_of}")
        values = {
            name: _json(validate.name(name), kind, name == "properties")
            for name, kind in zip(columns.columns, columns.types, strict=True)
        }
        result = connection.execute(f"select {_object(values)} from {rows_of}")
        with copy.open("w", encoding="utf-8", newline="\n") as out:
            while rows := result.fetchmany(10_000):
                out.writelines(f"{text}\n" for (text,) in rows)


def _object(values: Mapping[str, str]) -> str:
    """SQL for a JSON object's text, from its values' text by name, without those that are NULL."""
    members = ", ".join(
        f"{validate.text(json.dumps(name, ensure_ascii=False) + ':')} || {value}" for name, value in values.items()
    )
    return f"('{{' || concat_ws(',', {members}) || '}}')"


def _json(column: str, kind: DuckDBPyType, is_properties: bool = False) -> str:
    """SQL for the text that a Parquet value would be in JSON: times as RFC 3339 in UTC, JSON text as what it says."""
    if kind.id in ("timestamp", "timestamp_ns", "timestamp_ms", "timestamp_s"):
        return f"to_json(strftime({column}::timestamp, '%Y-%m-%dT%H:%M:%S.%fZ'))::varchar"
    if kind.id == "timestamp with time zone":
        return f"to_json(strftime(make_timestamp(epoch_us({column})), '%Y-%m-%dT%H:%M:%S.%fZ'))::varchar"
    if kind.id == "struct":
        values = {
            name: _json(f"{column}.{validate.name(name)}", child)
            for name, child in kind.children
            if isinstance(child, DuckDBPyType)
        }
        return f"case when {column} is not null then {_object(values)} end"
    if str(kind) == "JSON" or (is_properties and kind.id == "varchar"):
        text = f"{column}::varchar"
        return f"case when json_valid({text}) then json({text})::varchar else to_json({text})::varchar end"
    return f"to_json({column})::varchar"
