"""The agent product: conversations, and users' working sessions of sign-ups, agents, workflows, documents and views."""

from __future__ import annotations

import numpy as np

from agent_analytics.simulate.draw import Column, Draw, Part, Rows, label, number, ragged, running, text
from agent_analytics.simulate.universe import (
    CHANNELS,
    EXPERIMENTS,
    FEATURES,
    HOUR,
    MINUTE,
    SECOND,
    TOPICS,
    Floats,
    Ints,
    trait,
)

#: Expected events of a story.
MEAN_EVENTS = 7.1

#: What happens within a working session, by share. Agents are deleted seldom, workflows run often.
ACTIONS = {
    "user.logged_in": 20, "user.signed_up": 1.6, "user.invited": 1.2, "agent.created": 1.5, "agent.updated": 2.5,
    "agent.deployed": 1.8, "agent.deleted": 0.5, "workflow.created": 1.5, "workflow.executed": 11,
    "workflow.failed": 1.1, "document.uploaded": 4, "document.deleted": 1.5, "search.performed": 10,
    "api.called": 18, "feature.used": 13, "dashboard.viewed": 9, "data.exported": 1.2,
}  # fmt: skip
ENDPOINTS = ("/v1/agents", "/v1/conversations", "/v1/executions", "/v1/documents", "/v1/search")
STATUSES = (200, 201, 400, 404, 429, 500, 503)
DASHBOARDS = ("overview", "costs", "quality", "swarms")
STORAGE = ("documents", "uploads", "backups")
ERRORS = ("timeout", "bad_input", "tool_failed", "no_capacity")


def likes_variation(user: Ints) -> Floats:
    """1 for users whom the experiment 'reply-style' shows the treatment: they rate a little higher, a real effect."""
    return np.asarray(trait(user, 100 + EXPERIMENTS.index("reply-style")) >= 0.5, dtype=np.float64)


def generate(draw: Draw, stories: int) -> list[Part]:
    """Stories of two kinds: 60% conversations, 40% working sessions."""
    talks = round(stories * 0.6)
    return _conversations(draw, talks) + _sessions(draw, stories - talks, talks)


