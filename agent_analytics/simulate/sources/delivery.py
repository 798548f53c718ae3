"""Deployments with their lead times, failures in use, and restorations."""

from __future__ import annotations

from agent_analytics.simulate.draw import Draw, Part, Rows, label, moment, number, text
from agent_analytics.simulate.universe import DAY, HOUR, MINUTE, SERVICES, trait

#: Expected events of a story.
MEAN_EVENTS = 1.15

ENVIRONMENTS = ("development", "staging", "production")


def generate(draw: Draw, stories: int) -> list[Part]:
    """One story is one deployment. Services differ in lead time and in how often a change fails."""
    story, tenant, t = draw.starts(stories)
    service = draw.skewed(len(SERVICES), stories, 1.3)
    environment = draw.pick((15, 25, 60), stories)
    succeeded = draw.chance(0.93, stories)
    lead = MINUTE + draw.micros(3 * HOUR * (1 + 14 * trait(service, 61) ** 2), 1.3, stories, 40 * DAY)
    deployment = {
        "deployment_id": text("deploy-{run}-{}", draw.number(story)),
        "service": label(service, SERVICES),
    }
    rows = Rows(story, tenant, t, deployment)
    finished = rows.part(
        "deployment.finished",
        environment=label(environment, ENVIRONMENTS),
        succeeded=number(succeeded),
        committed_at=moment(t - lead, absent=draw.chance(0.15, stories)),
    )
    breaks = (environment == 2) & succeeded & draw.chance(0.05 + 0.15 * trait(service, 62), stories)
    rows.t = t + MINUTE + draw.micros(2 * HOUR, 1.3, stories, 5 * DAY)
    failed = rows.part("deployment.failed_in_use", breaks)
    rows.t = rows.t + MINUTE + draw.micros(HOUR, 1.2, stories, 3 * DAY)
    restored = rows.part("service.restored", breaks & draw.chance(0.88, stories))
    return [finished, failed, restored]
