"""Executions of a few patterns that tenants share by name: on quarters of an hour, in bursts, of anybody or nobody."""

from __future__ import annotations

from datetime import timedelta

from events import TENANTS, Event, Generator, Maker


def executions(g: Generator) -> list[Event]:
    """Some executions of one pattern: at one instant, or apart by whole parts of a window, or by a microsecond."""
    at, tenant, pattern = (
        g.moment(),
        g.random.choice(TENANTS[:3]),
        g.random.choice(("review", "review", "triage", "plan")),
    )
    step = g.random.choice(
        (
            timedelta(0),
            timedelta(microseconds=1),
            timedelta(minutes=15),
            timedelta(hours=6),
            timedelta(days=3.5),
            timedelta(hours=g.random.random() * 50),
        )
    )
    found = []
    for number in range(g.random.randrange(1, 7)):
        event = g.event(
            "patterns",
            "pattern.executed",
            at - number * step,
            tenant,
            pattern_id=pattern,
            execution_id=f"x{g.random.randrange(10**9)}",
            succeeded=g.random.random() < 0.8,
            timed_out=g.random.random() < 0.1,
            quality_gate_failed=g.random.random() < 0.05,
            execution_time_ms=g.random.choice((0, 500, 1000, round(g.random.lognormvariate(6, 1), 3))),
            quality_score=g.random.choice((None, 0, 0.7, 1, round(g.random.random(), 4))),
            context_type=g.random.choice(("chat", "batch", "unknown")),
            project=g.random.choice((None, "a", "b")),
            file_type=g.random.choice((None, "py", "sql")),
        )
        ids = {"user_id": g.random.choice((None, "ann", "bob", "cat")), "agent_id": g.random.choice((None, "a1", "a2"))}
        found.append(event | {name: value for name, value in ids.items() if value is not None})
    return found


MAKERS: dict[Maker, int] = {executions: 1}
