"""Swarm events: tasks that are assigned twice, resolved before their assignment or never; policy checks."""

from __future__ import annotations

from datetime import timedelta

from events import TENANTS, Event, Generator, Maker


def task(g: Generator) -> list[Event]:
    at, tenant = g.moment(), g.random.choice(TENANTS[:2])
    name = {"swarm_id": g.random.choice(("alpha", "beta")), "task_id": f"t{g.random.randrange(400)}"}
    found = []
    if g.random.random() < 0.95:
        found.append(g.event("swarm", "swarm.task_assigned", at, tenant, **name))
    while g.random.random() < 0.2:
        found.append(g.event("swarm", "swarm.task_assigned", g.moment(), tenant, **name))
    while g.random.random() < 0.6:
        later = at + timedelta(minutes=g.random.choice((0, -30, 5, g.random.randrange(4000))))
        won = g.random.random() < 0.7
        found.append(g.event("swarm", "swarm.task_resolved", later, tenant, succeeded=won, **name))
    while g.random.random() < 0.2:
        found.append(g.event("swarm", "swarm.task_escalated", at + timedelta(hours=1), tenant, **name))
    return found


def policy(g: Generator) -> list[Event]:
    tenant, swarm = g.random.choice(TENANTS[:2]), g.random.choice(("alpha", "beta"))
    compliant = g.random.random() < 0.9
    return [
        g.event("swarm", "swarm.policy_checked", g.moment(), tenant, swarm_id=swarm, policy="p", compliant=compliant)
    ]


MAKERS: dict[Maker, int] = {task: 1, policy: 1}
