"""The revenue marts in plain Python: from event dicts, as landed and accepted once, to rows by key.

Months are UTC, and only those that are over at the data clock. MRR is looked up for each customer and month anew, by
reading all its events up to the month's end; money is whole micro-dollars until it is shown.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction

from oracles.provider_costs import (
    MOST,
    Event,
    Key,
    Row,
    cost,
    exact,
    grouped,
    instant,
    micros,
    money,
    rate,
    read_reference,
    total,
)

MOVEMENTS = ("opening", "new", "reactivation", "expansion", "contraction", "churned", "closing")
SUBSCRIPTIONS = ("subscription.created", "subscription.changed", "subscription.cancelled")
#: Micro-dollars by movement, of one customer and month.
Moved = dict[str, int]


# Months


def month_of(event: Event) -> date:
    return instant(event["occurred_at"]).date().replace(day=1)


def month_after(month: date) -> date:
    return (month + timedelta(days=31)).replace(day=1)


def months(first: date, clock: datetime) -> list[date]:
    """From the first to the last that is over at the data clock."""
    found = []
    while first < clock.astimezone(UTC).date().replace(day=1):
        found.append(first)
        first = month_after(first)
    return found


def of(events: Iterable[Event], as_of: datetime, *event_types: str) -> list[Event]:
    """The events of these types in months that are over."""
    clock = as_of.astimezone(UTC).date().replace(day=1)
    return [event for event in events if event["event_type"] in event_types and month_of(event) < clock]


def order(event: Event) -> tuple[datetime, str]:
    return instant(event["occurred_at"]), event["event_id"]


# Subscriptions


def newest_by(events: Iterable[Event], month: date) -> dict[Key, Event]:
    """The newest event up to the month's end, by tenant and subscription."""
    found: dict[Key, Event] = {}
    for event in sorted(events, key=order):
        if month_of(event) <= month:
            found[event["tenant_id"], event["properties"]["subscription_id"]] = event
    return found


def mrr(event: Event) -> int:
    return micros(exact(event["properties"].get("mrr_usd", 0)))


def plan(event: Event | None) -> str | None:
    return event["properties"].get("plan") if event else None


def movements(events: Iterable[Event], as_of: datetime) -> dict[tuple[str, date], Moved]:
    """By customer and month."""
    rows: dict[tuple[str, date], Moved] = {}
    for tenant, its in grouped(of(events, as_of, *SUBSCRIPTIONS), lambda event: event["tenant_id"]).items():
        first = min(month_of(event) for event in its)
        opening, was_customer, pending = 0, False, {}
        for month in months(first, as_of):
            closing = min(sum(mrr(event) for event in newest_by(its, month).values()), MOST)
            pending[tenant, month] = moved(opening, closing, was_customer)
            if month == first or opening or closing:
                rows |= pending
                pending = {}
            opening, was_customer = closing, was_customer or closing > 0
    return rows


def moved(opening: int, closing: int, was_customer: bool) -> Moved:
    found = dict.fromkeys(MOVEMENTS, 0) | {"opening": opening, "closing": closing}
    if opening == 0:
        found["reactivation" if was_customer else "new"] = closing
    elif closing == 0:
        found["churned"] = opening
    else:
        found["expansion" if closing > opening else "contraction"] = abs(closing - opening)
    return found


def mrr_movements_monthly(events: Iterable[Event], as_of: datetime) -> dict[Key, Row]:
    """Rows by (tenant_id, month)."""
    return {
        key: {f"{name}_mrr_usd": money(amount) for name, amount in found.items()}
        for key, found in movements(events, as_of).items()
    }


# Revenue


def lifetime_value(closing: int, customers: int, churned: int, opening_customers: int) -> Fraction | None:
    """Micro-dollars: revenue of a customer and month x months until it churns."""
    if not customers or not churned or not opening_customers:
        return None
    return Fraction(closing, customers) / Fraction(churned, opening_customers)


def revenue_monthly(events: Iterable[Event], as_of: datetime) -> dict[Key, Row]:
    """Rows by (month,)."""
    events = list(events)
    by_customer = movements(events, as_of)
    payments = of(events, as_of, "payment.succeeded", "payment.failed")
    first = min([month_of(event) for event in payments] + [month for _, month in by_customer], default=None)
    return {
        (month,): revenue(
            [found for (_, at), found in by_customer.items() if at == month],
            [event for event in payments if month_of(event) == month],
        )
        for month in (months(first, as_of) if first else [])
    }


def revenue(customers: list[Moved], payments: list[Event]) -> Row:
    sums = {name: min(sum(found[name] for found in customers), MOST) for name in MOVEMENTS}
    opened, closed = (sum(found[name] > 0 for found in customers) for name in ("opening", "closing"))
    churned = sum(found["churned"] > 0 for found in customers)
    value = lifetime_value(sums["closing"], closed, churned, opened)
    lost = sums["contraction"] + sums["churned"]
    paid = [micros(exact(e["properties"]["amount_usd"])) for e in payments if e["event_type"] == "payment.succeeded"]
    return {f"{name}_mrr_usd": money(amount) for name, amount in sums.items()} | {
        "customers": closed,
        "opening_customers": opened,
        "new_customers": sum(found["new"] > 0 for found in customers),
        "churned_customers": churned,
        "arr_usd": money(12 * sums["closing"]),
        "arpa_usd": money(micros(Fraction(sums["closing"], closed * 10**6))) if closed else None,
        "net_revenue_retention": rate(sums["opening"] + sums["expansion"] - lost, sums["opening"]),
        "gross_revenue_retention": rate(sums["opening"] - lost, sums["opening"]),
        "customer_churn_rate": rate(churned, opened),
        "ltv_usd": None if value is None else money(micros(value / 10**6)),
        "quick_ratio": rate(sums["new"] + sums["reactivation"] + sums["expansion"], lost),
        "payments_usd": money(total(paid)),
        "failed_payments": len(payments) - len(paid),
    }


