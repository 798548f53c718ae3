"""Agent executions: a start, some model calls, perhaps rate limits and errors, and one of three endings."""

from __future__ import annotations

import numpy as np

from agent_analytics.simulate.draw import Column, Draw, Part, Rows, label, number, ragged, running, sums, text
from agent_analytics.simulate.universe import DAY, HOUR, MODELS, SECOND, TASK_TYPES, Bools, Ints, cost, trait

#: Expected events of a story.
MEAN_EVENTS = 5.1

ERRORS = ("overloaded", "bad_gateway", "invalid_request", "content_filter")
FAILURES = ("tool_failed", "provider_error", "invalid_output", "budget_exceeded")


def generate(draw: Draw, stories: int) -> list[Part]:
    """One story is one execution; 1 in 100 never ends."""
    story, tenant, t = draw.starts(stories)
    agent, user = draw.agents(tenant), draw.users(tenant, t)
    identity = draw.number(story)
    task = draw.pick((30, 22, 18, 10, 14, 6), stories)
    model = _route(draw, tenant, task)
    speed = np.array([m.median_ms for m in MODELS])[model]
    weakness = np.array([m.error_rate for m in MODELS])[model]
    # Agents differ in how often they fail, and each has an outlier day now and then.
    fragile = weakness + 0.12 * trait(agent, 41) ** 3 + 0.35 * (trait(agent * 100_000 + t // DAY, 43) < 0.012)

    calls = draw.counts(3.0, stories, 120)
    owner, position = ragged(calls)
    rows = len(owner)
    latency = draw.tail(speed[owner], 0.75, rows)
    busy = (latency * 1000).astype(np.int64) + draw.micros(0.4 * SECOND, 1.0, rows, HOUR)
    queue = draw.micros(0.25 * SECOND, 1.3, stories, HOUR)
    finished = t[owner] + queue[owner] + running(busy, calls)
    tokens_in = draw.wholes(1500 + 800 * position, 0.7, rows) + 1
    tokens_out = draw.wholes(320, 0.9, rows)
    caches = draw.chance(0.7, rows) & (position > 0)
    cached = np.where(caches, (tokens_in * draw.rng.random(rows) * 0.9).astype(np.int64), 0)
    completions = np.ones(rows, dtype=np.int64)
    called_ok = ~draw.chance(weakness[owner], rows)
    called_cost = cost(model[owner], tokens_in, cached, tokens_out, completions)
    logs = np.array([m.logs_cost for m in MODELS])[model]

    def envelope(at: Ints) -> dict[str, Column]:
        return {
            "user_id": text("user-{}@example.com", user[at], absent=draw.chance(0.3, len(at))),
            "agent_id": text("agent-{}", agent[at]),
            "correlation_id": text("{run}-x{}", identity[at]),
            "execution_id": text("{run}-x{}", identity[at]),
            "task_type": label(task[at], TASK_TYPES),
        }

    def routed(at: Ints) -> dict[str, Column]:
        return {
            "provider": label(model[at], [m.provider for m in MODELS]),
            "model": label(model[at], [m.name for m in MODELS]),
        }

    whole, call = envelope(story), {**envelope(owner), **routed(owner)}
    queue_ms = number(queue / 1000, absent=draw.chance(0.1, stories))
    started = Rows(story, tenant, t, whole).part("agent.started", queue_ms=queue_ms)
    called = Rows(owner, tenant[owner], finished, call).part(
        "provider.called",
        latency_ms=number(latency, absent=draw.chance(0.02, rows)),
        tokens_in=number(tokens_in),
        tokens_out=number(tokens_out),
        tokens_cached=number(cached, absent=~caches),
        completions=number(completions),
        succeeded=number(called_ok),
        cost_usd=number(called_cost, absent=~draw.chance(logs[owner], rows), digits=6),
    )
    trouble = {name: call[name] for name in ("agent_id", "correlation_id", "provider", "model")}
    limited = Rows(owner, tenant[owner], finished - busy // 2, trouble).part(
        "provider.rate_limited", draw.chance(0.012 + 0.02 * (latency > 3 * speed[owner]), rows)
    )
    errored = Rows(owner, tenant[owner], finished, trouble).part(
        "provider.errored", ~called_ok, error_code=label(draw.pick((5, 2, 2, 1), rows), ERRORS)
    )

    end = np.zeros(stories, dtype=np.int64)
    end[owner] = finished
    outcome = draw.rng.random(stories)
    failed = outcome < fragile
    timed_out = ~failed & (outcome < fragile + 0.025)
    completed = ~failed & ~timed_out & (outcome < 0.99)
    end += np.where(timed_out, 300 * SECOND, draw.micros(0.2 * SECOND, 0.5, stories))
    ending = Rows(story, tenant, end, {**whole, **routed(story)})
    duration = number((end - t - queue) / 1000)
    total = sums(called_cost, owner, stories)
    own_cost = draw.chance(0.5 * logs, stories)

    def money(some: Bools) -> Column:
        return number(total, absent=~some, digits=6)

    any_cached = sums(cached, owner, stories)
    return [
        started,
        called,
        limited,
        errored,
        ending.part(
            "agent.completed",
            completed,
            duration_ms=duration,
            queue_ms=queue_ms,
            tokens_in=number(sums(tokens_in, owner, stories).astype(np.int64)),
            tokens_out=number(sums(tokens_out, owner, stories).astype(np.int64)),
            tokens_cached=number(any_cached.astype(np.int64), absent=any_cached == 0),
            completions=number(calls),
            cost_usd=money(own_cost),
        ),
        ending.part(
            "agent.failed",
            failed,
            duration_ms=duration,
            queue_ms=queue_ms,
            error_code=label(draw.pick((4, 3, 2, 1), stories), FAILURES),
            cost_usd=money(own_cost & draw.chance(0.5, stories)),
        ),
        ending.part("agent.timed_out", timed_out, duration_ms=duration, queue_ms=queue_ms, cost_usd=money(own_cost)),
    ]


def _route(draw: Draw, tenant: Ints, task: Ints) -> Ints:
    """A model per execution: each tenant and task type has its favourite, taken in two thirds of the cases."""
    favourite = (trait(tenant * 100 + task, 42) * len(MODELS)).astype(np.int64)
    free = draw.pick([m.share for m in MODELS], len(tenant))
    return np.where(draw.chance(0.66, len(tenant)), free, favourite)
