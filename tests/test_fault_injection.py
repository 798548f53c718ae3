"""The faults of docs/faults.md: each is seen as that page says, loses nothing, is over with the next run, and readers
never notice. That a process is killed is in test_faults.py."""

from __future__ import annotations

import gzip
import os
import re
import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from events import Generator
from harness import World, differences
from test_faults import loads

from agent_analytics import cli
from agent_analytics.ledger import Ledger
from agent_analytics.operations import database
from agent_analytics.storage import PROJECT_ROOT

PAGE = PROJECT_ROOT / "docs" / "faults.md"
KILLED = "a process is killed"

# Opens what is published again and again, as a dashboard does, until its standard input ends.
READER = """
import duckdb, os, select, sys
reads = 0
while not reads or not select.select([sys.stdin], [], [], 0.2)[0]:
    with duckdb.connect(os.path.realpath(sys.argv[1]), read_only=True) as snapshot:
        assert snapshot.execute("select sum(rows) from ops.publications").fetchone()[0]
        assert snapshot.execute("select count(*) from delivery.deployment_frequency_daily").fetchone()[0]
    reads += 1
print(reads)
"""
HOLDER = """
import duckdb, sys
held = duckdb.connect(sys.argv[1], read_only=True)
print("held", flush=True)
sys.stdin.read()
"""
WRITER = """
import sys
from pathlib import Path
from agent_analytics.locking import writer_lock
from agent_analytics.storage import Storage
with writer_lock(Storage(Path(sys.argv[1])), "agent-analytics run"):
    print("held", flush=True)
    sys.stdin.read()
"""


@dataclass
class Case:
    """A storage root with one published load and a file that has landed since, and the command line on it."""

    world: World
    tmp_path: Path
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]

    @property
    def landed(self) -> Path:
        """The file that is not loaded yet."""
        return self.world.storage.landing / "00002.jsonl"

    def call(self, *arguments: str) -> tuple[int, str, str]:
        self.capsys.readouterr()
        status = cli.execute(arguments)
        out, err = self.capsys.readouterr()
        return status, out, err

    def succeeds(self, *arguments: str) -> str:
        status, out, err = self.call(*arguments)
        assert status == 0, err
        return out

    def fails(self, *arguments: str) -> str:
        """The one line on standard error."""
        status, _, err = self.call(*arguments)
        assert status == 1, err
        [line] = err.splitlines()
        assert "unexpected" not in line
        return line

    @contextmanager
    def cut_off(self, path: Path) -> Iterator[None]:
        """A file of which only the first half is there."""
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        yield
        path.write_bytes(whole)


Fault = Callable[[Case], str]
FAULTS: dict[str, Fault] = {}


def fault(name: str) -> Callable[[Fault], Fault]:
    """A function that lets something go wrong, looks at what is said of it, and does what docs/faults.md advises.

    It returns what was said, for the page to be compared with.
    """

    def register(function: Fault) -> Fault:
        FAULTS[name] = function
        return function

    return register


