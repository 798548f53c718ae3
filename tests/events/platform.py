"""Platform events: conversations in pieces that share ids, and all that users do; many are nobody's or no agent's."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from events import TENANTS, Event, Generator, Maker

Properties = dict[str, Any]


def act(g: Generator, event_type: str, at: datetime, tenant: str, ids: Properties, **properties: Any) -> Event:
    """A platform event with the ids of its envelope that are known."""
    event = g.event("platform", event_type, at, tenant, **properties)
    return event | {name: value for name, value in ids.items() if value is not None}


def anybody(g: Generator) -> str | None:
    """One of a few users, of whom tenants share some; or nobody."""
    return g.random.choice((None, *(f"user-{n}" for n in range(12))))


def any_agent(g: Generator) -> str | None:
    """One of a few agents; or one that is never heard of again; or none."""
    return g.random.choice((None, "a1", "a1", "a2", "a2", "a3", f"once-{g.random.randrange(10**6)}"))


def conversation(g: Generator) -> list[Event]:
    at, tenant = g.moment(), g.random.choice((TENANTS[0], *TENANTS))
    ids = {"user_id": anybody(g), "agent_id": any_agent(g)}
    name = {"conversation_id": f"c{g.random.randrange(300)}"}
    topic = g.random.choice((None, "billing", "how-to"))

    def add(event_type: str, minutes: float, **properties: Any) -> None:
        moment = at + timedelta(minutes=minutes)
        found.append(act(g, event_type, moment, tenant, ids, **name, **properties))

    found: list[Event] = []
    if g.random.random() < 0.85:
        add("conversation.started", 0, topic=topic)
    while g.random.random() < 0.1:
        add("conversation.started", g.random.randrange(-3000, 3000), topic=g.random.choice((None, "bug")))
    while g.random.random() < 0.6:
        add("message.received", g.random.randrange(90))
        if g.random.random() < 0.9:
            add(
                "message.sent",
                g.random.randrange(90),
                response_time_ms=g.random.choice((0, 250, 250, round(g.random.lognormvariate(7, 1), 3))),
                tokens_in=g.random.choice((0, g.random.randrange(5000))),
                tokens_out=g.random.randrange(900),
                errored=g.random.random() < 0.15,
            )
    while g.random.random() < 0.5:
        add(
            "conversation.ended",
            g.random.choice((0, 90, 1500)),
            duration_ms=g.random.randrange(10**7),
            message_count=g.random.randrange(12),
            resolved=g.random.random() < 0.6,
            handed_off=g.random.random() < 0.3,
            topic=g.random.choice((None, topic, "bug")),
        )
    while g.random.random() < 0.25:
        add("feedback.submitted", g.random.choice((30, 3000)), rating=g.random.randint(1, 5))
    return found


def agent_life(g: Generator) -> list[Event]:
    at, tenant = g.moment(), g.random.choice(TENANTS)
    ids = {"user_id": anybody(g), "agent_id": any_agent(g)}
    found = []
    if g.random.random() < 0.6:
        named = f"Agent {g.random.randrange(3)}"
        found.append(act(g, "agent.created", at, tenant, ids, agent_name=named))
    for event_type in ("agent.updated", "agent.deleted"):
        if g.random.random() < 0.3:
            found.append(act(g, event_type, g.moment(), tenant, ids))
    while g.random.random() < 0.4:
        version = f"1.{g.random.randrange(9)}"
        # Two deployments of one instant: the higher event id is the newer.
        found.append(act(g, "agent.deployed", at, tenant, ids, version=version))
    return found


def work(g: Generator) -> list[Event]:
    """One act of a user, or of nobody; a feature that is used is used by some, some of them twice."""
    count = g.random.randrange
    document = {"document_id": f"d{count(30)}", "size_bytes": count(10**9)}
    document["storage_class"] = g.random.choice(("documents", "uploads", "backups"))
    kinds: dict[str, Properties] = {
        "user.signed_up": {"channel": g.random.choice(("organic", "partner"))},
        "user.logged_in": {},
        "user.invited": {},
        "workflow.created": {},
        "workflow.executed": {"duration_ms": count(9000)},
        "workflow.failed": {"duration_ms": count(9000), "error_code": "timeout"},
        "document.uploaded": document,
        "document.deleted": document,
        "search.performed": {"latency_ms": count(300), "result_count": count(20)},
        "api.called": {
            "endpoint": "/v1/agents",
            "status_code": g.random.choice((200, 200, 404, 499, 500, 503)),
            "latency_ms": count(300),
            "bytes_out": count(10**9),
        },
        "feature.used": {"feature": g.random.choice(("chat", "search", "exports"))},
        "dashboard.viewed": {"dashboard": "costs"},
        "data.exported": {"row_count": count(5000)},
    }
    event_type = g.random.choice(list(kinds))
    tenant = g.random.choice((TENANTS[0], *TENANTS))
    at, times = g.moment(), 5 if event_type == "feature.used" else 1
    moments = (at + timedelta(hours=count(30) if n else 0) for n in range(times))
    return [act(g, event_type, moment, tenant, {"user_id": anybody(g)}, **kinds[event_type]) for moment in moments]


MAKERS: dict[Maker, int] = {conversation: 2, agent_life: 1, work: 3}
