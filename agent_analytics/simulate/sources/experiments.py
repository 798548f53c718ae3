"""Exposures to platform experiments. A user's variation hangs on the user alone, so that every tick agrees on it."""

from __future__ import annotations

import numpy as np

from agent_analytics.simulate.draw import Draw, Part, Rows, label, text
from agent_analytics.simulate.universe import EXPERIMENTS, trait

#: Expected events of a story.
MEAN_EVENTS = 1.0

VARIATIONS = ("control", "treatment")


def generate(draw: Draw, stories: int) -> list[Part]:
    """One story is one exposure; 1 in 200 shows the other variation, which makes a crossover. The last experiment's
    assignment is uneven on purpose."""
    story, tenant, t = draw.starts(stories)
    user = draw.users(tenant, t)
    experiment = draw.pick((4, 4, 2), stories)
    bar = np.where(experiment == len(EXPERIMENTS) - 1, 0.4, 0.5)
    treated = np.choose(experiment, [trait(user, 100 + i) for i in range(len(EXPERIMENTS))]) >= bar
    shown = treated ^ draw.chance(0.005, stories)
    exposed = Rows(story, tenant, t, {}).part(
        "experiment.exposed",
        user_id=text("user-{}@example.com", user),
        experiment=label(experiment, EXPERIMENTS),
        variation=label(shown, VARIATIONS),
    )
    return [exposed]
