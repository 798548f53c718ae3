"""The billing marts in plain Python: from event dicts, as landed and accepted once, to rows by key."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from fractions import Fraction

from oracles.provider_costs import (
    EXECUTIONS,
    SEEDS,
    Event,
    Key,
    Reference,
    Row,
    day_of,
    grouped,
    instant,
    local_day,
    micros,
    money,
    of_type,
    rate,
    read_csv,
    read_reference,
    tokens,
)


@dataclass(frozen=True)
class Tier:
    """A plan: USD a month, what that includes, and USD for an execution or a token more."""

    plan: str
    rank: int
    price: Fraction
    executions: int
    tokens: int
    per_execution: Fraction
    per_token: Fraction

    def overage(self, executions: Fraction, used_tokens: Fraction) -> Fraction:
        """USD for what lies above what is included."""
        above_executions = max(executions - self.executions, Fraction(0))
        return above_executions * self.per_execution + max(used_tokens - self.tokens, Fraction(0)) * self.per_token

    def bill(self, executions: Fraction, used_tokens: Fraction) -> Fraction:
        return self.price + self.overage(executions, used_tokens)

    def status(self, executions: int, used_tokens: int) -> str:
        used = ((executions, self.executions), (used_tokens, self.tokens))
        if any(have > limit for have, limit in used):
            return "exceeded"
        return "warning" if any(Fraction(have) >= Fraction(80 * limit, 100) for have, limit in used) else "ok"


def read_tiers() -> dict[str, Tier]:
    return {
        row["plan"]: Tier(
            row["plan"],
            int(row["tier_rank"]),
            Fraction(row["monthly_price_usd"]),
            int(row["included_executions"]),
            int(row["included_tokens"]),
            Fraction(row["overage_usd_per_execution"]),
            Fraction(row["overage_usd_per_1k_tokens"]) / 1000,
        )
        for row in read_csv(SEEDS / "plan_tiers.csv")
    }


def plan_usage_monthly(events: Iterable[Event], as_of: datetime | None = None) -> dict[Key, Row]:
    """Rows by (tenant_id, month)."""
    events, reference, tiers = list(events), read_reference(), read_tiers()
    fallback = {row["tenant_id"]: row["plan"] for row in read_csv(SEEDS / "tenants.csv")}
    choices = grouped(of_type(events, "subscription.created", "subscription.changed"), lambda event: event["tenant_id"])

    def key(event: Event) -> Key:
        return event["tenant_id"], day_of(event, reference).replace(day=1)

    rows = {}
    for (tenant, month), executions in grouped(of_type(events, *EXECUTIONS), key).items():
        last_day = month.replace(day=monthrange(month.year, month.month)[1])
        plan = plan_of(choices.get(tenant, []), last_day, reference) or fallback.get(tenant)
        today = local_day(as_of.astimezone(UTC), tenant, reference) if as_of else None
        rows[tenant, month] = usage(executions, plan, tiers, *pace(executions, month, today, reference))
    return rows


def plan_of(choices: list[Event], last_day: date, reference: Reference) -> str | None:
    """The newest plan chosen on or before a day where the tenant is."""
    known = [event for event in choices if day_of(event, reference) <= last_day]
    newest = max(known, key=lambda event: (instant(event["occurred_at"]), event["event_id"]), default=None)
    return str(newest["properties"]["plan"]) if newest else None


def pace(
    executions: list[Event], month: date, today: date | None, reference: Reference
) -> tuple[Fraction | None, Fraction | None]:
    """Executions and tokens of the month, projected; None on its first day."""
    factor = Fraction(1)
    if today is not None and today.replace(day=1) == month:
        if today.day == 1:
            return None, None
        executions = [event for event in executions if day_of(event, reference) < today]
        factor = Fraction(monthrange(month.year, month.month)[1], today.day - 1)
    return len(executions) * factor, tokens(executions, "tokens_in", "tokens_out") * factor


def usage(
    executions: list[Event],
    plan: str | None,
    tiers: dict[str, Tier],
    projected_executions: Fraction | None,
    projected_tokens: Fraction | None,
) -> Row:
    count, used = len(executions), tokens(executions, "tokens_in", "tokens_out")
    tier = tiers.get(plan or "")
    row: Row = {
        "plan": plan,
        "executions": count,
        "tokens": used,
        "included_executions": tier and tier.executions,
        "included_tokens": tier and tier.tokens,
        "executions_used_pct": tier and percent(count, tier.executions),
        "tokens_used_pct": tier and percent(used, tier.tokens),
        "overage_executions": tier and max(count - tier.executions, 0),
        "overage_tokens": tier and max(used - tier.tokens, 0),
        "overage_usd": tier and money(micros(tier.overage(Fraction(count), Fraction(used)))),
        "limit_status": tier and tier.status(count, used),
        "projected_executions": None,
        "projected_tokens": None,
        "projected_overage_usd": None,
        "recommended_plan": None,
        "recommended_saving_usd": None,
    }
    if projected_executions is not None and projected_tokens is not None:
        projected = projected_executions, projected_tokens
        best = min(tiers.values(), key=lambda one: (one.bill(*projected), one.rank))
        row |= {
            "projected_executions": float(projected_executions),
            "projected_tokens": float(projected_tokens),
            "projected_overage_usd": tier and float(tier.overage(*projected)),
            "recommended_plan": best.plan,
            "recommended_saving_usd": tier and money(micros(tier.bill(*projected) - best.bill(*projected))),
        }
    return row


def percent(part: int, whole: int) -> float | None:
    share = rate(part, whole)
    return None if share is None else 100 * share


MARTS = {"plan_usage_monthly": plan_usage_monthly}
