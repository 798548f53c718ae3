"""Provider events: executions and calls with and without a cost, of known and unknown models; faults."""

from __future__ import annotations

from typing import Any

from events import Event, Generator, Maker


def provider_and_model(g: Generator) -> dict[str, Any]:
    pick = g.random.choice
    return {
        "provider": pick(("openai", "openai", "anthropic", "anthropic", "mistral", "unknown-provider")),
        "model": pick(("gpt-5", "claude-haiku-4-5", "gemini-2.5-flash", "mistral-large", "no-such-model")),
    }


def tokens(g: Generator) -> dict[str, Any]:
    tokens_in = g.random.choice((0, 1, 999, g.random.randrange(200_000)))
    return {
        "tokens_in": tokens_in,
        "tokens_out": g.random.randrange(5_000),
        "tokens_cached": g.random.choice((None, 0, tokens_in, tokens_in // 3)),
        "completions": g.random.randrange(3),
        "cost_usd": g.random.choice((None, None, 0, round(g.random.random(), 7))),
    }


def execution(g: Generator) -> list[Event]:
    kind = g.random.choices(("agent.completed", "agent.failed", "agent.timed_out"), (8, 2, 1))[0]
    properties = {
        "execution_id": f"x{g.random.randrange(10**9)}",
        "task_type": g.random.choice(("review", "review", "summary")),
        "duration_ms": g.random.choice((0, 1000.5, round(g.random.lognormvariate(7, 1), 3))),
        "queue_ms": g.random.choice((None, 0, g.random.randrange(500))),
        **provider_and_model(g),
    }
    if kind == "agent.completed":
        properties |= tokens(g)
    else:
        properties["cost_usd"] = g.random.choice((None, 0.25))
    if kind == "agent.failed":
        properties["error_code"] = "boom"
    return [g.event("provider", kind, g.moment(), **properties)]


def call(g: Generator) -> list[Event]:
    properties = {
        "execution_id": f"x{g.random.randrange(10**9)}",
        "task_type": "review",
        "latency_ms": g.random.choice((None, 0, round(g.random.random() * 900, 2))),
        "succeeded": g.random.random() < 0.9,
        **provider_and_model(g),
        **tokens(g),
    }
    return [g.event("provider", "provider.called", g.moment(), **properties)]


def fault(g: Generator) -> list[Event]:
    if g.random.random() < 0.5:
        return [g.event("provider", "provider.rate_limited", g.moment(), **provider_and_model(g))]
    return [g.event("provider", "provider.errored", g.moment(), error_code="500", **provider_and_model(g))]


MAKERS: dict[Maker, int] = {execution: 8, call: 3, fault: 1}