def revenue_cohorts_monthly(events: Iterable[Event], as_of: datetime) -> dict[Key, Row]:
    """Rows by (cohort_month, months_since_start)."""
    by_customer = movements(events, as_of)
    cohorts = grouped(
        [{"tenant": tenant} for tenant in {tenant for tenant, _ in by_customer}],
        lambda one: min(month for tenant, month in by_customer if tenant == one["tenant"]),
    )
    rows = {}
    for cohort, members in cohorts.items():
        tenants = [one["tenant"] for one in members]
        start: int | None = None
        for since, month in enumerate(months(cohort, as_of)):
            each = [by_customer[tenant, month]["closing"] for tenant in tenants if (tenant, month) in by_customer]
            closing = min(sum(each), MOST)
            start = closing if start is None else start
            active = sum(amount > 0 for amount in each)
            rows[cohort, since] = {
                "customers": len(tenants),
                "active_customers": active,
                "mrr_usd": money(closing),
                "customer_retention": rate(active, len(tenants)),
                "revenue_retention": rate(closing, start),
            }
    return rows


# Winning, changing and serving customers


def acquisition_monthly(events: Iterable[Event], as_of: datetime) -> dict[Key, Row]:
    """Rows by (channel, month)."""
    events = list(events)
    by_customer = movements(events, as_of)

    def key(event: Event) -> Key:
        return event["properties"]["channel"], month_of(event)

    rows = {}
    for (channel, month), found in grouped(of(events, as_of, "marketing.spent", "customer.acquired"), key).items():
        spend = total(
            micros(exact(event["properties"]["amount_usd"]))
            for event in found
            if event["event_type"] == "marketing.spent"
        )
        won = len({event["tenant_id"] for event in found if event["event_type"] == "customer.acquired"})
        there = [moves for (_, at), moves in by_customer.items() if at == month]
        value = lifetime_value(
            min(sum(moves["closing"] for moves in there), MOST),
            sum(moves["closing"] > 0 for moves in there),
            sum(moves["churned"] > 0 for moves in there),
            sum(moves["opening"] > 0 for moves in there),
        )
        rows[channel, month] = {
            "spend_usd": money(spend),
            "customers_acquired": won,
            "cac_usd": money(micros(Fraction(spend, won * 10**6))) if won else None,
            "ltv_to_cac": float(value / Fraction(spend, won)) if value is not None and won and spend else None,
        }
    return rows


def plan_changes_monthly(events: Iterable[Event], as_of: datetime) -> dict[Key, Row]:
    """Rows by (month, from_plan, to_plan)."""
    subscriptions = of(events, as_of, *SUBSCRIPTIONS)
    found: dict[Key, list[tuple[str, int]]] = {}
    for month in sorted({month_of(event) for event in subscriptions}):
        before = newest_by(subscriptions, month - timedelta(days=1))
        for subscription, event in newest_by(subscriptions, month).items():
            old = before.get(subscription)
            if old is not None and plan(old) and plan(event) and plan(old) != plan(event):
                change = (event["tenant_id"], mrr(event) - mrr(old))
                found.setdefault((month, plan(old), plan(event)), []).append(change)
    return {
        key: {
            "customers": len({tenant for tenant, _ in changes}),
            "mrr_delta_usd": money(sum(delta for _, delta in changes)),
        }
        for key, changes in found.items()
    }


def unit_economics_monthly(events: Iterable[Event], as_of: datetime) -> dict[Key, Row]:
    """Rows by (plan, month)."""
    events, reference = list(events), read_reference()
    chosen = grouped(
        of(events, as_of, "subscription.created", "subscription.changed"), lambda event: event["tenant_id"]
    )
    calls = grouped(of(events, as_of, "provider.called"), lambda event: (event["tenant_id"], month_of(event)))
    groups: dict[Key, list[tuple[int, int]]] = {}
    for (tenant, month), found in movements(events, as_of).items():
        if found["closing"] > 0:
            newest = max((event for event in chosen[tenant] if month_of(event) <= month), key=order)
            costs = total(cost(event, reference) for event in calls.get((tenant, month), []))
            groups.setdefault((plan(newest), month), []).append((found["closing"], costs))
    rows = {}
    for key, customers in groups.items():
        revenues, costs = (min(sum(column), MOST) for column in zip(*customers, strict=True))
        rows[key] = {
            "customers": len(customers),
            "mrr_usd": money(revenues),
            "provider_cost_usd": money(costs),
            "gross_margin": float(1 - Fraction(costs, revenues)),
        }
    return rows


MARTS = {
    "mrr_movements_monthly": mrr_movements_monthly,
    "revenue_monthly": revenue_monthly,
    "revenue_cohorts_monthly": revenue_cohorts_monthly,
    "acquisition_monthly": acquisition_monthly,
    "plan_changes_monthly": plan_changes_monthly,
    "unit_economics_monthly": unit_economics_monthly,
}
