"""The provider_costs marts in plain Python: from event dicts, as landed and accepted once, to rows by key.

Values are as the warehouse returns them: money is Decimal with six decimals, counts are int, rates, means and
percentiles are float, hours are UTC without a zone. Dates are days in the tenant's time zone.
"""

from __future__ import annotations

import csv
import math
from calendar import monthrange
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

Event = dict[str, Any]
Row = dict[str, Any]
Key = tuple[Any, ...]

SEEDS = Path(__file__).resolve().parents[2] / "seeds"
EXECUTIONS = ("agent.completed", "agent.failed", "agent.timed_out")
MICRO = Decimal("0.000001")
#: The largest DECIMAL(18,6) in micro-dollars, and the largest BIGINT: sums of absurd events stop there.
MOST = 10**18 - 1
MOST_COUNT = 2**63 - 1
WINDOW = timedelta(days=30)


@dataclass(frozen=True)
class Price:
    """USD per 1,000 tokens, and per completion, from a UTC day on."""

    valid_from: date
    tokens_in: Fraction
    tokens_cached: Fraction
    tokens_out: Fraction
    completion: Fraction


@dataclass(frozen=True)
class Reference:
    """Time zones by tenant, and prices by provider and model, oldest first."""

    zones: dict[str, ZoneInfo] = field(default_factory=dict)
    prices: dict[tuple[str, str], list[Price]] = field(default_factory=dict)


def read_reference(seeds: Path = SEEDS) -> Reference:
    prices: dict[tuple[str, str], list[Price]] = defaultdict(list)
    for row in read_csv(seeds / "provider_prices.csv"):
        prices[row["provider"], row["model"]].append(
            Price(
                date.fromisoformat(row["valid_from"]),
                Fraction(row["usd_per_1k_tokens_in"]),
                Fraction(row["usd_per_1k_tokens_cached"]),
                Fraction(row["usd_per_1k_tokens_out"]),
                Fraction(row["usd_per_completion"]),
            )
        )
    for rows in prices.values():
        rows.sort(key=lambda price: price.valid_from)
    zones = {row["tenant_id"]: ZoneInfo(row["timezone"]) for row in read_csv(seeds / "tenants.csv")}
    return Reference(zones, dict(prices))