@contextmanager
def running(program: str, argument: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process, up to where it says that it is there."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen([sys.executable, "-c", program, str(argument)], cwd=PROJECT_ROOT, text=True, **pipes)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def holding(program: str, path: Path) -> Iterator[None]:
    with running(program, path) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        yield


# What lands


@fault("a landed gzip file is cut off")
def gzip_cut_off(case: Case) -> str:
    packed = case.landed.with_suffix(".jsonl.gz")
    packed.write_bytes(gzip.compress(case.landed.read_bytes()))
    case.landed.unlink()
    with case.cut_off(packed):
        return case.fails("run")


@fault("a landed Parquet file is damaged")
def parquet_damaged(case: Case) -> str:
    damaged = case.landed.with_suffix(".parquet")
    damaged.write_bytes(b"PAR1 and then nothing")
    said = case.fails("ingest")
    damaged.unlink()
    return said


@fault("a line is cut off")
def line_cut_off(case: Case) -> str:
    with case.cut_off(case.landed):
        said = case.succeeds("ingest")
        shutil.copy(case.landed, case.tmp_path)
    whole = case.landed.read_bytes()
    shutil.copy(case.tmp_path / case.landed.name, case.landed)
    case.landed.with_name("00003.jsonl").write_bytes(whole)
    return said


@fault("a landed file is replaced after it was loaded")
def replaced(case: Case) -> str:
    case.succeeds("ingest")
    with case.cut_off(case.landed):
        return case.fails("ingest")


# The machine


@fault("the disk is full")
def disk_full(case: Case) -> str:
    """More and more room, until it is enough: the run comes a step further each time."""
    steps = []
    filler = case.world.root / "filler"
    for free in (0, 1 << 16, 1 << 20, 4 << 20):
        with filler.open("ab") as file:
            file.truncate(0)
            room = shutil.disk_usage(case.world.root).free
            os.posix_fallocate(file.fileno(), 0, max(room - free, 1))
        status, _, err = case.call("run")
        if status:
            [line] = err.splitlines()
            assert "free some space" in line and "unexpected" not in line
            steps.append(line)
    filler.unlink()
    assert len(steps) >= 2
    return steps[0]


@fault("the clock goes back")
def clock_back(case: Case) -> str:
    """To before the events: they seem to come from the future."""
    rejects = case.world.ingest(now=datetime(2020, 1, 1, tzinfo=UTC)).rejects
    case.succeeds("replay")
    return str(rejects)


# Others


@fault("two writers at once")
def two_writers(case: Case) -> str:
    with holding(WRITER, case.world.root):
        return case.fails("run")


@fault("a program has the warehouse open")
def held(case: Case) -> str:
    with holding(HOLDER, case.world.storage.warehouse):
        return case.fails("run")


# What lies under the storage root


@fault("a file of the lake can't be read")
def lake_damaged(case: Case) -> str:
    with case.cut_off(case.world.storage.lake / "delivery" / "1.parquet"):
        return case.fails("run")


@fault("an entry of the ledger is half written")
def ledger_half_written(case: Case) -> str:
    with case.cut_off(case.world.storage.loads / "1.json"):
        return case.fails("run")


@fault("the warehouse is damaged")
def warehouse_damaged(case: Case) -> str:
    with case.cut_off(case.world.storage.warehouse):
        said = case.fails("run")
    case.world.storage.warehouse.unlink()
    return said


@fault("build.json is half written")
def build_half_written(case: Case) -> str:
    with case.cut_off(case.world.storage.build_record):
        return case.fails("publish")


@fault("a gate file is half written")
def gate_half_written(case: Case) -> str:
    with case.cut_off(case.world.storage.gates / "delivery.json"):
        return case.fails("publish")


@fault("dbt's manifest is half written")
def dbt_manifest_half_written(case: Case) -> str:
    """In a process of its own, which has not parsed the project yet."""
    target = case.tmp_path / "target"
    target.mkdir()
    (target / "manifest.json").write_text('{"nodes": {')
    done = subprocess.run(
        [sys.executable, "-m", "agent_analytics.cli", "run"],
        cwd=PROJECT_ROOT,
        env={**os.environ, "DBT_TARGET_PATH": str(target)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return "nothing"


@fault("the published manifest.json is half written")
def manifest_half_written(case: Case) -> str:
    path = case.world.storage.published.resolve() / "manifest.json"
    path.write_bytes(path.read_bytes()[:1000])
    return case.fails("status")


# The operations database


def unrecorded(case: Case) -> str:
    """A run goes on without its record, and says so."""
    said = case.fails("run")
    assert same(case.world, UNDISTURBED["after"]) == []
    return said


@fault("the operations database is locked")
def operations_locked(case: Case) -> str:
    case.monkeypatch.setattr(database, "WAIT_SECONDS", 1)
    holder = sqlite3.connect(case.world.storage.operations_db)
    holder.execute("begin exclusive")
    try:
        return unrecorded(case)
    finally:
        holder.close()


@fault("the operations database is damaged")
def operations_damaged(case: Case) -> str:
    path = case.world.storage.operations_db
    kept = path.read_bytes()
    path.write_bytes(b"this is not a database, it only lies in its place" * 100)
    try:
        return unrecorded(case)
    finally:
        path.write_bytes(kept)


@fault("the operations database is down")
def operations_down(case: Case) -> str:
    with case.monkeypatch.context() as patched:
        patched.setenv("ANALYTICS_OPERATIONS_URL", "postgresql://ada:secret@127.0.0.1:1/operations")
        said = unrecorded(case)
    assert "secret" not in said
    return said


# The suite

UNDISTURBED: dict[str, World] = {}


@pytest.fixture(scope="module")
def before(template: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """One load is published, the second has landed. Beside it, what comes of that without any fault."""
    folder = tmp_path_factory.mktemp("undisturbed")
    world = template.copy(folder / "before")
    first, second = loads()
    world.land(first)
    world.run()
    world.land(second)
    after = world.copy(folder / "after")
    assert after.run().problems == []
    UNDISTURBED["after"] = after
    return world


def same(world: World, other: World) -> list[str]:
    expected = other.published_marts()
    found = world.published_marts()
    assert any(found.values())
    return [f"{mart}: {line}" for mart, rows in found.items() for line in differences(rows, expected[mart])[:3]]


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """A file system of its own in the folder, of 96 MiB; skips the test where that isn't permitted."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_the_page_describes_the_faults_that_are_injected() -> None:
    assert list(promised()) == [KILLED, *FAULTS]


@pytest.mark.parametrize("limit", [0, 100, 3000, 20_000])
def test_a_disk_that_is_full_while_files_are_loaded_is_one_line_and_loses_nothing(limit: int, new_world: World) -> None:
    """Here no file may grow beyond a limit, which is met in one place after the other."""
    events = Generator(1).events(300, "delivery")
    new_world.land(events)
    done = subprocess.run(
        [sys.executable, "-m", "agent_analytics.cli", "ingest"],
        env={**os.environ, "ANALYTICS_STORAGE": str(new_world.root)},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert "free some space" in line
    assert not list(new_world.root.rglob("*.part"))
    new_world.ingest()
    assert [file.lines for entry in Ledger(new_world.storage).entries() for file in entry.files] == [len(events)]


@pytest.mark.faults
@pytest.mark.parametrize("name", FAULTS)
def test_after_a_fault_nothing_is_lost_and_the_next_run_is_right(
    name: str, before: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    disk = tmp_path / "disk"
    with small_disk(disk) if name == "the disk is full" else nothing(disk):
        world = before.copy(disk / "storage")
        monkeypatch.setenv("ANALYTICS_STORAGE", str(world.root))
        case = Case(world, tmp_path, monkeypatch, capsys)
        with running(READER, world.storage.published / "analytics.duckdb") as reader:
            said = FAULTS[name](case)
            case.succeeds("run")
            reads, wrong = reader.communicate("")
        assert not wrong and int(reads) > 1, wrong
        assert same(world, UNDISTURBED["after"]) == []
    for part in promised()[name]:
        assert re.search(part, said), (part, said)


@contextmanager
def nothing(folder: Path) -> Iterator[None]:
    folder.mkdir()
    yield


def promised() -> dict[str, list[str]]:
    """By the fault, what docs/faults.md says is seen: the parts in backquotes, in which ... stands for anything."""
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return {
        name: [".*".join(map(re.escape, part.split("..."))) for part in re.findall(r"`([^`]+)`", seen)]
        for name, seen, _ in rows[2:]
    }
