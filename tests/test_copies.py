"""Copies of events: what tells which batches of a load may have taken an event, against a plain search."""

from pathlib import Path

import numpy as np
import pytest

from agent_analytics import copies
from agent_analytics.copies import Taken


@pytest.mark.parametrize("most", [1, 50, 1 << 24], ids=["all_on_disk", "some_on_disk", "in_memory"])
@pytest.mark.parametrize("seed", range(3))
def test_each_kept_hash_is_found_with_all_batches_that_have_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, most: int
) -> None:
    """Hashes that differ in their last bits only are taken for one another: both batches are to be looked into."""
    monkeypatch.setattr(copies, "MOST", most)
    random = np.random.default_rng(seed)
    # Few first bits, so that many are the same; the extremes too.
    firsts = np.append(random.integers(0, 2**48, 40, np.uint64), [0, 2**48 - 1]).astype(np.uint64)
    taken, batches = Taken(tmp_path), []
    for number in [*range(12), 0xFFFF]:
        hashes = np.sort((random.choice(firsts, 30) << np.uint64(16)) | random.integers(0, 2**16, 30, np.uint64))
        asked = np.sort(np.append(hashes[:10], random.integers(0, 2**64 - 1, 20, np.uint64)))
        found, numbers = taken.find(asked)
        known = {first: {n for n, kept in batches if first in kept} for first in (asked >> np.uint64(16)).tolist()}
        assert found.tolist() == [bool(known[first]) for first in (asked >> np.uint64(16)).tolist()]
        assert numbers == set[int]().union(*known.values())
        taken.add(number, hashes)
        batches.append((number, set((hashes >> np.uint64(16)).tolist())))
    assert bool(taken.on_disk) == (most <= 50)


def test_nothing_is_found_among_nothing(tmp_path: Path) -> None:
    """A batch of rejected lines alone, and the first one of a load."""
    taken, none = Taken(tmp_path), np.empty(0, np.uint64)
    assert taken.find(none)[1] == set()
    taken.add(0, none)
    found, numbers = taken.find(np.array([0, 2**64 - 1], np.uint64))
    assert (found.tolist(), numbers) == ([False, False], set())
