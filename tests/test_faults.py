"""Killed at any durable write, the next run ends as if nothing had happened (promises 2, 5, 7, 8)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest
from events import Generator
from harness import Event, World, differences

from agent_analytics import dbt_worker
from agent_analytics.errors import AnalyticsError
from agent_analytics.storage import PROJECT_ROOT

PARTS = 4


def loads() -> list[list[Event]]:
    """Two loads of one family. The first has the newest event too: then the second makes none but that family's models
    due, and kills are for the mechanism, not for every mart."""
    generator = Generator(30)
    events = generator.events(300, "delivery")
    first, second = generator.loads(events, 2)
    return [[*first, max(events, key=lambda event: str(event["occurred_at"]))], second]


@dataclass(frozen=True)
class Scenario:
    """before: the first load is published, the second has landed; after: it was run too, without any fault; points: the
    durable writes that this took."""

    before: World
    after: World
    points: list[str]


@pytest.fixture(scope="module")
def scenario(template: World, tmp_path_factory: pytest.TempPathFactory) -> Scenario:
    folder = tmp_path_factory.mktemp("scenario")
    before = template.copy(folder / "before")
    first, second = loads()
    before.land(first)
    before.run()
    before.land(second)
    after, log = before.copy(folder / "after"), folder / "log"
    done = run_command(after, ANALYTICS_KILL_LOG=str(log))
    assert done.returncode == 0, done.stderr
    return Scenario(before, after, points(log))


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


def kinds(names: list[str]) -> list[str]:
    """The points without the names of marts, two of which are written at a time, in either order."""
    return ["mart" if name.startswith("mart:") else name for name in names]


def points(log: Path) -> list[str]:
    """The names of the durable writes passed, by this process and its dbt."""
    return log.read_text(encoding="utf-8").splitlines()


def check_readable(world: World) -> None:
    """Whatever is published is complete."""
    with duckdb.connect(str((world.storage.published / "analytics.duckdb").resolve()), read_only=True) as snapshot:
        assert snapshot.execute("select count(*) from ops.publications").fetchone()


@pytest.mark.slow
@pytest.mark.parametrize("number", [2, 6])
def test_dbt_killed_after_a_model_leaves_rows_and_watermarks_that_agree(
    number: int, scenario: Scenario, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    world = scenario.before.copy(tmp_path / "storage")
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
    assert len(points(tmp_path / "log")) == number
    world.build()
    expected = scenario.after.marts()
    for mart, rows in world.marts().items():
        assert not differences(rows, expected[mart], ignore=())[:3], mart


@pytest.mark.faults
def test_the_points_are_those_of_every_step(scenario: Scenario) -> None:
    of_dbt = {point.removeprefix("dbt:") for point in scenario.points if point.startswith("dbt:")}
    assert "delivery_performance_monthly" in of_dbt
    assert not {"execution_rollup_daily", "agent_efficiency_daily"} & of_dbt
    assert {"rename:2.json", "rename:build.json", "rename:delivery.json", "rename:published"} <= set(scenario.points)


@pytest.mark.faults
@pytest.mark.parametrize("part", range(PARTS))
def test_killed_at_every_durable_write_the_next_run_ends_the_same(
    part: int, scenario: Scenario, tmp_path: Path
) -> None:
    expected = scenario.after.published_marts()
    for number in range(part + 1, len(scenario.points) + 1, PARTS):
        world, log = scenario.before.copy(tmp_path / str(number)), tmp_path / f"{number}.log"
        killed = run_command(world, ANALYTICS_KILL_AT=str(number), ANALYTICS_KILL_LOG=str(log))
        # Either this process was killed, or its dbt was and it says so.
        assert killed.returncode == -signal.SIGKILL or "ended unexpectedly" in killed.stderr, killed.stderr
        assert kinds(points(log)) == kinds(scenario.points[:number])
        assert not Counter(points(log)) - Counter(scenario.points)
        check_readable(world)
        assert world.run().problems == []
        for mart, rows in world.published_marts().items():
            assert not differences(rows, expected[mart])[:3], (scenario.points[number - 1], mart)


@pytest.mark.slow
def test_a_warehouse_that_somebody_holds_gives_one_clear_line(world: World) -> None:
    world.land(Generator(32).events(50, "delivery"))
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
