"""Reference tables by tenant: what changes for one tenant is made anew for that tenant, and for no other."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from harness import World, differences
from project_copy import Copy

pytestmark = pytest.mark.slow


def test_a_time_zone_changes_its_tenants_history_and_no_others(unkind: World, project: Copy, tmp_path: Path) -> None:
    """tenant-1 moves, tenant-2 is forgotten, nobody, in UTC so far, gets a time zone."""
    shutil.copytree(unkind.root, project.storage, symlinks=True)
    edited = World(project.storage)
    # No other mart reads this one.
    edited.execute("update provider_costs.routing_savings_daily set executions = -1")
    path = project.root / "seeds" / "tenants.csv"
    lines = path.read_text(encoding="utf-8").splitlines()
    changed = {
        "tenant-1": "tenant-1,Aldgate Labs,Pacific/Apia,business,us-east",
        "tenant-2": "",
        "nobody": "nobody,Nobody Labs,Asia/Kathmandu,team,ap-south",
    }
    kept = [line for line in lines if line.split(",")[0] not in changed]
    path.write_text("\n".join([*kept, *filter(None, changed.values())]) + "\n", encoding="utf-8")

    project.call("build")
    savings = edited.query("from provider_costs.routing_savings_daily")
    assert {row["tenant_id"] for row in savings if row["executions"] != -1} == set(changed)
    assert {row["executions"] for row in savings if row["tenant_id"] not in changed} == {-1}

    whole = edited.copy(tmp_path / "whole")
    project.call_in(whole.root, "build", "--full-refresh")
    marts, expected = edited.marts(), whole.marts()
    for rows in (marts["routing_savings_daily"], expected["routing_savings_daily"]):
        rows[:] = [row for row in rows if row["tenant_id"] in changed]
    assert {name: found[:3] for name in marts if (found := differences(marts[name], expected[name]))} == {}
    before = unkind.marts()
    assert differences(marts["platform_metrics_daily"], before["platform_metrics_daily"]), "nothing changed"
