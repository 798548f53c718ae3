"""Notebook runs: several at one instant, scopes, workspaces and blueprints that change, authors who share names."""

from __future__ import annotations

from datetime import timedelta

from events import TENANTS, Event, Generator, Maker


def runs(g: Generator) -> list[Event]:
    """Runs of one notebook, days apart or at once."""
    at, tenant = g.moment(), g.random.choice(TENANTS[:2])
    notebook = f"nb-{g.random.randrange(12)}"
    found = []
    for _ in range(g.random.choice((1, 1, 2, 5))):
        trigger = g.random.choice(("automation", "automation", "manual"))
        run = g.event(
            "notebooks",
            "notebook.executed",
            at,
            tenant,
            notebook_id=notebook,
            # ws-100 is registered for tenant-1 only; ws-900 for nobody.
            workspace_id=g.random.choice(("ws-100", "ws-100", "ws-101", "ws-900")),
            blueprint_id=g.random.choice(("intake", "forecast", "no-such-blueprint")),
            scope=g.random.choice(("pricing", "reporting", "reporting", "no-such-scope")),
            trigger=trigger,
            duration_ms=g.random.randrange(100_000),
            succeeded=g.random.random() < 0.9,
        )
        user = g.random.choice((None, "ann", "ann", "bob", "cy"))
        found.append(run | ({"user_id": user} if user else {}))
        at += timedelta(minutes=g.random.choice((0, 0, 30, g.random.randrange(3 * 24 * 60))))
    return found


MAKERS: dict[Maker, int] = {runs: 1}
