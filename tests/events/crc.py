"""CRC events: cycles whose tasks end in any order, days apart, under ids that workspaces and blueprints share."""

from __future__ import annotations

from datetime import timedelta

from events import TENANTS, Event, Generator, Maker


def cycle(g: Generator) -> list[Event]:
    """One task, a few, or enough of them for a baseline; some before the cycle's first day so far."""
    at, tenant = g.moment(), g.random.choice(TENANTS[:2])
    name = {
        "cycle_id": f"c{g.random.randrange(30)}",
        "blueprint_id": g.random.choice(("intake", "intake", "no-such-blueprint")),
        "workspace_id": g.random.choice(("ws-100", "ws-100", "ws-900")),
    }
    return [
        g.event(
            "crc",
            "crc.task_completed",
            at + timedelta(minutes=g.random.choice((0, 0, 1, g.random.randrange(-4000, 8000)))),
            tenant,
            task_id=f"t{g.random.randrange(10**6)}",
            cycle_time_ms=g.random.choice((0, 1000, round(g.random.lognormvariate(8, 1), 3))),
            succeeded=g.random.random() < 0.8,
            **name,
        )
        for _ in range(g.random.choice((1, 1, 2, 3, 40)))
    ]


MAKERS: dict[Maker, int] = {cycle: 1}
