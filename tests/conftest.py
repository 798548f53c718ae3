"""Fixtures that all tests share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from harness import World

from agent_analytics.simulate import simulate

os.environ.setdefault("ANALYTICS_HASH_KEY", "a key for tests")

# Processes that test side by side parse the dbt project each into a folder of its own.
if process := os.environ.get("PYTEST_XDIST_WORKER"):
    os.environ["DBT_TARGET_PATH"] = str(Path(__file__).parents[1] / "target" / process)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """An empty storage root."""
    return World(tmp_path / "storage")


@pytest.fixture
def another_world(tmp_path: Path) -> World:
    """A second empty storage root, to compare with."""
    return World(tmp_path / "another")


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
