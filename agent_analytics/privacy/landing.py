"""Erase from landing/, and from the landed files in archive/landing/: files are written anew, erased lines left blank
so that the others keep their numbers."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import zlib
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import duckdb

from agent_analytics import durable, landing, validate
from agent_analytics.errors import AnalyticsError
from agent_analytics.landing import Stat
from agent_analytics.ledger import LoadedFile
from agent_analytics.lines import judge
from agent_analytics.privacy.subject import Subject
from agent_analytics.storage import Storage

PART = ".erase-"


@dataclass(frozen=True)
class Rewritten:
    """A landed file that has other lines, or another name, than before; `part` is None if only the name."""

    folder: Path
    name: str
    new_name: str
    part: Path | None
    before: str
    after: str
    stat: Stat
    erased: int


class Landing:
    """The landed files in the making: `write` puts the new ones beside the old ones, `move_in` in their place."""

    def __init__(self, storage: Storage, subject: Subject, connection: duckdb.DuckDBPyConnection) -> None:
        self.storage, self.subject, self.connection = storage, subject, connection
        self.folders = folders(storage)
        self.files: list[Rewritten] = []

    def write(self, rejected: Mapping[str, set[int]], loaded: Container[str]) -> None:
        """Find the subject's lines. `rejected`: lines of loaded files that are the subject's though they don't say so
        in their tenant_id or user_id; `loaded`: the files that the ledger knows."""
        remove_parts(self.storage)
        for folder in self.folders:
            present = sorted(self._present(folder))
            names = landing.files_in(folder)
            self._check(folder, present, set(names))
            for name in names:
                try:
                    called = {name, self.subject.renamed(name)}
                    numbers = set[int]().union(*(rejected.get(each, ()) for each in called))
                    self._write(folder, name, numbers, any(each in loaded for each in called))
                except (OSError, EOFError, zlib.error, duckdb.Error) as problem:
                    why = str(problem).splitlines()[0]
                    raise AnalyticsError(
                        f"{self._shown(folder, name)} can't be read, so nothing can be erased from it ({why}): "
                        "mend it or move it away"
                    ) from problem

    def find(self, rejected: Mapping[str, set[int]]) -> Iterator[tuple[str, int, str]]:
        """(file, number, text) of the subject's lines; the file as a path from the storage root if not in landing/."""
        for folder, file in [(each, file) for each in self.folders for file in landing.files_in(each)]:
            path, numbers = folder / file, rejected.get(file, set())
            name = file if folder == self.storage.landing else path.relative_to(self.storage.root).as_posix()
            if name.endswith(".parquet"):
                source, mine = self._rows(path, numbers)
                shown = f"select file_row_number + 1, to_json(r)::varchar from {source} as r where {mine}"
                yield from ((name, number, text) for number, text in self.connection.execute(shown).fetchall())
                continue
            with _lines(path) as lines:
                for number, line in enumerate(lines, 1):
                    if self._is_erased(line, number in numbers):
                        yield name, number, line.decode("utf-8", "replace").rstrip("\r\n")

    def recorded(self, file: LoadedFile) -> LoadedFile:
        """What the ledger says of a file from now on."""
        new_name = self.subject.renamed(file.path)
        known = {name: count for name, count in file.dropped_properties.items() if not self.subject.mentions(name)}
        changes: dict[str, object] = {"path": new_name, "dropped_properties": known}
        # A file that its producer changed after it was loaded stays refused.
        hashes = (file.sha256, *file.earlier)
        made = next((made for made in self.files if made.new_name == new_name and made.before in hashes), None)
        if made:
            before = [hash for hash in dict.fromkeys([*file.earlier, file.sha256]) if hash != made.after]
            changes |= {"sha256": made.after, "earlier": before, **vars(made.stat)}
        return file.model_copy(update=changes)

    def move_in(self) -> None:
        """Put the new files in the place of the old ones."""
        for made in self.files:
            old, new = made.folder / made.name, made.folder / made.new_name
            durable.rename(made.part or old, new)
            if new != old:
                old.unlink(missing_ok=True)
                self._remove_empty_folders(made.folder, old.parent)

    def _remove_empty_folders(self, top: Path, folder: Path) -> None:
        while folder != top and not any(folder.iterdir()):
            folder.rmdir()
            folder = folder.parent

    def _shown(self, folder: Path, name: str) -> str:
        return f"{folder.relative_to(self.storage.root)}/{self.subject.renamed(name)}"

    def _present(self, folder: Path) -> Iterator[str]:
        """All files in a folder. Raises AnalyticsError for a folder in it that can't be read, or is a symlink."""

        def refuse(problem: OSError) -> None:
            if not isinstance(problem, FileNotFoundError):
                name = os.path.relpath(problem.filename, folder)
                raise AnalyticsError(
                    f"the folder {self._shown(folder, name)} can't be read ({problem.strerror}): "
                    "let the user who runs this read it, or move it away"
                ) from problem

        for parent, inside, names in os.walk(folder, onerror=refuse):
            at = Path(parent).relative_to(folder)
            inside[:] = [name for name in inside if name != landing.LOST]
            for name in inside:
                if landing.leads_outside(f"{parent}/{name}", folder):
                    raise self._outside(folder, (at / name).as_posix(), "folder")
            yield from ((at / name).as_posix() for name in names)

    def _outside(self, folder: Path, name: str, what: str) -> AnalyticsError:
        return AnalyticsError(
            f"{self._shown(folder, name)} is a symlink: what it points to lies outside; put the {what} itself here"
        )

    def _check(self, folder: Path, present: list[str], names: set[str]) -> None:
        """What isn't loaded isn't rewritten either, and must not be about the subject."""
        for name in present:
            path = folder / name
            if name not in names and path.is_file():
                text = path.read_bytes().decode("utf-8", "replace")
                if self.subject.mentions(text) or self.subject.renamed(name) != name:
                    raise AnalyticsError(
                        f"{self._shown(folder, name)} is not a file that is loaded, but names the {self.subject.kind}: "
                        "remove it"
                    )

    def _write(self, folder: Path, name: str, rejected: set[int], is_loaded: bool) -> None:
        path = folder / name
        part = path.with_name(PART + path.name)
        if name.endswith(".parquet"):
            erased = self._write_rows(path, part, rejected, is_loaded)
        else:
            erased = self._write_lines(path, part, rejected)
        if erased:
            _make_alike(part, path)
        new_name = self.subject.renamed(name)
        if erased or new_name != name:
            if path.is_symlink():
                # What lies elsewhere can't be rewritten.
                raise self._outside(folder, name, "file")
            kept = part if erased else path
            before, after = landing.file_hash(path), landing.file_hash(kept)
            made = Rewritten(
                folder, name, new_name, part if erased else None, before, after, landing.stat(kept), erased
            )
            self.files.append(made)

    def _write_lines(self, path: Path, part: Path, rejected: set[int]) -> int:
        with _lines(path) as lines:
            if not any(self._is_erased(line, number in rejected) for number, line in enumerate(lines, 1)):
                return 0
        erased = 0
        with _lines(path) as lines, _writer(part) as out:
            for number, line in enumerate(lines, 1):
                if self._is_erased(line, number in rejected):
                    line = b"\n" if line.endswith(b"\n") else b""
                    erased += 1
                out.write(line)
        durable.sync(part)
        return erased

    def _is_erased(self, line: bytes, rejected: bool) -> bool:
        if rejected:
            return not line.isspace()
        if self._id not in line and b"\\" not in line:
            return False
        stripped = line.strip(b"\r\n")
        if judge(stripped) is not None:
            return self.subject.mentions(line.decode("utf-8", "replace"))
        try:
            event = json.loads(stripped, parse_int=str)
        except (ValueError, RecursionError):
            return self.subject.mentions(line.decode("utf-8", "replace"))
        return self.subject.owns(event)

    def _write_rows(self, path: Path, part: Path, rejected: set[int], is_loaded: bool) -> int:
        """Rows of a file that is loaded are emptied, so that the others keep their numbers."""
        source, gone = self._rows(path, rejected)
        counted = self.connection.execute(f"select count(*) from {source} where {gone}").fetchall()
        if erased := int(counted[0][0]):
            kept = f"select * exclude file_row_number from {source} where not ({gone})"
            if is_loaded:
                names = [validate.name(column) for column in self._columns(source) if column != "file_row_number"]
                shown = ", ".join(f"case when not _gone then {name} end as {name}" for name in names)
                kept = f"select {shown} from (select *, {gone} as _gone from {source})"
            options = "format parquet, compression zstd, use_tmp_file false"
            part.touch(0o600)
            self.connection.execute(f"copy ({kept}) to {validate.text(str(part))} ({options})")
        return erased

    def _columns(self, source: str) -> list[str]:
        return [row[0] for row in self.connection.execute(f"describe from {source}").fetchall()]

    def _rows(self, path: Path, rejected: set[int]) -> tuple[str, str]:
        """SQL: a Parquet file's rows, and whether one is the subject's."""
        source = validate.read_parquet([path], ", file_row_number = true")
        numbers = ", ".join(str(number - 1) for number in sorted(rejected)) or "-1"
        mine = f"file_row_number in ({numbers})"
        if self.subject.column in self._columns(source):
            column, wanted = validate.name(self.subject.column), validate.text(self.subject.id)
            mine += f" or {column}::varchar is not distinct from {wanted}"
        return source, mine

    @property
    def _id(self) -> bytes:
        return self.subject.id.encode("utf-8", "surrogatepass")


