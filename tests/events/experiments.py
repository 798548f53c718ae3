"""Exposures of users: repeated, of several variations and tenants, too young to count, of users who do nothing."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from events import START, Event, Generator, Maker


def exposure(g: Generator) -> list[Event]:
    """An exposure, and what the user does before and after it, often at the very ends of the windows.

    Of the experiment `crossed` everybody who sees `a` sees `b` too.
    """
    tenant, number = g.random.choice(("tenant-1", "tenant-2")), g.random.randrange(150)
    user = {"user_id": f"exposed-{number}"}
    at = START + timedelta(hours=g.random.randrange(40 * 24))
    # Few users see both variations.
    variation = ("control", "warm")[number % 2] if g.random.random() < 0.97 else "warm"
    experiment = g.random.choice(("tone", "tone", "tone", "alone", "crossed"))
    crossed = ("a", "b") if number % 5 == 0 else ("bc"[number % 2],)
    shown = {"tone": (variation,), "alone": ("only",), "crossed": crossed}[experiment]
    found = [
        g.event("experiments", "experiment.exposed", at, tenant, experiment=experiment, variation=name) | user
        for name in shown
    ]
    for _ in range(g.random.randrange(4)):
        ends = (0, 7 * 86_400, 14 * 86_400, -14 * 86_400, g.random.randrange(-15 * 86_400, 16 * 86_400))
        moment = at + timedelta(seconds=g.random.choice(ends), microseconds=g.random.choice((0, 0, 1, -1)))
        found.append(deed(g, moment, tenant) | user)
    return found


def deed(g: Generator, moment: Any, tenant: str) -> Event:
    """Something that a user of the product does."""
    kind, properties = g.random.choice(
        (
            ("message.received", {"conversation_id": "c"}),
            ("conversation.started", {"conversation_id": f"c{g.random.randrange(9)}"}),
            ("feedback.submitted", {"conversation_id": "c", "rating": g.random.randrange(1, 6)}),
            ("user.logged_in", {}),
        )
    )
    return g.event("platform", kind, moment, tenant, **properties)


MAKERS: dict[Maker, int] = {exposure: 3}
