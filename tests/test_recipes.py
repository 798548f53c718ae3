"""The recipes of CONTRIBUTING.md work as written: the test applies their very snippets to a copy of the project."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

import pytest
from harness import World
from project_copy import Copy

from agent_analytics.storage import PROJECT_ROOT

FENCE = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Snippet:
    """A fenced block of CONTRIBUTING.md: its language, the file that it is for, its text."""

    language: str
    path: str
    text: str


def snippets() -> Iterator[Snippet]:
    for language, path, text in FENCE.findall((PROJECT_ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")):
        yield Snippet(language, path, text)


def patched(text: str, diff: str, path: str) -> str:
    """The text with a diff applied: its ` ` and `-` lines occur once, and become its ` ` and `+` lines."""
    lines = diff.splitlines(keepends=True)
    before = "".join(line[1:] for line in lines if line[0] != "+")
    after = "".join(line[1:] for line in lines if line[0] != "-")
    assert f"\n{text}".count(f"\n{before}") == 1, f"{path} has these lines not once:\n{before}"
    return f"\n{text}".replace(f"\n{before}", f"\n{after}")[1:]


def apply(project: Copy, snippet: Snippet) -> None:
    path = project.root / snippet.path
    if snippet.language == "diff":
        path.write_text(patched(path.read_text(encoding="utf-8"), snippet.text, snippet.path), encoding="utf-8")
    elif snippet.language == "sh":
        command = snippet.text.split()
        assert command[0] == "agent-analytics", snippet.text
        project.call(*command[1:])
    elif snippet.path:
        assert not path.exists(), f"{snippet.path} exists already"
        path.write_text(snippet.text, encoding="utf-8")


def event(event_type: str, at: str, event_id: str, **properties: Any) -> dict[str, Any]:
    named = {"deployment_id": f"of {event_id}", "service": "gateway"}
    return {
        "event_id": event_id,
        "source": "delivery",
        "event_type": event_type,
        "occurred_at": at,
        "tenant_id": "tenant-1",
        "properties": named | properties,
    }


def deployment(at: str, event_id: str, **properties: Any) -> dict[str, Any]:
    return event("deployment.finished", at, event_id, environment="production", succeeded=True, **properties)


def call(at: str, event_id: str) -> dict[str, Any]:
    properties = {"execution_id": "x", "task_type": "t", "provider": "p", "model": "m", "succeeded": True}
    properties |= {"tokens_in": 1, "tokens_out": 1, "completions": 1}
    return event("provider.called", at, event_id) | {"source": "provider", "properties": properties}


def act(event_type: str, at: str, event_id: str, user: str, **properties: Any) -> dict[str, Any]:
    found = event(event_type, at, event_id) | {"source": "platform", "properties": properties}
    return found | {"user_id": user}


@pytest.mark.slow
def test_the_recipes_work_as_written_on_a_warehouse_that_is_already_in_use(project: Copy, template: World) -> None:
    shutil.copytree(template.root, project.storage, symlinks=True)
    project.land(
        "1.jsonl",
        deployment("2026-03-10T08:00:00Z", "a"),
        deployment("2026-03-11T08:00:00Z", "b", region="north"),
        event("deployment.failed_in_use", "2026-03-10T09:00:00Z", "f", deployment_id="of a"),
        event("deployment.rolled_back", "2026-03-10T10:00:00Z", "r1", deployment_id="of a"),
        call("2026-03-10T05:30:00Z", "p"),
    )
    project.call("run")
    assert project.warehouse("select count(*) from staging.stg_delivery__deployments") == [(2,)]
    calls = "select tenant_id, date from provider_costs.provider_calls_daily"
    assert project.published(calls) == [("tenant-1", date(2026, 3, 10))]

    for snippet in snippets():
        apply(project, snippet)
    assert "deployment.rolled_back" in (project.root / "docs" / "contract.md").read_text(encoding="utf-8")
    project.land(
        "2.jsonl",
        deployment("2026-04-02T08:00:00Z", "c", region="south"),
        event("deployment.rolled_back", "2026-04-02T09:00:00Z", "r2", deployment_id="of c", reason="slow"),
        event("deployment.rolled_back", "2026-04-02T10:00:00Z", "r3", deployment_id="of c"),
        act("search.performed", "2026-04-02T10:00:00Z", "s1", "ann", latency_ms=5, result_count=2),
        act("dashboard.viewed", "2026-04-02T10:00:00Z", "v1", "ann", dashboard="costs"),
        act("dashboard.viewed", "2026-04-02T10:00:30Z", "v2", "ann", dashboard="costs"),
        act("data.exported", "2026-04-02T10:40:30Z", "x1", "ann", row_count=1),
        act("search.performed", "2026-04-02T23:30:00Z", "s2", "bob", latency_ms=5, result_count=1),
        act("data.exported", "2026-04-02T23:30:10Z", "x2", "bob", row_count=1),
    )
    project.call("replay")
    project.call("run")

    assert project.published(calls) == [("tenant-1", date(2026, 3, 9))], "the day in Los Angeles"
    regions = project.warehouse("select event_id, region from staging.stg_delivery__deployments order by event_id")
    assert regions == [("a", None), ("b", None), ("c", "south")]
    reasons = project.warehouse("select event_id, reason from staging.stg_delivery__rollbacks order by event_id")
    assert reasons == [("r1", None), ("r2", "slow"), ("r3", None)]
    monthly = "select month, deployments, failed_deployments from delivery.delivery_performance_monthly order by month"
    assert project.published(monthly) == [(date(2026, 3, 1), 2, 1), (date(2026, 4, 1), 1, 0)]
    rollbacks = "select service, date, rollbacks, deployments_rolled_back from delivery.rollbacks_daily order by date"
    assert project.published(rollbacks) == [
        ("gateway", date(2026, 3, 10), 1, 1),
        ("gateway", date(2026, 4, 2), 2, 1),
    ]
    funnel = project.published("select * exclude (loaded_through) from funnels.export_funnel_daily")
    assert funnel == [(date(2026, 4, 2), 2, 1, 1, 0.5, 1.0, 0.5, 30.0, 2400.0)]
    described = project.published("select comment from duckdb_columns() where column_name = 'deployments_rolled_back'")
    assert described == [("Distinct deployments among them.",)]
    breaches = "select scope_ref, value, operator, threshold_value from slo.kpi_breaches where threshold_id = 't28'"
    assert project.published(breaches) == [("gateway", 0.0, "<", 1.0)], "that of 2 April is not of a complete day"
    gate = project.gate("delivery")
    for name in ("delivery_performance_monthly.failures_are_deployments", "rollbacks_daily.all_rollbacks"):
        assert gate[name]["evaluated"], name
        assert gate[name]["success"], name