def _conversations(draw: Draw, count: int) -> list[Part]:
    rng = draw.rng
    story, tenant, t = draw.starts(count)
    user, agent = draw.users(tenant, t), draw.agents(tenant)
    identity = draw.number(story)
    slow, clumsy = 0.5 + 1.5 * trait(agent, 21), trait(agent, 22)
    topic = draw.pick((20, 16, 14, 22, 12, 6, 10), count)

    turns = draw.counts(3.2, count, 60)
    owner, position = ragged(turns)
    rows = len(owner)
    response_ms = draw.tail(900 * slow[owner], 0.9, rows)
    thinking = draw.micros(45 * SECOND, 1.1, rows, 2 * HOUR) * (position > 0) + 2 * SECOND
    answering = (response_ms * 1000).astype(np.int64)
    answered = t[owner] + running(thinking + answering, turns)
    asked = answered - answering
    last = np.zeros(count, dtype=np.int64)
    last[owner] = answered

    common = {
        "user_id": text("user-{}@example.com", user),
        "session_id": text("{run}-c{}", identity),
        "agent_id": text("agent-{}", agent),
        "conversation_id": text("{run}-c{}", identity),
    }
    whole = Rows(story, tenant, t, common)
    turn_common = {
        "user_id": text("user-{}@example.com", user[owner]),
        "session_id": text("{run}-c{}", identity[owner]),
        "agent_id": text("agent-{}", agent[owner]),
        "conversation_id": text("{run}-c{}", identity[owner]),
    }
    received = Rows(owner, tenant[owner], asked, turn_common).part("message.received")
    answered_too = draw.chance(0.985, rows)
    sent = Rows(owner, tenant[owner], answered, turn_common).part(
        "message.sent",
        answered_too,
        response_time_ms=number(response_ms),
        tokens_in=number(draw.wholes(700 + 300 * position, 0.6, rows)),
        tokens_out=number(draw.wholes(220, 0.7, rows) + 1),
        errored=number(draw.chance(0.008 + 0.04 * clumsy[owner], rows)),
    )
    started = whole.part("conversation.started", topic=label(topic, TOPICS, absent=draw.chance(0.15, count)))
    resolved = draw.chance(0.55 + 0.35 * (1 - clumsy), count)
    handed_off = ~resolved & draw.chance(0.5, count)
    pause = draw.micros(2 * MINUTE, 1.2, count, 5 * HOUR)
    whole.t = last + pause
    ended = whole.part(
        "conversation.ended",
        draw.chance(0.92, count),
        duration_ms=number((last + pause - t) // 1000),
        message_count=number(2 * turns),
        resolved=number(resolved),
        handed_off=number(handed_off),
        topic=label(topic, TOPICS, absent=draw.chance(0.4, count)),
    )
    whole.t = last + pause + draw.micros(90 * SECOND, 1.0, count, 10 * HOUR)
    pleased = 3.4 + 0.8 * resolved - 0.7 * clumsy + 0.15 * likes_variation(user) + rng.standard_normal(count)
    rated = whole.part(
        "feedback.submitted",
        draw.chance(0.3, count),
        rating=number(np.clip(np.round(pleased), 1, 5).astype(np.int64)),
    )
    return [started, received, sent, ended, rated]


def _sessions(draw: Draw, count: int, first: int) -> list[Part]:
    _, tenant, t = draw.starts(count)
    steps = draw.counts(5.0, count, 80)
    owner, position = ragged(steps)
    rows = len(owner)
    gaps = draw.micros(25 * SECOND, 1.3, rows, 3 * HOUR) * (position > 0)
    t = t[owner] + running(gaps, steps)
    user = draw.users(tenant, t[np.cumsum(steps) - steps])[owner]
    tenant = tenant[owner]
    agent = draw.agents(tenant)
    names = list(ACTIONS)
    action = np.where(
        (position == 0) & draw.chance(0.8, rows),
        names.index("user.logged_in"),
        draw.pick(list(ACTIONS.values()), rows),
    )
    # Some smaller tenants never get as far as a deployment, or as a workflow that runs: the activation funnel leaks.
    progress = np.where(tenant < 5, 1.0, trait(tenant, 32))
    action[(progress < 0.2) & (action == names.index("agent.deployed"))] = names.index("agent.updated")
    runs = (action == names.index("workflow.executed")) | (action == names.index("workflow.failed"))
    action[(progress < 0.35) & runs] = names.index("dashboard.viewed")
    identity = draw.number(owner + first)
    step = Rows(
        owner + first,
        tenant,
        t,
        {"user_id": text("user-{}@example.com", user), "session_id": text("{run}-s{}", identity)},
    )
    of_agent: dict[str, Column] = {"agent_id": text("agent-{}", agent)}
    workflow: dict[str, Column] = {"workflow_id": text("workflow-{}-{}", tenant + 1, draw.skewed(12, rows))}

    # One pool of documents per tenant, so that deletions mostly name documents that were uploaded.
    document = text("doc-{}-{}", tenant + 1, draw.skewed(5000, rows, 1.0))
    stored: dict[str, Column] = {
        "document_id": document,
        "size_bytes": number(draw.wholes(180_000, 1.6, rows)),
        "storage_class": label(draw.pick((60, 30, 10), rows), STORAGE),
    }
    run_ms: dict[str, Column] = {"duration_ms": number(draw.wholes(5200, 1.0, rows))}
    status = np.array(STATUSES)[draw.pick((900, 50, 18, 14, 8, 7, 3), rows)]
    features = np.minimum(len(FEATURES), 4 + (trait(tenant, 31) * 10).astype(np.int64))
    fields: dict[str, dict[str, Column]] = {
        "user.signed_up": {"channel": label(draw.pick((40, 25, 15, 8, 12), rows), CHANNELS)},
        "agent.created": {**of_agent, "agent_name": text("Agent {}", agent)},
        "agent.updated": of_agent,
        "agent.deleted": of_agent,
        "agent.deployed": {**of_agent, "version": text("1.{}.{}", draw.skewed(9, rows), draw.skewed(20, rows))},
        "workflow.created": workflow,
        "workflow.executed": {**workflow, **run_ms},
        "workflow.failed": {**workflow, **run_ms, "error_code": label(draw.pick((4, 3, 2, 1), rows), ERRORS)},
        "document.uploaded": stored,
        "document.deleted": stored,
        "search.performed": {
            "latency_ms": number(draw.tail(60, 0.8, rows)),
            "result_count": number(draw.skewed(80, rows)),
        },
        "api.called": {
            "endpoint": label(draw.pick((5, 4, 4, 2, 2), rows), ENDPOINTS),
            "status_code": number(status),
            "latency_ms": number(draw.tail(85, 0.9, rows)),
            "bytes_out": number(draw.wholes(24_000, 1.8, rows)),
        },
        "feature.used": {"feature": label(draw.skewed(features, rows, 1.5), FEATURES)},
        "dashboard.viewed": {"dashboard": label(draw.pick((5, 3, 2, 1), rows), DASHBOARDS)},
        "data.exported": {"row_count": number(draw.wholes(2500, 1.5, rows))},
    }
    return [step.part(name, np.flatnonzero(action == i), **fields.get(name, {})) for i, name in enumerate(names)]
