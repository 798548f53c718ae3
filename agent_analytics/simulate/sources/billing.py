"""Subscriptions from creation through changes and cancellation to reactivation, their payments, and budgets."""

from __future__ import annotations

import numpy as np

from agent_analytics.simulate.draw import Column, Draw, Part, Rows, label, number, ragged, text
from agent_analytics.simulate.universe import DAY, HOUR, PLAN_PRICE_USD, PLANS, WEEK, Ints, trait

#: Expected events of a story.
MEAN_EVENTS = 3.0


def generate(draw: Draw, stories: int) -> list[Part]:
    """One story is one subscription, paid by the week; a tenth of the stories only sets a budget."""
    story, tenant, t = draw.starts(stories)
    identity = draw.number(story)
    sets_budget = draw.chance(0.1, stories)
    price = np.array(PLAN_PRICE_USD, dtype=np.float64)
    plan = np.clip(4 - tenant // 6 + draw.skewed(3, stories, 1.0) - 1, 1, 4)
    seats = draw.counts(2.0, stories, 40)

    def common(at: Ints) -> dict[str, Column]:
        return {"subscription_id": text("sub-{run}-{}", identity[at])}

    subscriber = Rows(story, tenant, t, common(story))
    created = subscriber.part(
        "subscription.created", ~sets_budget, plan=label(plan, PLANS), mrr_usd=number(price[plan] * seats, digits=2)
    )
    budget = Rows(story, tenant, t, {}).part(
        "budget.set",
        sets_budget,
        monthly_budget_usd=number(draw.tail(900 * draw.universe.weight[tenant], 0.8, stories), digits=2),
    )

    # Upgrades outnumber downgrades two to one; a change may be in seats only.
    changes = draw.pick((60, 28, 12), stories) * ~sets_budget
    owner, position = ragged(changes)
    step = draw.pick((20, 40, 40), len(owner)) - 1
    changed_plan = np.clip(plan[owner] + step, 0, 4)
    changed_at = t[owner] + (draw.micros(6 * DAY, 1.0, len(owner), 60 * DAY) + 1) * (position + 1)
    changed = Rows(owner, tenant[owner], changed_at, common(owner)).part(
        "subscription.changed",
        plan=label(changed_plan, PLANS),
        mrr_usd=number(price[changed_plan] * np.maximum(1, seats[owner] + position), digits=2),
    )

    # Some customers leave altogether: nearly all of their subscriptions end.
    leaves = trait(tenant, 101) < 0.15
    cancels = ~sets_budget & draw.chance(np.where(leaves, 0.95, 0.15), stories)
    subscriber.t = t + draw.micros(5 * DAY, 1.0, stories, 90 * DAY)
    reason = label(draw.pick((4, 3, 2), stories), ("price", "unused", "competitor"), absent=draw.chance(0.3, stories))
    cancelled = subscriber.part("subscription.cancelled", cancels, reason=reason)
    subscriber.t = subscriber.t + draw.micros(4 * DAY, 0.8, stories, 60 * DAY)
    revived = subscriber.part(
        "subscription.changed",
        cancels & draw.chance(0.3, stories),
        plan=label(plan, PLANS),
        mrr_usd=number(price[plan] * seats, digits=2),
    )

    weeks = draw.counts(5.0, stories, 52) * ~sets_budget
    owner, position = ragged(weeks)
    paid_at = t[owner] + position * WEEK + draw.micros(HOUR, 1.0, len(owner), DAY)
    payer = Rows(
        owner,
        tenant[owner],
        paid_at,
        {
            "invoice_id": text("inv-{run}-{}-{}", identity[owner], position + 1),
            "amount_usd": number(price[plan[owner]] * seats[owner], digits=2),
        },
    )
    fails = draw.chance(0.06, len(owner))
    return [
        created, budget, changed, cancelled, revived,
        payer.part("payment.succeeded", ~fails), payer.part("payment.failed", fails),
    ]  # fmt: skip
