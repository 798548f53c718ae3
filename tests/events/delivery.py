"""Delivery events: deployments that share ids, failures that find none, restorations before their failure."""

from __future__ import annotations

from datetime import timedelta

from events import TENANTS, Event, Generator, Maker


def deployment(g: Generator) -> list[Event]:
    at = g.moment()
    tenant, service = g.random.choice(TENANTS[:2]), g.random.choice(("gateway", "web-app"))
    # A small range of ids: some deployments share one, some failures find none.
    name = {"deployment_id": f"d{g.random.randrange(80)}", "service": service}
    found = [
        g.event(
            "delivery",
            "deployment.finished",
            at,
            tenant,
            environment=g.random.choice(("production", "production", "staging")),
            succeeded=g.random.random() < 0.85,
            committed_at=g.random.choice((None, (at - timedelta(hours=g.random.randrange(200))).isoformat())),
            **name,
        )
    ]
    while g.random.random() < 0.35:
        later = at + timedelta(minutes=g.random.randrange(-60, 3000))
        found.append(g.event("delivery", "deployment.failed_in_use", later, tenant, **name))
    while g.random.random() < 0.35:
        later = at + timedelta(minutes=g.random.randrange(-60, 6000))
        found.append(g.event("delivery", "service.restored", later, tenant, **name))
    return found


MAKERS: dict[Maker, int] = {deployment: 1}
