"""The slo marts in plain Python: from event dicts, as landed and accepted once, to rows by key."""

from __future__ import annotations

import csv
import operator
from calendar import monthrange
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Any

import numpy as np

from agent_analytics.storage import PROJECT_ROOT
from oracles.billing import plan_of, read_tiers
from oracles.crc import cycles_of
from oracles.game import stuck_days
from oracles.provider_costs import (
    EXECUTIONS,
    Reference,
    budget_of,
    cost,
    day_of,
    grouped,
    of_type,
    read_reference,
    tokens,
    total,
)

Event = dict[str, Any]
Row = dict[str, Any]
Member = tuple[str, str]
Key = tuple[str, ...]

MICROSECOND = timedelta(microseconds=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
LENGTHS = {"1h": HOUR, "24h": DAY}
OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    ">": operator.gt, "<": operator.lt, ">=": operator.ge, "<=": operator.le, "=": operator.eq, "!=": operator.ne,
}  # fmt: skip


@dataclass(frozen=True)
class Kpi:
    """A KPI of one window: a ratio of whole numbers, or a percentile."""

    sample_size: int
    numerator: int | None = None
    denominator: int | None = None
    percentile: float | None = None

    @property
    def exact(self) -> Fraction | None:
        if self.numerator is None or not self.denominator:
            return None
        return Fraction(self.numerator, self.denominator)

    @property
    def value(self) -> float | None:
        return self.percentile if self.exact is None else float(self.exact)


def at(event: Event) -> datetime:
    """When it happened: UTC, without a zone."""
    return datetime.fromisoformat(event["occurred_at"]).astimezone(UTC).replace(tzinfo=None)


def of(events: Iterable[Event], *event_types: str) -> list[Event]:
    return [event for event in events if event["event_type"] in event_types]


def within(events: Iterable[Event], begin: datetime, end: datetime) -> list[Event]:
    return [event for event in events if begin < at(event) <= end]


