"""goal_kpis in plain Python: from event dicts, as landed and accepted once, or from the oracles of other marts."""

from __future__ import annotations

import csv
import math
import operator
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from agent_analytics.storage import PROJECT_ROOT
from oracles import crc, delivery, game, notebooks, provider_costs
from oracles.customer_health import customer_health_daily
from oracles.experiments import experiment_readouts
from oracles.funnels import activation_funnel_weekly
from oracles.patterns import executions_of
from oracles.revenue import revenue_monthly
from oracles.swarm import agent_efficiency_daily

Event = dict[str, Any]
Row = dict[str, Any]
Value = float | None

DAY = timedelta(days=1)
BREAKS = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "=": operator.eq,
    "!=": operator.ne,
}
KPIS = {
    "execution_success_rate": "success_rate",
    "notebook_cadence_per_hour": "cadence_per_hour",
    "game_fallback_rate": "fallback_rate",
    "game_stuck_rate": "stuck_rate",
    "efficiency_ratio": "efficiency_ratio",
}


class Period:
    """The 30 complete UTC days up to the clock's, or, `back`, those before them."""

    def __init__(self, events: list[Event], as_of: datetime, back: int) -> None:
        self.everything, self.as_of, self.back = events, as_of, back
        self.clock = as_of.astimezone(UTC).date()
        self.end = self.clock - 30 * back * DAY
        self.events = [event for event in events if day(event) in self]

    def __contains__(self, on: date) -> bool:
        return self.end - 30 * DAY <= on < self.end

    def of(self, *kinds: str) -> list[Event]:
        return [event for event in self.events if event["event_type"] in kinds]


def day(event: Event) -> date:
    return datetime.fromisoformat(event["occurred_at"]).astimezone(UTC).date()


def share(some: float, of: float) -> Value:
    return some / of if of else None


