"""`dbt build` as analysts start it: by hand, in a database of their own, with all unit tests and data tests."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
from harness import World

from agent_analytics import dbt_worker, transform


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


@pytest.mark.slow
def test_an_event_that_staging_lacks_or_holds_twice_is_told(realistic: World, tmp_path: Path) -> None:
    world = realistic.copy(tmp_path / "storage")
    calls = "staging.stg_provider__calls"
    newest = f"select max(load_id) from {calls}"
    test = "staging_holds_each_accepted_event_once"
    arguments = ["--quiet", "--log-path", str(world.root / "logs"), "test", "--target", "prod", "--select", test]
    for change, failures in (
        (f"delete from {calls} where rowid = (select max(rowid) from {calls} where load_id = ({newest}))", 1),
        (f"insert into {calls} select * from {calls} where load_id = ({newest}) limit 1", 0),
        (f"insert into {calls} select * from {calls} where load_id = 1 limit 1", 1),
    ):
        with duckdb.connect(str(world.storage.warehouse)) as warehouse:
            warehouse.execute(change)
        done = dbt_worker.worker().invoke(arguments, {"ANALYTICS_STORAGE": str(world.root)})
        (found,) = (node for name, node in done.nodes.items() if name.startswith("test."))
        assert (found.status, found.failures) == ("warn" if failures else "pass", failures)
    for report in (transform.build(world.storage, select=test), transform.read_last_build(world.storage)):
        assert report is not None
        assert [(warned["test"], "load_id=1" in warned["message"]) for warned in report.warned_tests] == [(test, True)]
        assert all(family["ok"] for family in report.families.values())


@pytest.mark.slow
def test_a_part_of_the_project_is_built_by_hand_in_a_new_database(realistic: World, tmp_path: Path) -> None:
    world = realistic.copy(tmp_path / "storage")
    arguments = ["--quiet", "--log-path", str(world.root / "logs"), "build", "--select", "+spend_monthly"]
    done = dbt_worker.worker().invoke(arguments, {"ANALYTICS_STORAGE": str(world.root)})
    assert {name: node.message for name, node in done.nodes.items() if node.status not in ("success", "pass")} == {}
    assert any(name.startswith("test.") and "spend_monthly" in name for name in done.nodes)
