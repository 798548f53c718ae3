"""Landed files: which there are, what is in them, and the lines that have to be looked at one by one."""

from __future__ import annotations

import gzip
import hashlib
import re
import zlib
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import duckdb
from duckdb.sqltypes import DuckDBPyType

from agent_analytics.errors import AnalyticsError
from agent_analytics.storage import Storage

BLOCK = 8 << 20
LONGEST_LINE = 64 << 20
SUFFIXES = (".jsonl", ".jsonl.gz", ".parquet")
UNFINISHED = (".tmp", ".part")
# What DuckDB's parser lets pass and RFC 8259 doesn't, where no field is looked at: a comma before a closing
# bracket, and vertical tabs and form feeds around a value.
TRAILING_COMMA = re.compile(rb",[ \t\r]*[}\]]")
ODD_SPACE = (b"\x0b", b"\x0c")


@dataclass(frozen=True)
class Stat:
    """What tells, without reading it, that a file wasn't touched: bytes, modification time in ns, inode."""

    size: int
    mtime_ns: int
    inode: int


@dataclass
class Scan:
    """What one pass over a file's bytes tells. Line numbers are physical and begin with 1."""

    sha256: str = ""
    physical_lines: int = 0
    suspects: array[int] = field(default_factory=lambda: array("q"))
    longest: int = 0


def stat(path: Path) -> Stat:
    """The file's present Stat."""
    found = path.stat()
    return Stat(found.st_size, found.st_mtime_ns, found.st_ino)


def landed_files(storage: Storage) -> list[str]:
    """The files to read, as paths relative to landing/ with `/`, in path order.

    Dot-files, anything in a dot-folder, and names that say that the file is still being written are left alone.
    """
    if not storage.landing.is_dir():
        return []
    found = []
    for path in storage.landing.rglob("*"):
        relative = path.relative_to(storage.landing)
        if any(part.startswith(".") for part in relative.parts) or not path.name.endswith(SUFFIXES):
            continue
        if not any(part.endswith(UNFINISHED) for part in relative.parts) and path.is_file():
            found.append(relative.as_posix())
    return sorted(found)


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


def scan_block(block: bytes, scan: Scan) -> None:
    """Add one piece of a file to its scan."""
    places = [found.start() for found in TRAILING_COMMA.finditer(block)]
    for odd in ODD_SPACE:
        if odd in block:
            places = sorted(places + [found.start() for found in re.finditer(odd, block)])
    number, seen = scan.physical_lines + 1, 0
    for place in places:
        number += block.count(b"\n", seen, place)
        seen = place
        if not scan.suspects or scan.suspects[-1] != number:
            scan.suspects.append(number)
    if len(block) > BLOCK:
        scan.longest = max(scan.longest, max(map(len, block.split(b"\n"))))
    scan.physical_lines += block.count(b"\n") + (not block.endswith(b"\n"))


def scan_plain(path: Path) -> Scan:
    """Read a JSON Lines file once: its hash, its lines, its suspects."""
    scan, digest = Scan(), hashlib.sha256()
    with path.open("rb") as handle:
        for block in blocks(handle):
            digest.update(block)
            scan_block(block, scan)
    scan.sha256 = digest.hexdigest()
    return scan


def scan_gzip(path: Path, copy: Path) -> Scan:
    """Like `scan_plain` for a gzip file, whose lines are left in `copy`; the hash is of the packed bytes."""
    scan = Scan(sha256=file_hash(path))
    try:
        with gzip.open(path, "rb") as handle, copy.open("wb") as out:
            for block in blocks(handle):  # type: ignore[arg-type]
                out.write(block)
                scan_block(block, scan)
    except (EOFError, gzip.BadGzipFile, zlib.error) as problem:
        raise AnalyticsError(f"the gzip file is cut off or damaged ({problem})") from problem
    return scan


def blank_lines(path: Path) -> array[int]:
    """The numbers of the lines that are empty or white space only, in order."""
    blanks: array[int] = array("q")
    number = 0
    with path.open("rb") as handle:
        for block in blocks(handle):
            lines = block.split(b"\n")
            if block.endswith(b"\n"):
                lines.pop()
            blanks.extend(number + index for index, line in enumerate(lines, 1) if not line or line.isspace())
            number += len(lines)
    return blanks


def numbered(ordinals: Iterable[int], blanks: array[int]) -> Iterator[int]:
    """The physical numbers of lines given, in rising order, by their place (from 0) among those not blank."""
    passed = 0
    for ordinal in ordinals:
        while passed < len(blanks) and blanks[passed] <= ordinal + 1 + passed:
            passed += 1
        yield ordinal + 1 + passed


def pick(path: Path, numbers: Iterable[int]) -> Iterator[tuple[int, bytes]]:
    """(number, bytes) of the lines asked for by rising physical number, without their line ends."""
    wanted = iter(numbers)
    number = next(wanted, None)
    if number is None:
        return
    before = 0
    with path.open("rb") as handle:
        for block in blocks(handle):
            count = block.count(b"\n") + (not block.endswith(b"\n"))
            if number <= before + count:
                lines = block.split(b"\n")
                while number is not None and number <= before + count:
                    yield number, lines[number - before - 1].removesuffix(b"\r")
                    number = next(wanted, None)
                if number is None:
                    return
            before += count


def scan_parquet(path: Path, copy: Path) -> Scan:
    """Like `scan_plain` for a Parquet file, whose rows are left in `copy` as JSON Lines; a line's number is its row's.

    Columns are those of the envelope; `properties` may be a STRUCT, a MAP or JSON text. TIMESTAMP columns are
    taken as UTC.
    """
    with duckdb.connect() as connection:
        connection.execute("set memory_limit = '1GB'; set preserve_insertion_order = true")
        columns = connection.sql("from read_parquet($path)", params={"path": str(path)})
        shown = ", ".join(
            f"{as_json(_quoted(name), kind, name == 'properties')} as {_quoted(name)}"
            for name, kind in zip(columns.columns, columns.types, strict=True)
        )
        target = "'" + str(copy).replace("'", "''") + "'"
        connection.execute(
            f"copy (select {shown} from read_parquet($path)) to {target} (format json)", {"path": str(path)}
        )
    scan = scan_plain(copy)
    scan.sha256 = file_hash(path)
    return scan


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def as_json(column: str, kind: DuckDBPyType, is_properties: bool = False) -> str:
    """SQL that makes a Parquet value what it would be in JSON: times as RFC 3339 in UTC, JSON text as what it says."""
    if kind.id in ("timestamp", "timestamp_ns", "timestamp_ms", "timestamp_s"):
        return f"strftime({column}::timestamp, '%Y-%m-%dT%H:%M:%S.%fZ')"
    if kind.id == "timestamp with time zone":
        return f"strftime(make_timestamp(epoch_us({column})), '%Y-%m-%dT%H:%M:%S.%fZ')"
    if kind.id == "struct":
        members = ", ".join(
            f"{_quoted(name)} := {as_json(f'{column}.{_quoted(name)}', child)}"
            for name, child in kind.children
            if isinstance(child, DuckDBPyType)
        )
        return f"case when {column} is not null then struct_pack({members}) end"
    if is_properties and kind.id in ("varchar", "json"):
        return (
            f"case when json_valid({column}::varchar) then {column}::varchar::json else to_json({column}::varchar) end"
        )
    return column