def seed(name: str) -> list[Row]:
    with (PROJECT_ROOT / "seeds" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def unique_users(period: Period) -> Value:
    return len({e["user_id"] for e in period.events if e["source"] == "platform" and e.get("user_id")})


def spend(period: Period) -> Value:
    prices = provider_costs.read_reference()
    return provider_costs.total(provider_costs.cost(call, prices) for call in period.of("provider.called")) / 1e6


def success_rate(period: Period) -> Value:
    return share(len(period.of("agent.completed")), len(period.of(*provider_costs.EXECUTIONS)))


def savings(period: Period) -> Value:
    prices, completed = provider_costs.read_reference(), period.of("agent.completed")
    alternative = sum(provider_costs.dearest(event, prices) for event in completed)
    return (alternative - sum(provider_costs.cost(event, prices) or 0 for event in completed)) / 1e6


def of_month(column: str, otherwise: Value) -> Callable[[Period], Value]:
    def value(period: Period) -> Value:
        month = period.clock.replace(day=1)
        for _ in range(period.back + 1):
            month = (month - DAY).replace(day=1)
        row = revenue_monthly(period.everything, period.as_of).get((month,), {})
        found = row.get(column, otherwise)
        return None if found is None else float(found)

    return value


def at_high_risk(period: Period) -> Value:
    zones = {row["tenant_id"]: ZoneInfo(row["timezone"]) for row in seed("tenants")}
    rows = customer_health_daily(period.everything, period.as_of)

    def newest(tenant: str) -> date:
        return period.as_of.astimezone(zones.get(tenant, UTC)).date() - DAY

    return sum(
        row["churn_risk"] == "high" and on == newest(tenant) - period.back * DAY for (tenant, on), row in rows.items()
    )


def activation_rate(period: Period) -> Value:
    """Of the newest Monday from which a week and 30 days have passed."""
    monday = period.clock - period.clock.weekday() * DAY
    while monday + 37 * DAY > period.clock:
        monday -= 7 * DAY
    row = activation_funnel_weekly(period.everything).get((monday - period.back * 7 * DAY,), {})
    return row.get("overall_completion_rate")


def crc_completions(period: Period) -> Value:
    cycles = crc.cycles_of(period.everything).values()
    return sum(task["properties"]["succeeded"] for tasks in cycles if day(tasks[0]) in period for task in tasks)


def change_failure_rate(period: Period) -> Value:
    failed = set(delivery.times(period.everything, "deployment.failed_in_use"))
    deployments = delivery.deployments_of(period.events)
    return share(sum(delivery.identity(event) in failed for event in deployments), len(deployments))


def swarm_days(period: Period) -> list[Row]:
    return [row for (*_, on), row in agent_efficiency_daily(period.everything).items() if on in period]


def efficiency_ratio(period: Period) -> Value:
    days = swarm_days(period)
    return share(sum(row["successful_resolutions"] for row in days), sum(row["assignments"] for row in days))


def mttr_minutes(period: Period) -> Value:
    days = [row for row in swarm_days(period) if row["resolutions"]]
    return share(
        math.fsum(row["mttr_minutes"] * row["resolutions"] for row in days), sum(row["resolutions"] for row in days)
    )


def notebook_cadence(period: Period) -> Value:
    return len(period.of("notebook.executed")) / 720 if notebooks.runs_of(period.everything) else None


def notebook_coverage(period: Period) -> Value:
    workspaces = notebooks.blueprints_of_workspaces(notebooks.runs_of(period.everything))
    return share(len(notebooks.by(period.of("notebook.executed"), "workspace_id")), len(workspaces))


def pattern_success_rate(period: Period) -> Value:
    outcomes = [e["properties"]["succeeded"] for some in executions_of(period.events).values() for e in some]
    return share(sum(outcomes), len(outcomes))


def game_completion_rate(period: Period) -> Value:
    starts: dict[game.Key, date] = {}
    for event in game.game(period.everything, "session.started"):
        starts.setdefault(event["who"], event["day"])
    started = {who for who, on in starts.items() if on in period}
    completed = {event["who"] for event in game.game(period.everything, "adventure.completed")}
    return share(len(started & completed), len(started))


def game_fallback_rate(period: Period) -> Value:
    turns = game.game(period.events, "turn.completed")
    return share(sum(turn["fell_back"] for turn in turns), len(turns))


def game_stuck_rate(period: Period) -> Value:
    sessions = {turn["who"] for turn in game.game(period.events, "turn.completed")}
    return share(len({who for who, _ in game.stuck_days(period.events)}), len(sessions))


def significant_experiments(period: Period) -> Value:
    if period.back:
        return None
    readouts = experiment_readouts(period.everything, period.as_of)
    return len({key[0] for key, row in readouts.items() if row["significance"] == "significant"})


# family, unit, source_mart, value
GOALS: dict[str, tuple[str, str, str, Callable[[Period], Value]]] = {
    "messages": (
        "platform_usage", "count", "platform_metrics_daily", lambda p: len(p.of("message.sent", "message.received")),
    ),
    "unique_users": ("platform_usage", "count", "platform_metrics_daily", unique_users),
    "spend_usd": ("provider_costs", "usd", "provider_calls_daily", spend),
    "execution_success_rate": ("provider_costs", "rate", "execution_rollup_hourly", success_rate),
    "routing_savings_usd": ("provider_costs", "usd", "routing_savings_daily", savings),
    "mrr_usd": ("revenue", "usd", "revenue_monthly", of_month("closing_mrr_usd", 0.0)),
    "net_revenue_retention": ("revenue", "rate", "revenue_monthly", of_month("net_revenue_retention", None)),
    "customers_at_high_risk": ("customer_health", "count", "customer_health_daily", at_high_risk),
    "activation_rate": ("funnels", "rate", "activation_funnel_weekly", activation_rate),
    "crc_completions": ("crc", "count", "crc_throughput_daily", crc_completions),
    "deployments": (
        "delivery", "count", "deployment_frequency_daily", lambda p: len(delivery.deployments_of(p.events)),
    ),
    "change_failure_rate": ("delivery", "rate", "delivery_performance_monthly", change_failure_rate),
    "efficiency_ratio": ("swarm", "rate", "agent_efficiency_daily", efficiency_ratio),
    "mttr_minutes": ("swarm", "minutes", "agent_efficiency_daily", mttr_minutes),
    "notebook_cadence_per_hour": (
        "notebooks", "per_hour", "notebook_update_cadence_daily", notebook_cadence,
    ),
    "notebook_coverage": ("notebooks", "rate", "notebook_adoption", notebook_coverage),
    "pattern_success_rate": ("patterns", "rate", "pattern_metrics_daily", pattern_success_rate),
    "game_completion_rate": ("game", "rate", "game_kpis_daily", game_completion_rate),
    "game_fallback_rate": ("game", "rate", "game_rollup_daily", game_fallback_rate),
    "game_stuck_rate": ("game", "rate", "game_rollup_daily", game_stuck_rate),
    "significant_experiments": ("experiments", "count", "experiment_readouts", significant_experiments),
}  # fmt: skip


def status(goal: str, value: Value) -> str:
    thresholds = [
        row
        for row in seed("kpi_thresholds")
        if row["enabled"] == "true" and not row["scope_ref"] and row["kpi"] == KPIS.get(goal)
    ]
    broken = {
        row["severity"]
        for row in thresholds
        if value is not None and BREAKS[row["operator"]](value, float(row["value"]))
    }
    worst = "critical" if "critical" in broken else "warning" if broken else "ok"
    return worst if thresholds and value is not None else "none"


def goal_kpis(events: Iterable[Event], as_of: datetime | None) -> dict[tuple[str], Row]:
    """Rows by (goal,); none without a data clock."""
    if as_of is None:
        return {}
    now, before = (Period(list(events), as_of, back) for back in (0, 1))
    rows = {}
    for goal, (family, unit, mart, measure) in GOALS.items():
        value, previous = measure(now), measure(before)
        rows[(goal,)] = {
            "family": family,
            "value": value,
            "unit": unit,
            "previous_value": previous,
            "change_pct": None if value is None or not previous else 100 * (value - previous) / previous,
            "status": status(goal, value),
            "source_mart": mart,
            "as_of": as_of.astimezone(UTC).replace(tzinfo=None),
            "is_stale": False,
        }
    return rows


MARTS = {"goal_kpis": goal_kpis}
