"""CRM events: marketing spend, and customers who are won more than once."""

from __future__ import annotations

from events import Event, Generator, Maker
from events.billing import months_ago

CHANNELS = ("organic", "event", "partner")


def spend(g: Generator) -> list[Event]:
    amount = g.random.choice((0, 100, round(g.random.random() * 90, 6)))
    return [g.event("crm", "marketing.spent", months_ago(g), channel=g.random.choice(CHANNELS), amount_usd=amount)]


def acquisition(g: Generator) -> list[Event]:
    return [g.event("crm", "customer.acquired", months_ago(g), channel=g.random.choice(CHANNELS))]


MAKERS: dict[Maker, int] = {spend: 1, acquisition: 1}
