"""metric_anomalies in plain Python: series from the other families' oracles, each day against its weekday."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

from agent_analytics.storage import PROJECT_ROOT
from oracles.crc import crc_throughput_daily
from oracles.patterns import pattern_metrics_daily
from oracles.platform_usage import platform_metrics_daily
from oracles.provider_costs import execution_rollup_daily, provider_calls_daily

Event = dict[str, Any]
Row = dict[str, Any]
Series = tuple[str, str, str]

LOCAL = ("agent_executions", "messages", "provider_cost_usd")


def values(events: list[Event], as_of: datetime) -> Iterator[tuple[Series, date, float]]:
    """(metric, tenant, entity), day, and what adds up to the day's value."""
    for (tenant, blueprint, workspace, day), row in crc_throughput_daily(events, as_of).items():
        yield ("crc_completions", tenant, f"{blueprint}/{workspace}"), day, row["completions"]
    for (tenant, pattern, day), row in pattern_metrics_daily(events).items():
        yield ("pattern_executions", tenant, pattern), day, row["executions"]
    for (tenant, day, _, task_type), row in execution_rollup_daily(events, as_of).items():
        yield ("agent_executions", tenant, task_type), day, row["total_executions"]
    for (tenant, day), row in platform_metrics_daily(events, as_of).items():
        yield ("messages", tenant, tenant), day, row["messages"]
    for (tenant, day, provider, _), row in provider_calls_daily(events, as_of).items():
        if row["calls"]:
            yield ("provider_cost_usd", tenant, provider), day, float(row["cost_usd"])


def metric_anomalies(events: Iterable[Event], as_of: datetime | None) -> dict[tuple[str, str, str, date], Row]:
    if as_of is None:
        return {}
    with (PROJECT_ROOT / "seeds" / "tenants.csv").open(encoding="utf-8", newline="") as file:
        zones = {row["tenant_id"]: row["timezone"] for row in csv.DictReader(file)}
    series: dict[Series, dict[date, float]] = defaultdict(lambda: defaultdict(float))
    for name, day, value in values(list(events), as_of):
        metric, tenant, _ = name
        zone = zones.get(tenant, "UTC") if metric in LOCAL else "UTC"
        if day < as_of.astimezone(ZoneInfo(zone)).date():
            series[name][day] += value
    return {(*name, day): scored(days, day) for name, days in series.items() for day in days}


def scored(days: dict[date, float], day: date) -> Row:
    before = [day - timedelta(weeks=weeks) for weeks in range(1, 9)]
    baseline = [days[known] for known in before if known in days]
    expected = score = None
    if len(baseline) >= 4:
        expected = median(baseline)
        spread = median(abs(value - expected) for value in baseline)
        score = (days[day] - expected) / (1.4826 * spread) if spread else None
    return {
        "value": days[day],
        "expected": expected,
        "score": score,
        "is_anomaly": score is not None and abs(score) > 3.5,
    }


MARTS = {"metric_anomalies": metric_anomalies}