def read_csv(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


# Time, numbers, prices


def instant(text: str) -> datetime:
    """The UTC instant of an ISO 8601 text."""
    return datetime.fromisoformat(text).astimezone(UTC)


def local_day(at: datetime, tenant: str, reference: Reference) -> date:
    return at.astimezone(reference.zones.get(tenant, UTC)).date()


def day_of(event: Event, reference: Reference) -> date:
    return local_day(instant(event["occurred_at"]), event["tenant_id"], reference)


def micros(amount: Fraction) -> int:
    """USD as whole micro-dollars, halves up."""
    return math.floor(amount * 1_000_000 + Fraction(1, 2))


def money(whole_micros: int) -> Decimal:
    return max(min(whole_micros, MOST), -MOST) * MICRO


def exact(number: Any) -> Fraction:
    """The number as it was written, not the double nearest to it."""
    return Fraction(str(number))


def rate(numerator: float | Fraction, denominator: float | Fraction) -> float | None:
    return float(Fraction(numerator) / Fraction(denominator)) if denominator else None


def mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None


def percentile(values: Sequence[float], q: float) -> float | None:
    return float(np.percentile(values, q)) if values else None


def present(events: Iterable[Event], name: str) -> list[float]:
    values = (event["properties"].get(name) for event in events)
    return [float(value) for value in values if value is not None]


def whole(event: Event, name: str) -> int:
    return int(event["properties"].get(name) or 0)


def price_in_force(reference: Reference, provider: str, model: str, on: date) -> Price | None:
    begun = [price for price in reference.prices.get((provider, model), []) if price.valid_from <= on]
    return begun[-1] if begun else None


def at_price(event: Event, price: Price) -> int:
    """Micro-dollars for the event's tokens and completions."""
    cached = whole(event, "tokens_cached")
    return micros(
        (whole(event, "tokens_in") - cached) * price.tokens_in / 1000
        + cached * price.tokens_cached / 1000
        + whole(event, "tokens_out") * price.tokens_out / 1000
        + whole(event, "completions") * price.completion
    )


def cost(event: Event, reference: Reference) -> int | None:
    """Micro-dollars of an execution or a call; None: unpriced."""
    properties = event["properties"]
    if properties.get("cost_usd") is not None:
        return micros(exact(properties["cost_usd"]))
    if event["event_type"] in ("agent.failed", "agent.timed_out"):
        return 0
    on = instant(event["occurred_at"]).date()
    for model in (properties["model"], "*"):
        price = price_in_force(reference, properties["provider"], model, on)
        if price is not None:
            return min(at_price(event, price), MOST)
    return None


def dearest(event: Event, reference: Reference) -> int:
    """Micro-dollars at the dearest of all providers' '*' prices in force, 0 without any."""
    on = instant(event["occurred_at"]).date()
    defaults = [price_in_force(reference, provider, "*", on) for provider, model in reference.prices if model == "*"]
    return max((min(at_price(event, price), MOST) for price in defaults if price is not None), default=0)


def total(costs: Iterable[int | None]) -> int:
    """The sum, where an unpriced event adds nothing."""
    return min(sum(value for value in costs if value is not None), MOST)


def tokens(events: Iterable[Event], *names: str) -> int:
    """The sum of properties that only some of the events have."""
    return min(sum(whole(event, name) for event in events for name in names), MOST_COUNT)


def of_type(events: Iterable[Event], *event_types: str) -> list[Event]:
    return [
        event for event in events if event["event_type"] in event_types and event["source"] in ("provider", "billing")
    ]


def grouped(events: Iterable[Event], key: Any) -> dict[Any, list[Event]]:
    groups: dict[Hashable, list[Event]] = defaultdict(list)
    for event in events:
        groups[key(event)].append(event)
    return groups


# Executions


def execution_rollup_hourly(
    events: Iterable[Event], as_of: datetime | None = None, reference: Reference | None = None
) -> dict[Key, Row]:
    """Rows by (tenant_id, UTC hour, provider, task_type), of the 90 days before the day of `as_of` and of that day."""
    known = reference or read_reference()

    def hour(event: Event) -> datetime:
        return instant(event["occurred_at"]).replace(minute=0, second=0, microsecond=0, tzinfo=None)

    rows = rollup(events, known, hour)
    return {key: row for key, row in rows.items() if as_of is None or (as_of.date() - key[1].date()).days <= 90}


def execution_rollup_daily(
    events: Iterable[Event], as_of: datetime | None = None, reference: Reference | None = None
) -> dict[Key, Row]:
    """Rows by (tenant_id, date, provider, task_type). `as_of` makes no difference to this mart."""
    known = reference or read_reference()
    return rollup(events, known, lambda event: day_of(event, known))


def rollup(events: Iterable[Event], reference: Reference, period: Any) -> dict[Key, Row]:
    def key(event: Event) -> Key:
        properties = event["properties"]
        return event["tenant_id"], period(event), properties["provider"], properties["task_type"]

    rows = {}
    for group, executions in grouped(of_type(events, *EXECUTIONS), key).items():
        outcomes = [event["event_type"] for event in executions]
        durations, queued = present(executions, "duration_ms"), present(executions, "queue_ms")
        rows[group] = {
            "total_executions": len(executions),
            "successful_executions": outcomes.count("agent.completed"),
            "failed_executions": outcomes.count("agent.failed"),
            "timed_out_executions": outcomes.count("agent.timed_out"),
            "success_rate": rate(outcomes.count("agent.completed"), len(executions)),
            "total_cost_usd": money(total(cost(event, reference) for event in executions)),
            "avg_duration_ms": mean(durations),
            "p50_duration_ms": percentile(durations, 50),
            "p95_duration_ms": percentile(durations, 95),
            "p99_duration_ms": percentile(durations, 99),
            "avg_queue_ms": mean(queued),
            "p95_queue_ms": percentile(queued, 95),
            "total_tokens": tokens(executions, "tokens_in", "tokens_out"),
        }
    return rows


# Calls


def provider_calls_daily(
    events: Iterable[Event], as_of: datetime | None = None, reference: Reference | None = None
) -> dict[Key, Row]:
    """Rows by (tenant_id, date, provider, model). `as_of` makes no difference to this mart."""
    known = reference or read_reference()

    def key(event: Event) -> Key:
        return event["tenant_id"], day_of(event, known), event["properties"]["provider"], event["properties"]["model"]

    rows = {}
    kinds = ("provider.called", "provider.rate_limited", "provider.errored")
    for group, found in grouped(of_type(events, *kinds), key).items():
        calls = of_type(found, "provider.called")
        latencies = present(calls, "latency_ms")
        costs = [cost(event, known) for event in calls]
        rows[group] = {
            "calls": len(calls),
            "failed_calls": sum(not event["properties"]["succeeded"] for event in calls),
            "rate_limited": len(of_type(found, "provider.rate_limited")),
            "errors": len(of_type(found, "provider.errored")),
            "avg_latency_ms": mean(latencies),
            "p50_latency_ms": percentile(latencies, 50),
            "p95_latency_ms": percentile(latencies, 95),
            "p99_latency_ms": percentile(latencies, 99),
            "tokens_in": tokens(calls, "tokens_in"),
            "tokens_out": tokens(calls, "tokens_out"),
            "cost_usd": money(total(costs)),
            "unpriced_calls": costs.count(None),
        }
    return rows


# Routing


def routing_savings_daily(
    events: Iterable[Event], as_of: datetime | None = None, reference: Reference | None = None
) -> dict[Key, Row]:
    """Rows by (tenant_id, date, task_type). `as_of` makes no difference to this mart."""
    known = reference or read_reference()

    def key(event: Event) -> Key:
        return event["tenant_id"], day_of(event, known), event["properties"]["task_type"]

    rows = {}
    for group, completed in grouped(of_type(events, "agent.completed"), key).items():
        actual = total(cost(event, known) for event in completed)
        alternative = total(dearest(event, known) for event in completed)
        share = rate(alternative - actual, alternative)
        rows[group] = {
            "executions": len(completed),
            "actual_cost_usd": money(actual),
            "alternative_cost_usd": money(alternative),
            "savings_usd": money(alternative - actual),
            "savings_pct": None if share is None else 100 * share,
        }
    return rows


@dataclass(frozen=True)
class Candidate:
    """A provider's executions of one task type in the window."""

    provider: str
    executions: int
    successes: int
    micros: int
    p95_duration_ms: float | None

    @property
    def success_rate(self) -> Fraction:
        return Fraction(self.successes, self.executions)

    @property
    def cost_per_success(self) -> Fraction:
        """Micro-dollars."""
        return Fraction(self.micros, self.successes)


def routing_recommendations(
    events: Iterable[Event], as_of: datetime | None = None, reference: Reference | None = None
) -> dict[Key, Row]:
    """Rows by (tenant_id, task_type), over the 30 days that end with the tenant's last complete day."""
    known = reference or read_reference()
    if as_of is None:
        return {}

    def key(event: Event) -> Key:
        return event["tenant_id"], event["properties"]["task_type"]

    def recent(event: Event) -> bool:
        today = local_day(as_of.astimezone(UTC), event["tenant_id"], known)
        return today - WINDOW <= day_of(event, known) < today

    rows = {}
    for group, executions in grouped(filter(recent, of_type(events, *EXECUTIONS)), key).items():
        by_provider = grouped(executions, lambda event: event["properties"]["provider"])
        candidates = [found for provider, its in by_provider.items() if (found := candidate(provider, its, known))]
        if len(candidates) >= 2:
            rows[group] = recommendation(candidates)
    return rows


def candidate(provider: str, executions: list[Event], reference: Reference) -> Candidate | None:
    """None if not eligible: fewer than 30 executions, or no completed one with a cost."""
    completed = of_type(executions, "agent.completed")
    if len(executions) < 30 or all(cost(event, reference) is None for event in completed):
        return None
    return Candidate(
        provider,
        len(executions),
        len(completed),
        total(cost(event, reference) for event in executions),
        percentile(present(executions, "duration_ms"), 95),
    )


def recommendation(candidates: list[Candidate]) -> Row:
    current = min(candidates, key=lambda one: (-one.executions, one.provider))
    best = max(one.success_rate for one in candidates)
    reliable = [one for one in candidates if one.success_rate >= best - Fraction("0.02")]
    recommended = min(reliable, key=lambda one: (one.cost_per_success, one.provider))
    saving = current.successes * (current.cost_per_success - recommended.cost_per_success)
    row: Row = {"estimated_saving_usd": money(micros(saving / 1_000_000))}
    for role, one in (("current", current), ("recommended", recommended)):
        row |= {
            f"{role}_provider": one.provider,
            f"{role}_cost_per_success_usd": money(micros(one.cost_per_success / 1_000_000)),
            f"{role}_success_rate": float(one.success_rate),
            f"{role}_p95_duration_ms": one.p95_duration_ms,
        }
    return row


# Spend


def spend_monthly(
    events: Iterable[Event], as_of: datetime | None = None, reference: Reference | None = None
) -> dict[Key, Row]:
    """Rows by (tenant_id, month)."""
    known = reference or read_reference()
    events = list(events)

    def key(event: Event) -> Key:
        return event["tenant_id"], day_of(event, known).replace(day=1)

    calls = grouped(of_type(events, "provider.called"), key)
    executions = grouped(of_type(events, *EXECUTIONS), key)
    budgets = grouped(of_type(events, "budget.set"), lambda event: event["tenant_id"])

    rows = {}
    for tenant, month in calls.keys() | executions.keys():
        here = calls.get((tenant, month), [])
        spend = paced = total(cost(event, known) for event in here)
        count = len(executions.get((tenant, month), []))
        days = monthrange(month.year, month.month)[1]
        projected: Fraction | None = Fraction(spend)
        today = local_day(as_of.astimezone(UTC), tenant, known) if as_of else None
        if today is not None and today.replace(day=1) == month:
            paced = total(cost(event, known) for event in here if day_of(event, known) < today)
            projected = Fraction(paced * days, today.day - 1) if today.day > 1 else None
        budget = budget_of(budgets.get(tenant, []), month.replace(day=days), known)
        used = None if budget is None else rate(spend, budget)
        rows[tenant, month] = {
            "calls": len(here),
            "spend_usd": money(spend),
            "paced_spend_usd": money(paced),
            "executions": count,
            "cost_per_execution_usd": money(micros(Fraction(spend, count * 1_000_000))) if count else None,
            "budget_usd": None if budget is None else money(budget),
            "projected_spend_usd": None if projected is None else money(micros(projected / 1_000_000)),
            "budget_used_pct": None if used is None else 100 * used,
            "budget_status": budget_status(spend, projected, budget),
        }
    return rows


def budget_of(settings: list[Event], last_day: date, reference: Reference) -> int | None:
    """Micro-dollars of the newest budget on or before a day where the tenant is."""
    known = [event for event in settings if day_of(event, reference) <= last_day]
    if not known:
        return None
    newest = max(known, key=lambda event: (instant(event["occurred_at"]), event["event_id"]))
    return micros(exact(newest["properties"]["monthly_budget_usd"]))


def budget_status(spend: int, projected: Fraction | None, budget: int | None) -> str:
    if budget is None:
        return "no_budget"
    if spend > budget:
        return "over"
    return "warning" if projected is not None and projected >= Fraction(80 * budget, 100) else "ok"


MARTS = {
    "execution_rollup_hourly": execution_rollup_hourly,
    "execution_rollup_daily": execution_rollup_daily,
    "provider_calls_daily": provider_calls_daily,
    "routing_savings_daily": routing_savings_daily,
    "spend_monthly": spend_monthly,
    "routing_recommendations": routing_recommendations,
}
