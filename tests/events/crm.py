"""CRM events: marketing spend; customers won more than once; tickets that share ids, or are resolved first."""

from __future__ import annotations

from datetime import timedelta

from events import TENANTS, Event, Generator, Maker
from events.billing import months_ago

CHANNELS = ("organic", "event", "partner")


def spend(g: Generator) -> list[Event]:
    amount = g.random.choice((0, 100, round(g.random.random() * 90, 6)))
    return [g.event("crm", "marketing.spent", months_ago(g), channel=g.random.choice(CHANNELS), amount_usd=amount)]


def acquisition(g: Generator) -> list[Event]:
    return [g.event("crm", "customer.acquired", months_ago(g), channel=g.random.choice(CHANNELS))]


def ticket(g: Generator) -> list[Event]:
    at, tenant = g.moment(), g.random.choice(TENANTS)
    name = {"ticket_id": f"k{g.random.randrange(60)}"}
    found = []
    while not found or g.random.random() < 0.3:
        severity = g.random.choice(("low", "normal", "high", "urgent"))
        opened = at + timedelta(days=g.random.choice((0, 0, 9)))
        found.append(g.event("crm", "ticket.opened", opened, tenant, severity=severity, **name))
    while g.random.random() < 0.5:
        resolved = at + timedelta(hours=g.random.choice((-1, 0, 20, 300)))
        found.append(g.event("crm", "ticket.resolved", resolved, tenant, **name))
    return found


MAKERS: dict[Maker, int] = {spend: 1, acquisition: 1, ticket: 1}
