"""A normal week, a spike in fallbacks, and its end: one incident, two webhooks, and nothing new after that."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from alerts_world import Receiver, receiver
from events import Generator
from harness import Event, World

from agent_analytics import alerts
from agent_analytics.operations import desk
from agent_analytics.simulate import simulate


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with receiver() as found:
        monkeypatch.setenv("ANALYTICS_WEBHOOK_URL", found.url)
        monkeypatch.setenv("ANALYTICS_WEBHOOK_SECRET", "both sides know it")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        yield found


def an_hour_of_turns(world: World, seed: int, fell_back: int) -> list[Event]:
    """100 turns in the hour after all that was seen, so many of which fell back; nothing else is odd about them."""
    generator, begin = Generator(seed), world.as_of
    quiet: dict[str, Any] = {
        **dict.fromkeys(("retries", "validator_retries", "tool_calls", "sim_ticks", "gold_delta", "items_acquired"), 0),
        **dict.fromkeys(("ticks", "acts", "choices"), 1),
        **dict.fromkeys(("softlock_hint", "over_token_budget"), False),
        **{"latency_ms": 900.0, "tokens_in": 500, "tokens_out": 100, "progressed": True},
        **{"world": "emberfall", "adventure": "a1", "locale": "en", "model": "m", "content_version": "v1"},
    }
    return [
        generator.event(
            "game",
            "turn.completed",
            begin + timedelta(seconds=36 * (number + 1)),
            "tenant-1",
            fell_back=number < fell_back,
            **quiet,
        )
        | {"session_id": f"evening-{seed}-{number % 20}"}
        for number in range(100)
    ]


def show(world: World, events: list[Event]) -> alerts.Evaluation:
    """Land, run, evaluate: what an hour of operation does."""
    world.land(events)
    report = world.run()
    assert report.problems == []
    return alerts.evaluate(world.storage)


@pytest.mark.slow
def test_a_spike_in_fallbacks_is_one_incident_and_one_webhook_and_so_is_its_end(world: World, hook: Receiver) -> None:
    simulate(world.storage.landing / "week", events=4_000, days=7, seed=3, sources=["game"], tenants=4)
    show(world, [])
    assert show(world, an_hour_of_turns(world, 1, fell_back=1)).breaches == 0
    assert (hook.events, desk.listed(world.storage)) == ([], [])

    assert show(world, an_hour_of_turns(world, 2, fell_back=40)).counts == {"opened": 1}
    [incident] = desk.listed(world.storage)
    assert (incident["kpi"], incident["scope"], incident["family"]) == ("fallback_rate", "global", "game")
    assert incident["value"] == pytest.approx(0.4, abs=0.02)
    assert "reduce input token cap by 10%" in incident["suggested_actions"]
    assert hook.events == ["incident.opened"]
    assert "reduce input token cap by 10%" in hook.accepted[0]["incident"]["suggested_actions"]

    happened = [show(world, an_hour_of_turns(world, seed, fell_back=1)).counts for seed in (3, 4, 5)]
    assert happened == [{"good": 1}, {"good": 1}, {"resolved": 1}]
    assert hook.events == ["incident.opened", "incident.resolved"]

    again = show(world, [])
    assert (again.new, again.counts, again.delivered.sent) == (False, {}, 0)
    assert len(hook.requests) == 2
    assert len(desk.listed(world.storage, everything=True)) == 1
    runs = world.published("from ops.pipeline_runs order by started_at")
    assert [(row["incidents_created"], row["incidents_resolved"]) for row in runs][:3] == [(0, 0), (0, 0), (1, 0)]
