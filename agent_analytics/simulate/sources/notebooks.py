"""Notebook runs: regular ones by automation on a grid of their own, and manual ones by authors."""

from __future__ import annotations

import numpy as np

from agent_analytics.simulate.draw import Column, Draw, Part, Rows, label, number, text
from agent_analytics.simulate.universe import BLUEPRINTS, HOUR, MINUTE, SCOPES, SECOND, Ints, trait

#: Expected events of a story.
MEAN_EVENTS = 1.0

PERIODS = np.array([1, 1, 2, 4, 6, 12, 24, 24]) * HOUR
PER_WORKSPACE = 3


def generate(draw: Draw, stories: int) -> list[Part]:
    """One story is one run; 70% are automatic."""
    manual = round(stories * 0.3)
    return [_manual(draw, manual), _automatic(draw, stories - manual, manual)]


def _part(draw: Draw, story: Ints, tenant: Ints, t: Ints, notebook: Ints, trigger: int) -> Part:
    count = len(story)
    workspace = notebook // 10
    fields: dict[str, Column] = {}
    if trigger:
        fields["user_id"] = text("user-{}@example.com", draw.users(tenant, t))
    scope = (trait(notebook, 82) * len(SCOPES)).astype(np.int64)
    return Rows(story, tenant, t, fields).part(
        "notebook.executed",
        notebook_id=text("nb-{}", notebook),
        workspace_id=text("ws-{}", workspace),
        blueprint_id=label((tenant + workspace % 100) % len(BLUEPRINTS), BLUEPRINTS),
        scope=label(scope, SCOPES),
        trigger=label(np.full(count, trigger), ("automation", "manual")),
        duration_ms=number(draw.wholes(45_000, 1.1, count)),
        succeeded=number(draw.chance(0.95, count)),
    )


def _manual(draw: Draw, count: int) -> Part:
    story, tenant, t = draw.starts(count)
    workspace = (tenant + 1) * 100 + draw.skewed(draw.universe.workspaces[tenant], count)
    return _part(draw, story, tenant, t, workspace * 10 + draw.skewed(PER_WORKSPACE, count, 1.0), 1)


def _automatic(draw: Draw, count: int, first: int) -> Part:
    """The first `count` slots of the notebooks' grids, whole notebooks first, so that a notebook that runs at all runs
    regularly. More runs than slots: another pass, half a period later."""
    universe, window = draw.universe, draw.window
    workspaces = np.repeat(np.arange(universe.tenants), universe.workspaces)
    position = np.concatenate([np.arange(n) for n in universe.workspaces])
    workspace = (workspaces + 1) * 100 + position
    # The last workspace of every third tenant has no automation: it stays manual or inactive.
    automated = ~((workspaces % 3 == 2) & (position == universe.workspaces[workspaces] - 1))
    tenants = np.repeat(workspaces[automated], PER_WORKSPACE)
    notebooks = (workspace[automated, None] * 10 + np.arange(PER_WORKSPACE)).ravel()
    order = np.argsort(trait(notebooks, 83))
    tenants, notebooks = tenants[order], notebooks[order]
    period = PERIODS[(trait(notebooks, 84) * len(PERIODS)).astype(np.int64)]
    phase = (trait(notebooks, 85) * period).astype(np.int64)
    times: list[Ints] = []
    index: list[Ints] = []
    missing, passes = count, 0
    while missing > 0:
        shift = phase + period * (passes % 7) // 7
        slot = -(-(window.begin - shift) // period)
        slots = np.maximum(0, -(-(window.end - shift) // period) - slot)
        if slots.sum() == 0 and passes >= 7:
            # A window too short for any grid point: anywhere in it.
            slots = np.zeros_like(slots)
            slots[0] = missing
            slot, shift = slot * 0, np.full_like(shift, window.begin)
        owner = np.repeat(np.arange(len(notebooks)), slots)[:missing]
        at = np.arange(slots.sum())[: len(owner)] - (np.cumsum(slots) - slots)[owner]
        times.append(shift[owner] + (slot[owner] + at) * period[owner])
        index.append(owner)
        missing -= len(owner)
        passes += 1
    at, owner = np.concatenate(times or [np.empty(0, np.int64)]), np.concatenate(index or [np.empty(0, np.int64)])
    wobble = np.minimum(draw.micros(4 * SECOND, 1.0, count, MINUTE), np.maximum(0, window.end - 1 - at))
    t = np.clip(at + wobble, window.begin, window.end - 1)
    story = np.arange(first, first + count, dtype=np.int64)
    return _part(draw, story, tenants[owner], t, notebooks[owner], 0)
