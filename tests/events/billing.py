"""Billing events: budgets."""

from __future__ import annotations

from events import Event, Generator, Maker


def budget(g: Generator) -> list[Event]:
    if g.random.random() < 0.8:
        return []
    return [g.event("billing", "budget.set", g.moment(), monthly_budget_usd=g.random.choice((0, 1.5, 40, 5000)))]


MAKERS: dict[Maker, int] = {budget: 1}
