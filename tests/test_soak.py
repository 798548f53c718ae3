"""A small soak: what `make soak` does at length."""

from __future__ import annotations

import pytest
import soak
from harness import World

pytestmark = pytest.mark.faults


def test_after_ticks_with_random_faults_the_marts_are_those_of_a_full_refresh(
    world: World, another_world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    ticks = soak.Soak(world, seed=13, sources=("delivery", "swarm"), run_every=7, most=40)
    found = [ticks.tick(number) for number in range(1, 21)]
    assert set(soak.Soak.FAULTS) == {figures.what for figures in found}
    # It is a template's copy, so that only the models of these sources are built; as good as a fresh root.
    soak.check(world, another_world)
    assert "lake_files" in soak.told(found)
