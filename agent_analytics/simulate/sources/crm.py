"""Tickets and their resolutions, marketing spend, and customers won."""

from __future__ import annotations

import numpy as np

from agent_analytics.simulate.draw import Draw, Part, Rows, label, number, text
from agent_analytics.simulate.universe import CHANNELS, HOUR, MINUTE

#: Expected events of a story.
MEAN_EVENTS = 1.6

SEVERITIES = ("low", "normal", "high", "urgent")


def generate(draw: Draw, stories: int) -> list[Part]:
    """Stories: 70% tickets, 20% marketing spend (of the platform's own tenant, the first), 10% customers."""
    story, tenant, t = draw.starts(stories)
    kind = draw.pick((70, 20, 10), stories)
    severity = draw.pick((30, 45, 18, 7), stories)
    rows = Rows(story, tenant, t, {})
    ticket = {"ticket_id": text("ticket-{run}-{}", draw.number(story))}
    opened = rows.part("ticket.opened", kind == 0, **ticket, severity=label(severity, SEVERITIES))
    rows.t = t + MINUTE + draw.micros(30 * HOUR / (1 + 2 * severity), 1.2, stories, 20 * 24 * HOUR)
    resolved = rows.part("ticket.resolved", (kind == 0) & draw.chance(0.9, stories), **ticket)
    channel = label(draw.pick((40, 25, 15, 8, 12), stories), CHANNELS)
    own = Rows(story, np.zeros(stories, dtype=np.int64), t, {"channel": channel})
    spent = own.part("marketing.spent", kind == 1, amount_usd=number(draw.tail(140, 1.0, stories), digits=2))
    acquired = Rows(story, tenant, t, {"channel": channel}).part("customer.acquired", kind == 2)
    return [opened, resolved, spent, acquired]
