"""Fixtures that all tests share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from events import Generator
from harness import World
from postgres_server import POSTGRES, running

from agent_analytics.gate import gate
from agent_analytics.simulate import simulate

os.environ.setdefault("ANALYTICS_HASH_KEY", "a key for tests")

# Processes that test side by side parse the dbt project each into a folder of its own.
if process := os.environ.get("PYTEST_XDIST_WORKER"):
    os.environ["DBT_TARGET_PATH"] = str(Path(__file__).parents[1] / "target" / process)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A storage root without events, whose warehouse is built and gated; not to be changed."""
    world = World(tmp_path_factory.mktemp("template") / "storage")
    world.build()
    gate(world.storage)
    return world


@pytest.fixture
def world(template: World, tmp_path: Path) -> World:
    """A storage root without events, whose warehouse is built: a tick runs the models that its events feed."""
    return template.copy(tmp_path / "storage")


@pytest.fixture
def another_world(template: World, tmp_path: Path) -> World:
    """A second one, to compare with."""
    return template.copy(tmp_path / "another")


@pytest.fixture
def new_world(tmp_path: Path) -> World:
    """An empty folder: the first build makes the warehouse, and every model."""
    return World(tmp_path / "new")


@pytest.fixture(scope="session")
def unkind(template: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """Unkind events of all sources in loads that are run one by one, the last of them one event by which the data clock
    moves on a day; not to be changed."""
    world = template.copy(tmp_path_factory.mktemp("unkind") / "storage")
    generator = Generator(20)
    # So many of the provider that providers can be recommended.
    events = [*generator.events(6000), *generator.events(1500, "provider")]
    for load in generator.loads(events, 3):
        world.tick(load)
    tomorrow = world.as_of + timedelta(days=1)
    world.land([generator.event("provider", "provider.rate_limited", tomorrow, provider="p", model="m")])
    world.run()
    return world


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
    world = World(tmp_path_factory.mktemp("realistic"))
    kind: dict[str, Any] = {"days": 45, "late": 0.05, "duplicates": 0.02, "broken": 0.01, "tenants": 4}
    simulate(world.storage.landing / "all", events=18_000, seed=5, **kind)
    # Recommendations and weekly comparisons need more events of one tenant than a source's share of these.
    simulate(world.storage.landing / "more", events=12_000, seed=6, sources=["provider", "delivery", "swarm"], **kind)
    world.run()
    return world
