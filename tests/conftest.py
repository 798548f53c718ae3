"""Fixtures that all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from harness import World

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
