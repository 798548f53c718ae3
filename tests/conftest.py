"""Fixtures that all tests share."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from events import Generator
from harness import World
from postgres_server import POSTGRES, running
from project_copy import Copy, copied
from worlds import keep_parsed, shared

from agent_analytics import durable
from agent_analytics.gate import gate
from agent_analytics.simulate import simulate

CLOCK = datetime(2026, 4, 30, tzinfo=UTC)
NOTHING_COUNTED = {"deployment_id": "-", "service": "-", "environment": "development", "succeeded": True}

os.environ.setdefault("ANALYTICS_HASH_KEY", "a key for tests")
os.environ["DAGSTER_DISABLE_TELEMETRY"] = "yes"
os.environ["ANALYTICS_RETRY_SECONDS"] = "0"

# The files that take longest are begun first, so that none of them is left for one process alone at the end; of the
# first two, one alone needs the worlds that are shared, so that neither process waits for the other to make them.
LONGEST_FIRST = (
    "test_recipes.py",
    "test_incremental.py",
    "test_dbt_build.py",
    "test_reference.py",
    "test_pipeline.py",
    "test_expectations.py",
    "test_marts.py",
    "test_slo.py",
    "test_runs.py",
    "test_alerts_end_to_end.py",
    "test_faults.py",
    "test_goals.py",
    "test_patterns.py",
    "test_late_events.py",
    "test_orchestration.py",
)

# Processes that test side by side parse the dbt project each into a folder of its own.
if process := os.environ.get("PYTEST_XDIST_WORKER"):
    os.environ["DBT_TARGET_PATH"] = str(Path(__file__).parents[1] / "target" / process)


@pytest.fixture(scope="session", autouse=True)
def unsynced() -> Iterator[None]:
    """Flushing files to the disk takes long, and a killed process loses nothing without it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(durable, "sync", lambda path: None)
        yield


@sqlalchemy.event.listens_for(sqlalchemy.Engine, "connect")
def unsynced_sqlite(connection: Any, _: Any) -> None:
    """The same for each event that Dagster records."""
    if isinstance(connection, sqlite3.Connection):
        connection.execute("pragma synchronous = off")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    last = len(LONGEST_FIRST)
    items.sort(key=lambda item: LONGEST_FIRST.index(item.path.name) if item.path.name in LONGEST_FIRST else last)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A storage root without events, whose warehouse is built and gated; not to be changed."""

    def make(world: World) -> None:
        world.build()
        gate(world.storage)

    return shared("template", make, tmp_path_factory.mktemp("template") / "storage")


@pytest.fixture
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    """A storage root whose warehouse is built: without events or, where a test is marked `in_use`, with one."""
    return beginning(request).copy(tmp_path / "storage")


@pytest.fixture
def another_world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    """A second one, to compare with."""
    return beginning(request).copy(tmp_path / "another")


def beginning(request: pytest.FixtureRequest) -> World:
    marked = request.node.get_closest_marker("in_use") is not None
    found: World = request.getfixturevalue("in_use" if marked else "template")
    return found


@pytest.fixture
def new_world(tmp_path: Path) -> World:
    """An empty folder: the first build makes the warehouse, and every model."""
    return World(tmp_path / "new")


@pytest.fixture(scope="session")
def in_use(template: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """A storage root that has read one event, later than all that `Generator` makes and counted in no mart of its
    family; built and gated, not to be changed.

    The data clock stands still from then on, so that a tick runs the models that its events feed. Where no event was
    read before, the first one moves the clock past the boundaries of all other models too.
    """

    def make(world: World) -> None:
        template.copy(world.root)
        event = Generator(0).event("delivery", "deployment.finished", CLOCK, "tenant-1", **NOTHING_COUNTED)
        world.land([event], name="clock.jsonl")
        world.ingest()
        world.build()
        gate(world.storage)

    return shared("in_use", make, tmp_path_factory.mktemp("in_use") / "storage")


@pytest.fixture(scope="session")
def unkind(template: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """Unkind events of all sources in loads that are run one by one, the last of them one event by which the data clock
    moves on a day; not to be changed."""

    def make(world: World) -> None:
        template.copy(world.root)
        generator = Generator(20)
        # So many of the provider that providers can be recommended.
        events = [*generator.events(6000), *generator.events(1500, "provider")]
        for load in generator.loads(events, 3):
            world.tick(load)
        tomorrow = world.as_of + timedelta(days=1)
        world.land([generator.event("provider", "provider.rate_limited", tomorrow, provider="p", model="m")])
        world.run()

    return shared("unkind", make, tmp_path_factory.mktemp("unkind") / "storage")


@pytest.fixture
def project(template: World, tmp_path: Path) -> Copy:
    """A copy of what the pipeline is made of, to be edited; dbt need only parse the edits."""
    made = copied(tmp_path / "project")
    keep_parsed(made.root / "target")
    return made


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """A PostgreSQL server of its own; the address of a database that a test may fill."""
    if POSTGRES is None:
        pytest.skip("no PostgreSQL server is installed")
    with running() as address:
        yield address


@pytest.fixture(scope="session")
def realistic(tmp_path_factory: pytest.TempPathFactory) -> World:
    """45 simulated days of all sources with late events, copies, broken lines, run as one load; not to be changed."""

    def make(world: World) -> None:
        kind: dict[str, Any] = {"days": 45, "late": 0.05, "duplicates": 0.02, "broken": 0.01, "tenants": 4}
        simulate(world.storage.landing / "all", events=18_000, seed=5, **kind)
        # Recommendations and weekly comparisons need more events of one tenant than a source's share of these.
        more = ["provider", "delivery", "swarm"]
        simulate(world.storage.landing / "more", events=12_000, seed=6, sources=more, **kind)
        world.run()

    return shared("realistic", make, tmp_path_factory.mktemp("realistic") / "storage")
