"""Killed at any durable write, the next run ends as if nothing had happened (promises 2, 5, 7, 8)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from events import Generator
from harness import World, differences

from agent_analytics import dbt_worker
from agent_analytics.errors import AnalyticsError
from agent_analytics.storage import PROJECT_ROOT


def run_command(world: World, **environment: str) -> subprocess.CompletedProcess[str]:
    """`agent-analytics run` as a user starts it."""
    return subprocess.run(
        [sys.executable, "-m", "agent_analytics.cli", "run"],
        cwd=PROJECT_ROOT,
        env={**os.environ, "ANALYTICS_STORAGE": str(world.root), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def points(log: Path) -> list[tuple[int, str]]:
    """The durable writes passed, as (number within its process, name)."""
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    return [(int(line.split(" ", 1)[0]), line.split(" ", 1)[1]) for line in lines]


def check_readable(world: World) -> None:
    """Whatever is published is complete."""
    if world.storage.published.exists():
        with duckdb.connect(str((world.storage.published / "analytics.duckdb").resolve()), read_only=True) as snapshot:
            assert snapshot.execute("select count(*) from ops.publications").fetchone()


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Two loads run without any fault."""
    world = World(tmp_path_factory.mktemp("expected"))
    for load in loads():
        world.land(load)
        world.run()
    return world


def loads() -> list[list[dict[str, object]]]:
    generator = Generator(30)
    return generator.loads(generator.events(300), 2)


@pytest.mark.slow
@pytest.mark.parametrize("number", [4, 20])
def test_dbt_killed_after_a_model_leaves_rows_and_watermarks_that_agree(
    number: int, world: World, expected: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first, second = loads()
    world.tick(first)
    world.land(second)
    world.ingest()
    dbt_worker.worker().stop()
    with monkeypatch.context() as patched:
        patched.setenv("ANALYTICS_KILL_AT", str(number))
        patched.setenv("ANALYTICS_KILL_LOG", str(tmp_path / "log"))
        patched.setattr("agent_analytics.durable.point", lambda name: None)
        try:
            with pytest.raises(AnalyticsError, match="ended unexpectedly"):
                world.build()
        finally:
            dbt_worker.worker().stop()
    assert points(tmp_path / "log")[-1][0] == number
    world.build()
    marts = expected.marts()
    for mart, rows in world.marts().items():
        assert not differences(rows, marts[mart], ignore=())[:3], mart


@pytest.mark.faults
def test_killed_at_every_durable_write_the_next_run_ends_the_same(expected: World, tmp_path: Path) -> None:
    first, second = loads()
    marts = expected.published_marts()
    number, hit = 0, []
    while True:
        number += 1
        world = World(tmp_path / str(number))
        log = tmp_path / f"{number}.log"
        world.land(first)
        world.run()
        dbt_worker.worker().stop()
        world.land(second)
        killed = run_command(world, ANALYTICS_KILL_AT=str(number), ANALYTICS_KILL_LOG=str(log))
        check_readable(world)
        if killed.returncode == 0:
            break
        # Either this process was killed, or its dbt was and it says so.
        assert killed.returncode == -signal.SIGKILL or "ended unexpectedly" in killed.stderr, killed.stderr
        hit.append(points(log)[-1])
        again = run_command(world)
        assert again.returncode == 0, again.stderr
        for mart, rows in world.published_marts().items():
            assert not differences(rows, marts[mart])[:3], (hit[-1], mart)
    names = [name for _, name in hit]
    assert [place for place, _ in hit] == list(range(1, number))
    assert any(name.startswith("dbt:") for name in names)


def test_a_warehouse_that_somebody_holds_gives_one_clear_line(world: World) -> None:
    world.tick(Generator(31).events(50))
    world.land(Generator(32).events(50))
    world.ingest()
    path = str(world.storage.warehouse)
    program = f"import duckdb, sys; c = duckdb.connect({path!r}); print('held', flush=True); sys.stdin.read()"
    holder = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(AnalyticsError) as error:
            world.build()
        assert "\n" not in str(error.value)
        assert "warehouse.duckdb" in str(error.value)
    finally:
        holder.kill()
        holder.wait()
    assert not world.build().failures