def seed(name: str) -> Iterator[Row]:
    with (PROJECT_ROOT / "seeds" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def by_member(events: Iterable[Event], members: Callable[[Event], Iterable[Member]]) -> dict[Member, list[Event]]:
    found: dict[Member, list[Event]] = defaultdict(list)
    for event in events:
        for member in members(event):
            found[member].append(event)
    return found


# KPIs of windows that end at the data clock


def players(turn: Event) -> Iterator[Member]:
    properties = turn["properties"]
    yield "global", ""
    yield "world", properties["world"]
    yield "adventure", properties["adventure"]
    if properties.get("experiment"):
        yield "variation", f"{properties['experiment']}/{properties.get('variation') or 'none'}"


def tenants(event: Event) -> Iterator[Member]:
    yield "global", ""
    yield "tenant", event["tenant_id"]


def patterns(event: Event) -> Iterator[Member]:
    yield "pattern", event["properties"]["pattern_id"]


def share(is_counted: Callable[[Event], bool]) -> Callable[[list[Event]], Kpi]:
    def measured(events: list[Event]) -> Kpi:
        return Kpi(len(events), sum(map(is_counted, events)), len(events))

    return measured


def p95(name: str) -> Callable[[list[Event]], Kpi]:
    def measured(events: list[Event]) -> Kpi:
        values = [float(event["properties"][name]) for event in events]
        return Kpi(len(events), percentile=float(np.percentile(values, 95)) if values else None)

    return measured


def flag(name: str) -> Callable[[Event], bool]:
    return lambda event: bool(event["properties"][name])


def session(turn: Event) -> tuple[str, str]:
    return turn["tenant_id"], turn["session_id"]


def recent_kpis(events: list[Event], clock: datetime) -> Iterator[tuple[Key, str, tuple[Kpi, Kpi]]]:
    stuck = stuck_days(events)

    def stuck_share(turns: list[Event]) -> Kpi:
        held = {session(turn) for turn in turns if (session(turn), at(turn).date()) in stuck}
        sessions = {session(turn) for turn in turns}
        return Kpi(len(sessions), len(held), len(sessions))

    kinds: list[tuple[str, list[Event], Any, dict[str, Callable[[list[Event]], Kpi]]]] = [
        (
            "game",
            of(events, "turn.completed"),
            players,
            {
                "p95_latency_ms": p95("latency_ms"),
                "fallback_rate": share(flag("fell_back")),
                "retry_rate": share(flag("retries")),
                "validator_retry_rate": share(flag("validator_retries")),
                "token_overrun_rate": share(flag("over_token_budget")),
                "stuck_rate": stuck_share,
            },
        ),
        (
            "platform_usage",
            of(events, "message.sent"),
            tenants,
            {"p95_response_time_ms": p95("response_time_ms"), "error_rate": share(flag("errored"))},
        ),
        (
            "provider_costs",
            of(events, *EXECUTIONS),
            tenants,
            {
                "success_rate": share(lambda event: event["event_type"] == "agent.completed"),
                "p95_duration_ms": p95("duration_ms"),
            },
        ),
        (
            "patterns",
            of(events, "pattern.executed"),
            patterns,
            {"pattern_error_rate": share(lambda event: not event["properties"]["succeeded"])},
        ),
    ]
    for family, counted, members, kpis in kinds:
        for member, found in by_member(counted, members).items():
            for window, length in LENGTHS.items():
                now = within(found, clock - length, clock)
                before = within(found, clock - 2 * length, clock - length)
                for kpi, measured in kpis.items():
                    yield (kpi, *member, window), family, (measured(now), measured(before))


def freshness(events: list[Event], clock: datetime) -> Iterator[tuple[Key, str, tuple[Kpi, Kpi]]]:
    by_source: dict[str, list[datetime]] = defaultdict(list)
    for event in events:
        if at(event) <= clock:
            by_source[event["source"]].append(at(event))

    def silence(moments: list[datetime], end: datetime) -> Kpi:
        past = [moment for moment in moments if moment <= end]
        numerator = (end - max(past)) // MICROSECOND if past else None
        return Kpi(sum(moment > end - DAY for moment in past), numerator, HOUR // MICROSECOND)

    periods = {source: tuple(silence(its, clock - n * DAY) for n in (0, 1)) for source, its in by_source.items()}
    if periods:
        periods[""] = tuple(
            Kpi(
                sum(kpis[n].sample_size for kpis in periods.values()),
                max((kpis[n].numerator for kpis in periods.values() if kpis[n].numerator is not None), default=None),
                HOUR // MICROSECOND,
            )
            for n in (0, 1)
        )
    for source, (now, before) in periods.items():
        yield ("freshness_hours", "global", source, "24h"), "slo", (now, before)


# KPIs of complete days and months


def last_days(days: int, today: date, back: int = 0) -> list[date]:
    """The complete days that end `back` days before the newest one."""
    return [today - timedelta(days=1 + back + n) for n in range(days)]


def falls(events: list[Event], today: date) -> Iterator[tuple[Key, str, tuple[Kpi, Kpi]]]:
    days: dict[str, dict[date, list[int]]] = defaultdict(lambda: defaultdict(list))
    for (_, blueprint, _, _), tasks in cycles_of(events).items():
        days[blueprint][at(tasks[0]).date()].append(sum(bool(task["properties"]["succeeded"]) for task in tasks))

    def tenths(completions: list[int]) -> int:
        """Ten times the 90th percentile of whole numbers, exact."""
        ordered = sorted(completions)
        place = 9 * (len(ordered) - 1)
        below, above = ordered[place // 10], ordered[min(place // 10 + 1, len(ordered) - 1)]
        return 10 * below + (above - below) * (place % 10)

    for blueprint, cycles in days.items():
        periods = []
        for back in (0, 1):
            day = today - timedelta(days=1 + back)
            before = [tenths(cycles[one]) for one in last_days(7, day) if one in cycles]
            here = cycles.get(day, [])
            fall = 100 * (sum(before) - len(before) * tenths(here)) if here and before else None
            periods.append(Kpi(len(here), fall, sum(before) if before else None))
        yield ("crc_p90_drop_pct", "blueprint", blueprint, "day"), "crc", (periods[0], periods[1])


def cadences(events: list[Event], today: date) -> Iterator[tuple[Key, str, tuple[Kpi, Kpi]]]:
    runs = grouped(of(events, "notebook.executed"), lambda event: event["properties"]["scope"])
    for scope, own in runs.items():
        counts = [sum(at(run).date() in last_days(1, today, back) for run in own) for back in (0, 1)]
        now, before = (Kpi(count, count, 24) for count in counts)
        yield ("cadence_per_hour", "scope", scope, "day"), "notebooks", (now, before)


def swarms(events: list[Event], today: date) -> Iterator[tuple[Key, str, tuple[Kpi, Kpi]]]:
    def task(event: Event) -> tuple[str, str, str]:
        return event["properties"]["swarm_id"], event["tenant_id"], event["properties"]["task_id"]

    def first(found: list[Event]) -> Event:
        return min(found, key=lambda event: (at(event), event["event_id"]))

    assigned = {task: first(found) for task, found in grouped(of(events, "swarm.task_assigned"), task).items()}
    resolved = {task: first(found) for task, found in grouped(of(events, "swarm.task_resolved"), task).items()}
    for swarm in {task[0] for task in assigned}:
        periods = []
        for back in (0, 7):
            days = last_days(7, today, back)
            tasks = [key for key, event in assigned.items() if key[0] == swarm and at(event).date() in days]
            won = sum(key in resolved and resolved[key]["properties"]["succeeded"] for key in tasks)
            periods.append(Kpi(len(tasks), won, len(tasks)))
        yield ("efficiency_ratio", "swarm", swarm, "7d"), "swarm", (periods[0], periods[1])
    for swarm, checks in grouped(of(events, "swarm.policy_checked"), lambda e: e["properties"]["swarm_id"]).items():
        periods = []
        for back in (0, 7):
            days = last_days(7, today, back)
            periods.append(share(flag("compliant"))([check for check in checks if at(check).date() in days]))
        yield ("governance_score", "swarm", swarm, "7d"), "swarm", (periods[0], periods[1])


def deployments(events: list[Event], today: date) -> Iterator[tuple[Key, str, tuple[Kpi, Kpi]]]:
    finished = [
        event
        for event in of(events, "deployment.finished")
        if event["properties"]["environment"] == "production" and event["properties"]["succeeded"]
    ]
    for service, own in grouped(finished, lambda event: event["properties"]["service"]).items():
        counts = [sum(at(event).date() in last_days(7, today, back) for event in own) for back in (0, 7)]
        now, before = (Kpi(count, count, 1) for count in counts)
        yield ("deployments_7d", "service", service, "7d"), "delivery", (now, before)


def month_before(month: date) -> date:
    return (month - DAY).replace(day=1)


def months(events: list[Event], as_of: datetime) -> Iterator[tuple[Key, str, tuple[Kpi, Kpi]]]:
    reference, tiers = read_reference(), read_tiers()
    fallback = {row["tenant_id"]: row["plan"] for row in seed("tenants")}
    choices = grouped(of_type(events, "subscription.created", "subscription.changed"), lambda event: event["tenant_id"])
    budgets = grouped(of_type(events, "budget.set"), lambda event: event["tenant_id"])
    calls = grouped(of_type(events, "provider.called"), lambda event: event["tenant_id"])
    executions = grouped(of_type(events, *EXECUTIONS), lambda event: event["tenant_id"])

    for tenant in calls.keys() | executions.keys():
        today = as_of.astimezone(reference.zones.get(tenant, UTC)).date()
        month = today.replace(day=1)
        spends, used_executions, used_tokens = [], [], []
        for each in (month, month_before(month)):
            own_calls = in_month(calls.get(tenant, []), each, reference)
            own_executions = in_month(executions.get(tenant, []), each, reference)
            last_day = each.replace(day=monthrange(each.year, each.month)[1])
            budget = budget_of(budgets.get(tenant, []), last_day, reference)
            spends.append(spend(own_calls, bool(own_executions), budget, each, today, reference))
            plan = plan_of(choices.get(tenant, []), last_day, reference) or fallback.get(tenant)
            tier = tiers.get(plan) if plan and own_executions else None
            spent = len(own_executions), tokens(own_executions, "tokens_in", "tokens_out")
            limits = (tier.executions, tier.tokens) if tier else (None, None)
            for found, used, limit in zip((used_executions, used_tokens), spent, limits, strict=True):
                found.append(Kpi(len(own_executions), 100 * used if own_executions else None, limit))
        yield ("spend_vs_budget_pct", "tenant", tenant, "month"), "provider_costs", (spends[0], spends[1])
        if tenant in executions:
            for kpi, found in (("executions", used_executions), ("tokens", used_tokens)):
                yield (f"plan_{kpi}_used_pct", "tenant", tenant, "month"), "billing", (found[0], found[1])


def in_month(events: list[Event], month: date, reference: Reference) -> list[Event]:
    return [event for event in events if day_of(event, reference).replace(day=1) == month]


def spend(
    calls: list[Event], was_executed: bool, budget: int | None, month: date, today: date, reference: Reference
) -> Kpi:
    """Projected spend of a month in per cent of its budget; nothing is known of a month without a call or execution."""
    if not calls and not was_executed:
        return Kpi(0)
    days, complete = 1, 1
    paced = calls
    if today.replace(day=1) == month:
        days, complete = monthrange(month.year, month.month)[1], today.day - 1
        paced = [call for call in calls if day_of(call, reference) < today]
    spent = total(cost(call, reference) for call in paced)
    limit = None if budget is None or not complete else budget * complete
    return Kpi(len(calls), 100 * spent * days, limit)


# Marts


def kpis_of(events: Iterable[Event], as_of: datetime) -> dict[Key, tuple[str, Kpi, Kpi]]:
    """Family, value and the value before, by (kpi, scope, scope_ref, window_type)."""
    events, clock = list(events), as_of.astimezone(UTC).replace(tzinfo=None)
    today = clock.date()
    found = [
        *recent_kpis(events, clock),
        *freshness(events, clock),
        *falls(events, today),
        *cadences(events, today),
        *swarms(events, today),
        *deployments(events, today),
        *months(events, as_of),
    ]
    return {key: (family, now, before) for key, family, (now, before) in found}


def kpi_values(events: Iterable[Event], as_of: datetime) -> dict[Key, Row]:
    return {
        key: {
            "family": family,
            "as_of": as_of.astimezone(UTC).replace(tzinfo=None),
            "value": now.value,
            "previous_value": before.value,
            "sample_size": now.sample_size,
            "exact_numerator": None if now.exact is None else now.numerator,
            "exact_denominator": None if now.exact is None else now.denominator,
            "is_stale": False,
        }
        for key, (family, now, before) in kpis_of(events, as_of).items()
    }


def kpi_breaches(events: Iterable[Event], as_of: datetime) -> dict[Key, Row]:
    """Rows by (threshold_id, scope, scope_ref, window_type)."""
    kpis = kpis_of(events, as_of)
    order = ["1h", "24h", "day", "7d", "month"]
    shortest: dict[str, str] = {}
    for kpi, _, _, window in kpis:
        shortest[kpi] = min(shortest.get(kpi, window), window, key=order.index)
    rows = {}
    for threshold in seed("kpi_thresholds"):
        for (kpi, scope, ref, window), (family, now, _) in kpis.items():
            watched = threshold["window_type"] or shortest[kpi]
            if (
                threshold["enabled"] == "true"
                and (kpi, scope, window) == (threshold["kpi"], threshold["scope"], watched)
                and threshold["scope_ref"] in ("", ref)
                and is_broken(now, threshold)
            ):
                rows[threshold["threshold_id"], scope, ref, window] = {
                    "family": family,
                    "as_of": as_of.astimezone(UTC).replace(tzinfo=None),
                    "kpi": kpi,
                    "value": now.value,
                    "threshold_value": float(threshold["value"]),
                    "operator": threshold["operator"],
                    "severity": threshold["severity"],
                    "suggested_actions": threshold["suggested_actions"],
                    "is_stale": False,
                }
    return rows


def is_broken(kpi: Kpi, threshold: Row) -> bool:
    if kpi.value is None:
        return False
    breaks = OPERATORS[threshold["operator"]]
    if kpi.exact is None:
        return breaks(kpi.percentile, float(threshold["value"]))
    return breaks(kpi.exact, Fraction(threshold["value"]))


# Objectives


def counted_for(slo: Row, events: list[Event]) -> tuple[str, list[Event], Callable[[Event], bool]]:
    """The family of an objective, the events that it is about, and which of them are bad."""
    limit = float(slo["threshold_ms"] or 0)
    kinds: dict[str, tuple[str, tuple[str, ...], Callable[[Event], bool]]] = {
        "turns_without_fallback": ("game", ("turn.completed",), flag("fell_back")),
        "turns_within_latency": ("game", ("turn.completed",), lambda event: event["properties"]["latency_ms"] > limit),
        "messages_without_error": ("platform_usage", ("message.sent",), flag("errored")),
        "calls_succeeded": ("provider_costs", ("provider.called",), lambda event: not event["properties"]["succeeded"]),
        "executions_succeeded": ("provider_costs", EXECUTIONS, lambda event: event["event_type"] != "agent.completed"),
    }
    family, event_types, is_bad = kinds[slo["indicator"]]
    return family, of(events, *event_types), is_bad


WINDOWS = {
    "5m": timedelta(minutes=5),
    "30m": timedelta(minutes=30),
    "1h": HOUR,
    "2h": 2 * HOUR,
    "6h": 6 * HOUR,
    "1d": DAY,
    "3d": 3 * DAY,
}


def burn(events: int, bad: int, slo: Row) -> Fraction | None:
    return Fraction(bad, events) / (1 - Fraction(slo["target"])) if events else None


def objectives(events: Iterable[Event], as_of: datetime) -> Iterator[tuple[Row, str, dict[str, tuple[int, int]]]]:
    """Each objective, its family, and the events and bad events of its windows."""
    everything, clock = list(events), as_of.astimezone(UTC).replace(tzinfo=None)
    for slo in seed("slos"):
        family, counted, is_bad = counted_for(slo, everything)
        windows = {}
        for window, length in {**WINDOWS, "30d": 30 * DAY}.items():
            found = within(counted, clock - length, clock)
            windows[window] = len(found), sum(map(is_bad, found))
        yield slo, family, windows


def slo_burn_rates(events: Iterable[Event], as_of: datetime) -> dict[Key, Row]:
    """Rows by (slo, window_type)."""
    return {
        (slo["slo"], window): {
            "family": family,
            "as_of": as_of.astimezone(UTC).replace(tzinfo=None),
            "events": windows[window][0],
            "bad_events": windows[window][1],
            "burn_rate": as_float(burn(*windows[window], slo)),
            "is_stale": False,
        }
        for slo, family, windows in objectives(events, as_of)
        for window in WINDOWS
    }


def as_float(value: Fraction | None) -> float | None:
    return None if value is None else float(value)


def slo_status(events: Iterable[Event], as_of: datetime) -> dict[Key, Row]:
    """Rows by (slo,)."""
    rows = {}
    for slo, family, windows in objectives(events, as_of):

        def alerts(long: str, short: str, rate: str, slo: Row = slo, windows: Any = windows) -> bool:
            rates = [burn(*windows[window], slo) for window in (long, short)]
            enough = windows[long][0] >= int(slo["minimum_events"])
            return enough and all(rate_of is not None and rate_of > Fraction(rate) for rate_of in rates)

        used = burn(*windows["30d"], slo)
        rows[(slo["slo"],)] = {
            "family": family,
            "as_of": as_of.astimezone(UTC).replace(tzinfo=None),
            "page": alerts("1h", "5m", "14.4") or alerts("6h", "30m", "6"),
            "ticket": alerts("1d", "2h", "3") or alerts("3d", "6h", "1"),
            "events_30d": windows["30d"][0],
            "bad_events_30d": windows["30d"][1],
            "budget_remaining": None if used is None else float(1 - used),
            "is_stale": False,
        }
    return rows


MARTS = {
    "kpi_values": kpi_values,
    "kpi_breaches": kpi_breaches,
    "slo_burn_rates": slo_burn_rates,
    "slo_status": slo_status,
}
