"""`dbt build` as analysts start it: by hand, in a database of their own, with all unit tests and data tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness import World

from agent_analytics import dbt_worker


@pytest.mark.slow
def test_every_unit_test_and_data_test_passes_in_a_build_by_hand(realistic: World, tmp_path: Path) -> None:
    world = realistic.copy(tmp_path / "storage")
    done = dbt_worker.worker().invoke(["--quiet", "build"], {"ANALYTICS_STORAGE": str(world.root)})
    assert {"seed", "model", "test", "unit_test"} <= {name.split(".")[0] for name in done.nodes}
    # Exposures and saved queries are in the graph, and nothing is done about them.
    idle = {name for name in done.nodes if name.split(".")[0] in ("exposure", "saved_query")}
    failed = [node for name, node in done.nodes.items() if name not in idle and node.status not in ("success", "pass")]
    assert {node.unique_id: node.message for node in failed} == {}
    assert (world.root / "dev.duckdb").exists()