def remove_parts(storage: Storage) -> None:
    """Remove files that were written and not moved in."""
    for folder in folders(storage):
        for left in folder.rglob(f"{PART}*"):
            left.unlink()


def folders(storage: Storage) -> tuple[Path, Path]:
    """Where landed files lie: as they landed, and as retention put them away."""
    return storage.landing, storage.archive / "landing"


@contextmanager
def _lines(path: Path) -> Iterator[BinaryIO]:
    with path.open("rb") as handle:
        yield cast(BinaryIO, gzip.GzipFile(fileobj=handle)) if path.name.endswith(".gz") else handle


@contextmanager
def _writer(part: Path) -> Iterator[BinaryIO]:
    part.touch(0o600)
    with part.open("wb") as out:
        if not part.name.endswith(".gz"):
            yield out
            return
        with gzip.GzipFile("", "wb", fileobj=out, mtime=0) as packed:
            yield cast(BinaryIO, packed)


def _make_alike(part: Path, path: Path) -> None:
    """Give a new file the mode of the old one and, as far as that is permitted, its owner and group."""
    found = path.stat()
    with suppress(PermissionError):
        os.chown(part, -1, found.st_gid)
    with suppress(PermissionError):
        os.chown(part, found.st_uid, -1)
    shutil.copymode(path, part)
