"""Swarm tasks from assignment to resolution, minutes to days later, and policy checks."""

from __future__ import annotations

import numpy as np

from agent_analytics.simulate.draw import Column, Draw, Part, Rows, label, number, ragged, text
from agent_analytics.simulate.universe import DAY, HOUR, MINUTE, POLICIES, Ints, trait

#: Expected events of a story.
MEAN_EVENTS = 3.6


def generate(draw: Draw, stories: int) -> list[Part]:
    """One story is one task. A swarm has an outlier day about every fifth week, on which most tasks fail."""
    story, tenant, t = draw.starts(stories)
    swarm = (tenant + 1) * 10 + draw.skewed(draw.universe.swarms[tenant], stories, 1.5)
    agent = draw.agents(tenant)
    identity = draw.number(story)
    outlier = trait(swarm * 100_000 + t // DAY, 71) < 0.03

    def common(at: Ints) -> dict[str, Column]:
        return {
            "agent_id": text("agent-{}", agent[at]),
            "correlation_id": text("{run}-w{}", identity[at]),
            "swarm_id": text("swarm-{}", swarm[at]),
        }

    task: dict[str, Column] = {"task_id": text("{run}-w{}", identity)}
    rows = Rows(story, tenant, t, {**common(story), **task})
    assigned = rows.part("swarm.task_assigned")
    rows.t = t + MINUTE + draw.micros(30 * MINUTE, 1.0, stories, DAY)
    reassigned = rows.part("swarm.task_assigned", draw.chance(0.02, stories))
    wait = MINUTE + draw.micros(70 * MINUTE * (1 + 2 * trait(swarm, 72)), 1.5, stories, 5 * DAY)
    escalates = draw.chance(0.15 + 0.3 * outlier, stories)
    rows.t = t + wait // 2
    escalated = rows.part("swarm.task_escalated", escalates)
    skill = np.where(outlier, 0.15, 0.95 - 0.25 * trait(swarm, 73) - 0.2 * escalates)
    rows.t = t + wait
    resolved = rows.part(
        "swarm.task_resolved", draw.chance(0.9, stories), succeeded=number(draw.chance(skill, stories))
    )
    rows.t = t + wait + HOUR
    again = rows.part("swarm.task_resolved", draw.chance(0.01, stories), succeeded=number(np.ones(stories, dtype=bool)))

    checks = draw.counts(2.5, stories, 12) - 1
    owner, _ = ragged(checks)
    at = t[owner] + (wait[owner] * draw.rng.random(len(owner))).astype(np.int64)
    policy = draw.pick((4, 3, 2, 1), len(owner))
    checked = Rows(owner, tenant[owner], at, common(owner)).part(
        "swarm.policy_checked",
        policy=label(policy, POLICIES),
        compliant=number(draw.chance(0.97 - 0.1 * trait(swarm[owner], 74) - 0.1 * outlier[owner], len(owner))),
    )
    return [assigned, reassigned, escalated, resolved, again, checked]
