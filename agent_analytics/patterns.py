"""One pattern's analytics for any window, from the published executions, by the formulas of the marts.

The SQL is that of macros/metrics/patterns.sql, which pattern_analytics and pattern_context_distribution are made of.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Literal

import duckdb

from agent_analytics import sql_macros
from agent_analytics.errors import AnalyticsError
from agent_analytics.query import open_published
from agent_analytics.snapshot import literal
from agent_analytics.storage import Storage

Values = dict[str, Any]
#: How much of a pattern is shown: the headlines, all measures, or its contexts too.
Detail = Literal["summary", "detailed", "comprehensive"]

EXECUTIONS = "intermediate.int_pattern_executions"
INSTANT = timedelta(microseconds=1)

#: What is shown of a pattern, in order: the columns of pattern_analytics by section.
SECTIONS: dict[str, tuple[str, ...]] = {
    "usage": (
        "total_executions",
        "executions_per_day",
        "executions_per_week",
        "executions_per_month",
        "unique_contexts",
        "unique_users",
        "peak_daily_executions",
        "hours_since_last_use",
    ),
    "success": (
        "success_count",
        "failure_count",
        "success_rate",
        "error_rate",
        "timeout_count",
        "quality_gate_failures",
        "avg_quality_score",
    ),
    "performance": (
        "avg_execution_time_ms",
        "p50_execution_time_ms",
        "p95_execution_time_ms",
        "p99_execution_time_ms",
        "min_execution_time_ms",
        "max_execution_time_ms",
        "stddev_execution_time_ms",
        "total_execution_time_ms",
        "latency_band",
    ),
    "trend": (
        "velocity",
        "acceleration",
        "growth_pct",
        "adoption_rate_per_week",
        "retention_rate",
        "churn_rate",
        "trend",
        "trend_confidence",
    ),
    "health": ("data_quality_score", "health_flags"),
}
SUMMARY = (
    "total_executions",
    "executions_per_day",
    "unique_users",
    "hours_since_last_use",
    "success_rate",
    "avg_quality_score",
    "p50_execution_time_ms",
    "p95_execution_time_ms",
    "latency_band",
    "growth_pct",
    "trend",
    "trend_confidence",
    "health_flags",
)
DIMENSIONS = ("context_type", "agent", "project", "file_type", "hour_of_day", "day_of_week")
#: Dimensions whose values have an order of their own; of the others the most frequent values come first.
NUMBERED = ("hour_of_day", "day_of_week")


@dataclass(frozen=True)
class Window:
    """The executions after `begin` up to `end`, both UTC; without a begin, from each pattern's first one on."""

    begin: datetime | None
    end: datetime

    @property
    def microseconds(self) -> int | None:
        return None if self.begin is None else (self.end - self.begin) // INSTANT


@dataclass(frozen=True)
class Pattern:
    """A pattern of a tenant in a window: its measures, and the values of each dimension with executions and share."""

    tenant_id: str
    pattern_id: str
    measures: Values
    distribution: dict[str, list[Values]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.tenant_id}/{self.pattern_id}"


@dataclass(frozen=True)
class Report:
    """Patterns side by side, in one window."""

    window: Window
    detail: Detail
    patterns: list[Pattern]

    @property
    def sections(self) -> dict[str, list[str]]:
        """The measures that are shown, by section."""
        wanted = set(SUMMARY) if self.detail == "summary" else {name for names in SECTIONS.values() for name in names}
        shown = {section: [name for name in names if name in wanted] for section, names in SECTIONS.items()}
        return {section: names for section, names in shown.items() if names}

    @property
    def contexts(self) -> dict[str, dict[str, list[Values | None]]]:
        """By dimension and value, in the order of the values over all patterns: what each pattern has of it, if any."""
        if self.detail != "comprehensive":
            return {}
        return {dimension: self._side_by_side(dimension) for dimension in DIMENSIONS}

    def _side_by_side(self, dimension: str) -> dict[str, list[Values | None]]:
        own = [{row["value"]: row for row in pattern.distribution[dimension]} for pattern in self.patterns]
        totals: dict[str, int] = {}
        for rows in own:
            for value, row in rows.items():
                totals[value] = totals.get(value, 0) + row["executions"]
        ordered = sorted(totals, key=lambda value: _place(dimension, value, totals[value]))
        return {value: [rows.get(value) for rows in own] for value in ordered}

    def as_json(self) -> Values:
        return {
            "from": None if self.window.begin is None else _utc(self.window.begin),
            "to": _utc(self.window.end),
            "detail": self.detail,
            "patterns": [
                {
                    "tenant_id": pattern.tenant_id,
                    "pattern_id": pattern.pattern_id,
                    **{
                        section: {name: pattern.measures[name] for name in names}
                        for section, names in self.sections.items()
                    },
                    **({"distribution": pattern.distribution} if self.detail == "comprehensive" else {}),
                }
                for pattern in self.patterns
            ],
        }


