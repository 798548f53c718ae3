"""Billing events: budgets; subscriptions that begin anywhere, end, come back, and say two things at once; payments."""

from __future__ import annotations

from datetime import datetime, timedelta

from events import TENANTS, Event, Generator, Maker

PLANS = ("free", "starter", "team", "business", "no-such-plan")


def budget(g: Generator) -> list[Event]:
    if g.random.random() < 0.8:
        return []
    return [g.event("billing", "budget.set", g.moment(), monthly_budget_usd=g.random.choice((0, 1.5, 40, 5000)))]


def months_ago(g: Generator, most: int = 6) -> datetime:
    """Recurring revenue needs months that are over; the first day of a month is more frequent."""
    at = g.moment() - timedelta(days=30 * g.random.randrange(most))
    return at.replace(day=1) if g.random.random() < 0.2 else at


def subscription(g: Generator) -> list[Event]:
    # Customers differ in how long they have been there.
    customer = g.random.randrange(len(TENANTS))
    tenant = TENANTS[customer]
    # A small range of ids: stories are cut into one another, some without a beginning.
    name = {"subscription_id": f"s{g.random.randrange(4)}"}
    found = []
    while not found or g.random.random() < 0.5:
        at = months_ago(g, most=2 + customer)
        while not found or g.random.random() < 0.2:
            kind = g.random.choice(("created", "changed", "changed", "cancelled"))
            said = {} if kind == "cancelled" else {"plan": g.random.choice(PLANS), "mrr_usd": mrr(g)}
            found.append(g.event("billing", f"subscription.{kind}", at, tenant, **name, **said))
    return found


def mrr(g: Generator) -> float:
    return g.random.choice((0, 49, 49, 199, 0.000001, round(g.random.random() * 1000, 6)))


def payment(g: Generator) -> list[Event]:
    outcome = g.random.choice(("succeeded", "succeeded", "failed"))
    amount = g.random.choice((0, 49.99, round(g.random.random() * 500, 7)))
    return [g.event("billing", f"payment.{outcome}", months_ago(g), invoice_id="i", amount_usd=amount)]


MAKERS: dict[Maker, int] = {budget: 1, subscription: 1, payment: 1}
