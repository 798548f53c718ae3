"""Executions of patterns that grow, decline, are abandoned and come back, over the weeks."""

from __future__ import annotations

import numpy as np

from agent_analytics.simulate.draw import Draw, Part, Rows, label, number, text
from agent_analytics.simulate.universe import DAY, PATTERNS, Floats, Ints, trait

#: Expected events of a story.
MEAN_EVENTS = 1.0

CONTEXTS = ("pull-request", "incident", "chat", "batch", "notebook")
FILE_TYPES = ("py", "ts", "sql", "md", "yml", "go")


def popularity(day: Ints) -> Floats:
    """Weight of each pattern (columns) on each day number (rows). By index modulo 4: steady, growing, declining, on and
    off; over cycles of 40 to 90 days."""
    index = np.arange(PATTERNS)
    cycle = 40 + 50 * trait(index, 91)
    phase = (np.asarray(day)[:, None] / cycle + trait(index, 92)) % 1.0
    shape = np.choose(index % 4, [np.ones_like(phase), 0.05 + 2 * phase, 0.05 + 2 * (1 - phase), 1.5 * (phase < 0.6)])
    return np.asarray(shape / (1 + index) ** 0.6, dtype=np.float64)


def generate(draw: Draw, stories: int) -> list[Part]:
    """One story is one execution of a pattern."""
    story, tenant, t = draw.starts(stories)
    day = t // DAY
    first = int(draw.window.begin // DAY)
    table = np.cumsum(popularity(np.arange(first, int(draw.window.end // DAY) + 1)), axis=1)
    chosen = table[day - first]
    pattern = (draw.rng.random(stories)[:, None] * chosen[:, -1:] >= chosen).sum(axis=1).astype(np.int64)
    pattern = np.minimum(pattern, PATTERNS - 1)
    slow = 60 * np.exp(3.2 * trait(pattern, 93))
    weak = 0.03 + 0.25 * trait(pattern, 94) ** 3
    outcome = draw.rng.random(stories)
    succeeded = outcome >= weak
    timed_out = outcome < 0.25 * weak
    gate_failed = ~succeeded & ~timed_out & draw.chance(0.4, stories)
    quality = np.clip(0.85 - 0.2 * trait(pattern, 95) + 0.1 * draw.rng.standard_normal(stories), 0, 1)
    executed = Rows(story, tenant, t, {}).part(
        "pattern.executed",
        user_id=text("user-{}@example.com", draw.users(tenant, t), absent=draw.chance(0.1, stories)),
        agent_id=text("agent-{}", draw.agents(tenant)),
        pattern_id=text("pattern-{}-{}", tenant + 1, pattern + 1),
        execution_id=text("{run}-p{}", draw.number(story)),
        succeeded=number(succeeded),
        timed_out=number(timed_out),
        quality_gate_failed=number(gate_failed),
        execution_time_ms=number(draw.tail(slow, 0.6 + 0.5 * trait(pattern, 96), stories)),
        quality_score=number(quality, absent=draw.chance(0.2, stories)),
        context_type=label(draw.pick((40, 10, 25, 15, 10), stories), CONTEXTS),
        project=text("project-{}", draw.skewed(9, stories) + 1, absent=draw.chance(0.15, stories)),
        file_type=label(draw.pick((40, 20, 15, 10, 10, 5), stories), FILE_TYPES, absent=draw.chance(0.25, stories)),
    )
    return [executed]
