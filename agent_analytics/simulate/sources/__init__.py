"""One module per source of the contract: `generate(draw, stories)` and `MEAN_EVENTS` per story."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from agent_analytics.simulate.draw import Draw, Part
from agent_analytics.simulate.sources import (
    billing,
    crc,
    crm,
    delivery,
    experiments,
    game,
    notebooks,
    patterns,
    platform,
    provider,
    swarm,
)  # fmt: skip


@dataclass(frozen=True)
class Source:
    """A source's share of all events, its expected events per story, and its generator."""

    share: float
    mean_events: float
    generate: Callable[[Draw, int], list[Part]]


SOURCES: dict[str, Source] = {
    name: Source(share, module.MEAN_EVENTS, module.generate)
    for name, share, module in (
        ("platform", 0.34, platform), ("provider", 0.30, provider), ("billing", 0.005, billing), ("crm", 0.005, crm),
        ("crc", 0.03, crc), ("delivery", 0.005, delivery), ("swarm", 0.035, swarm), ("notebooks", 0.015, notebooks),
        ("patterns", 0.07, patterns), ("game", 0.18, game), ("experiments", 0.015, experiments),
    )
}  # fmt: skip
