"""Completed tasks of cycles. A cycle belongs to a workspace and a stretch of time: ticks go on with open ones."""

from __future__ import annotations

import numpy as np

from agent_analytics.simulate.draw import Draw, Part, Rows, label, number, text
from agent_analytics.simulate.universe import BLUEPRINTS, DAY, HOUR, trait

#: Expected events of a story.
MEAN_EVENTS = 1.0


def generate(draw: Draw, stories: int) -> list[Part]:
    """One story is one task. On a workspace's bad day (1 in 25) most work goes to the tenant's first workspace."""
    story, tenant, t = draw.starts(stories)
    number_of = draw.skewed(draw.universe.workspaces[tenant], stories, 2.5)
    bad_day = trait((tenant * 100 + number_of) * 100_000 + t // DAY, 51) < 0.04
    number_of = np.where(bad_day & draw.chance(0.8, stories), 0, number_of)
    workspace = (tenant + 1) * 100 + number_of
    length = (12 * HOUR * (1 + (trait(workspace, 52) * 6).astype(np.int64))).astype(np.int64)
    begun = t - (trait(workspace, 53) * length).astype(np.int64)
    lane = draw.skewed(2, stories, 2.0)
    blueprint = (tenant + number_of) % len(BLUEPRINTS)
    slow = 1 + 2 * trait(blueprint, 54) + 3 * bad_day
    tasks = Rows(story, tenant, t, {"workflow_id": text("workflow-{}-{}", tenant + 1, number_of)}).part(
        "crc.task_completed",
        task_id=text("task-{run}-{}", draw.number(story)),
        cycle_id=text("cycle-{}-{}-{}", workspace, begun // length, lane),
        blueprint_id=label(blueprint, BLUEPRINTS),
        workspace_id=text("ws-{}", workspace),
        cycle_time_ms=number(draw.tail(420_000 * slow, 1.0, stories)),
        succeeded=number(draw.chance(0.92 - 0.2 * bad_day, stories)),
    )
    return [tasks]