def report(
    storage: Storage,
    pattern_ids: Sequence[str],
    begin: str | None = None,
    end: str | None = None,
    tenant_id: str | None = None,
    detail: Detail = "summary",
) -> Report:
    """The patterns of these ids, of one tenant or of all that have them, in the window from `begin` to `end`.

    A date (2026-01-31) takes in the whole UTC day. A time (2026-01-31T12:00:00Z, UTC without an offset) bounds as the
    windows of the marts do: `begin` itself lies outside, `end` inside. By default a pattern's window begins with its
    first execution and ends at the data clock, beyond which no window reaches. Raises ValueError for what is neither,
    AnalyticsError when no patterns are published, when one is unknown, and when the window is empty.
    """
    wanted = list(dict.fromkeys(pattern_ids))
    first, last = _bound(begin, is_end=False), _bound(end, is_end=True)
    with open_published(storage) as connection:
        window = _window(first, last, _data_clock(connection))
        known = _known(connection, wanted, tenant_id)
        macros = sql_macros.load("metrics/patterns.sql")
        clock, length = f"timestamp '{window.end}'", window.microseconds
        arguments = (_executions(known), clock, "null" if length is None else str(length))
        measures = _rows(connection, macros.pattern_analytics_of(*arguments))
        is_wanted = detail == "comprehensive"
        contexts = _rows(connection, macros.pattern_distribution_of(*arguments)) if is_wanted else []
    by_pattern = {(row["tenant_id"], row["pattern_id"]): row for row in measures}
    return Report(
        window,
        detail,
        [Pattern(*key, by_pattern.get(key, _unused()), _distribution(key, contexts)) for key in known],
    )


def _bound(text: str | None, is_end: bool) -> datetime | None:
    """The last instant before the window, or the last one in it."""
    if text is None:
        return None
    try:
        if len(text) == len("2026-01-31"):
            midnight = datetime.combine(date.fromisoformat(text), time())
            return midnight + (timedelta(days=1) if is_end else timedelta(0)) - INSTANT
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
    except (ValueError, OverflowError):
        raise ValueError(
            f"{text} is neither a date such as 2026-01-31 nor a time such as 2026-01-31T12:00:00Z"
        ) from None


def _window(begin: datetime | None, end: datetime | None, clock: datetime) -> Window:
    last = min(end or clock, clock)
    if begin is not None and begin >= last:
        shown = "the data clock's" if end is None or end > clock else "its end's"
        raise AnalyticsError(
            f"the window is empty: it begins at {_utc(begin)}, which is not before {shown} {_utc(last)}"
        )
    return Window(begin, last)


def _data_clock(connection: duckdb.DuckDBPyConnection) -> datetime:
    rows = connection.execute("select as_of from ops.publications where mart = 'pattern_analytics'").fetchall()
    if not rows or rows[0][0] is None:
        raise AnalyticsError("no patterns are published yet: run agent-analytics run")
    clock: datetime = rows[0][0]
    return clock


def _known(
    connection: duckdb.DuckDBPyConnection, pattern_ids: Sequence[str], tenant_id: str | None
) -> list[tuple[str, str]]:
    """(tenant_id, pattern_id) of the patterns, in the order in which they were asked for, then by tenant."""
    of_tenant = "" if tenant_id is None else f" and tenant_id = {literal(tenant_id)}"
    rows = connection.execute(
        "select tenant_id, pattern_id from patterns.pattern_analytics"
        f" where window_type = 'all_time' and pattern_id in ({_literals(pattern_ids)}){of_tenant} order by tenant_id"
    ).fetchall()
    missing = [name for name in pattern_ids if name not in {pattern_id for _, pattern_id in rows}]
    if missing:
        whose = "" if tenant_id is None else f" of tenant {tenant_id}"
        raise AnalyticsError(
            f"no execution{whose} is published of {', '.join(missing)}:"
            ' agent-analytics query "select distinct tenant_id, pattern_id from pattern_analytics" lists the patterns'
        )
    return sorted(rows, key=lambda row: pattern_ids.index(row[1]))


def _executions(patterns: Iterable[tuple[str, str]]) -> str:
    """All executions of the patterns. The tenants, by which the table is sorted, spare the reading of the others."""
    tenants, names = (sorted(set(values)) for values in zip(*patterns, strict=True))
    return (
        f"(select * from {EXECUTIONS} where tenant_id in ({_literals(tenants)}) and pattern_id in ({_literals(names)}))"
    )


def _rows(connection: duckdb.DuckDBPyConnection, sql: str) -> list[Values]:
    found = connection.execute(sql)
    names = [column[0] for column in found.description or ()]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def _unused() -> Values:
    """A pattern without an execution in the window."""
    nothing: Values = dict.fromkeys(name for names in SECTIONS.values() for name in names)
    return nothing | {"total_executions": 0}


def _distribution(key: tuple[str, str], contexts: Sequence[Values]) -> dict[str, list[Values]]:
    own = [row for row in contexts if (row["tenant_id"], row["pattern_id"]) == key]
    return {
        dimension: [
            {name: row[name] for name in ("value", "executions", "share")}
            for row in sorted(own, key=lambda row: _place(row["dimension"], row["value"], row["executions"]))
            if row["dimension"] == dimension
        ]
        for dimension in DIMENSIONS
    }


def _place(dimension: str, value: str, executions: int) -> tuple[int, str]:
    return (int(value), "") if dimension in NUMBERED else (-executions, value)


def _literals(texts: Iterable[str]) -> str:
    return ", ".join(literal(text) for text in texts)


def _utc(moment: datetime) -> str:
    return f"{moment.isoformat()}Z"
