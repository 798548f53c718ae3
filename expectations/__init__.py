"""What must hold before a family is published: one file per family, `expectations/<family>.py`, with one `SUITE`.

This file is the vocabulary in which the suites are written. Adding an expectation is one line in the mart's entry; each
becomes one Great Expectations expectation, checked by `agent-analytics gate` and shown in Data Docs.

    SUITE = suite(
        "delivery",
        mart(
            "deployment_frequency_daily",
            key=["tenant_id", "service", "date"],
            fed_by="staging.stg_delivery__deployments where succeeded",
            expect=[
                counts("deployments", "deployments_7d"),
                holds("the_week_holds_the_day", "deployments <= deployments_7d", "deployments", "deployments_7d"),
            ],
        ),
    )

In SQL the mart under test is called `mart`; other relations are written `schema.table`. An expectation is `critical`
(it blocks the family) unless it says `severity="warning"` (it is reported). Nothing here imports Great Expectations.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from agent_analytics.errors import AnalyticsError
from agent_analytics.snapshot import literal

Severity = Literal["critical", "warning"]
CRITICAL: Severity = "critical"
WARNING: Severity = "warning"
COUNTS_END = "9223372036854775807"
MONEY_END = "999999999999.999999"

_WORD = re.compile(r"\b([a-z_][a-z0-9_]*)\b(?!\s*\()")
_TEXT = re.compile(r"'[^']*'")
_SQL = {"and", "case", "else", "end", "from", "interval", "is", "not", "null", "or", "select", "then", "when", "where"}
_RELATION = re.compile(r"\b([a-z_][a-z0-9_]*)\.([a-z_][a-z0-9_]*)\b")


@dataclass(frozen=True)
class Expectation:
    """One statement about one mart. `says` is the sentence that people read in Data Docs."""

    name: str
    says: str
    columns: tuple[str, ...]
    severity: Severity = CRITICAL

    @property
    def sql(self) -> str:
        """All the SQL of this expectation, to find what it reads besides its mart."""
        return ""

    @property
    def reads(self) -> frozenset[tuple[str, str]]:
        """(schema, table) of everything that looks like a relation in the SQL."""
        return frozenset(_RELATION.findall(self.sql))

    @property
    def reads_clock(self) -> bool:
        """Whether the outcome may change although no row changes: because the data clock moved."""
        return ("ops", "run") in self.reads


@dataclass(frozen=True)
class RowCheck(Expectation):
    """No row of the mart satisfies `broken`. Only rows that changed since the last passing gate need be looked at."""

    broken: str = "false"

    @property
    def sql(self) -> str:
        return self.broken


@dataclass(frozen=True)
class Query(Expectation):
    """`unexpected`, a query over `mart` and other relations, returns no row."""

    unexpected: str = ""

    @property
    def sql(self) -> str:
        return self.unexpected


@dataclass(frozen=True)
class Mart:
    """A mart and what is expected of it. `rebuilt`: rows may change without an event of theirs being new (dense and
    windowed marts, those whose entities move from row to row), so every row is checked every time."""

    name: str
    key: tuple[str, ...]
    expectations: tuple[Expectation, ...]
    rebuilt: bool = False


@dataclass(frozen=True)
class Suite:
    family: str
    marts: tuple[Mart, ...]

    @property
    def expectations(self) -> list[tuple[Mart, Expectation]]:
        return [(mart, expectation) for mart in self.marts for expectation in mart.expectations]


# Suites and marts


def families() -> list[str]:
    """The families that have a suite, by name."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def load(family: str) -> Suite:
    """The suite of a family. Raises AnalyticsError if there is none, or if it is not that family's."""
    if family not in families():
        raise AnalyticsError(f"family {family} has no suite: write expectations/{family}.py")
    found = getattr(importlib.import_module(f"{__name__}.{family}"), "SUITE", None)
    if not isinstance(found, Suite) or found.family != family:
        raise AnalyticsError(f'expectations/{family}.py does not define SUITE = suite("{family}", ...)')
    return found


def suite(family: str, *marts: Mart) -> Suite:
    _refuse_duplicates(f"suite {family}", [entry.name for entry in marts])
    return Suite(family, marts)


def mart(name: str, *, key: Sequence[str], fed_by: str, expect: Iterable[Expectation], rebuilt: bool = False) -> Mart:
    """A mart with the expectations that all marts share (key, not empty) and its own.

    `fed_by` is what makes a row necessary: `schema.table [where ...]`; if that has rows, so must the mart.
    """
    expectations = (unique_key(*key), key_not_null(*key), not_empty(fed_by), *expect)
    _refuse_duplicates(f"mart {name}", [expectation.name for expectation in expectations])
    return Mart(name, tuple(key), expectations, rebuilt)


def _refuse_duplicates(what: str, names: list[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise AnalyticsError(f"{what} has two entries called {twice[0]}: give one of them another name")


# Keys and completeness


def unique_key(*columns: str) -> Expectation:
    key = ", ".join(columns)
    query = f"select {key}, count(*) as copies from mart group by {key} having count(*) > 1"
    return Query("unique_key", f"One row for each {key}.", columns, unexpected=query)


def key_not_null(*columns: str) -> Expectation:
    broken = " or ".join(f"{column} is null" for column in columns)
    says = f"None of {', '.join(columns)} is NULL."
    # A row without its key can't be told apart from one that was there before: looked for in the whole mart.
    return Query("key_not_null", says, columns, unexpected=f"select * from mart where {broken}")


def not_empty(fed_by: str) -> Expectation:
    """The mart has rows if what feeds it has; without this, every other expectation would pass on an empty mart."""
    query = f"select 'the mart is empty' as found where not exists (from mart) and exists (from {fed_by})"
    return Query("not_empty", f"The mart has rows if {fed_by} has.", (), unexpected=query)


def reconciles(
    name: str,
    total: str,
    with_total: str,
    of: str,
    *,
    by: Sequence[str],
    below: str = COUNTS_END,
    severity: Severity = CRITICAL,
) -> Expectation:
    """The mart's `total` equals `with_total` of another relation (`schema.table [where ...]`), for each `by`.

    A group that one side lacks counts as 0 there. Hours are UTC and dates tenant-local, so hourly and daily marts
    reconcile over all dates only: leave the date out of `by`. Sums in marts stop at the end of their type, so totals
    from `below` on are not compared: MONEY_END for money.
    """
    return each_reconciles(name, {total: with_total}, of, by=by, below=below, severity=severity)


def each_reconciles(
    name: str,
    totals: Mapping[str, str],
    of: str,
    *,
    by: Sequence[str],
    below: str = COUNTS_END,
    severity: Severity = CRITICAL,
) -> Expectation:
    """`reconciles` for several totals of the same relation and groups, which is read once for all of them: the mart's
    totals with those of the other relation."""
    columns = ", ".join(by)
    sides = [(f"mart_{number}", f"source_{number}", *totals_of) for number, totals_of in enumerate(totals.items())]
    of_mart = ", ".join(f"{total} as {mart}, 0 as {source}" for mart, source, total, _ in sides)
    of_source = ", ".join(f"0 as {mart}, {with_total} as {source}" for mart, source, _, with_total in sides)
    both = ", ".join(f"coalesce(sum({side}), 0) as {side}" for mart, source, *_ in sides for side in (mart, source))
    differs = [f"{mart} <> {source} and greatest({mart}, {source}) < {below}" for mart, source, *_ in sides]
    told = ", ".join(
        f"case when {condition} then {literal(f'{total} is ')} || {mart} || ', of its source ' || {source} end"
        for condition, (mart, source, total, _) in zip(differs, sides, strict=True)
    )
    query = f"""
        select {columns}, concat_ws('; ', {told}) as difference
        from (
            select {columns}, {both}
            from (
                select {columns}, {of_mart} from mart group by all
                union all
                select {columns}, {of_source} from {of} group by all
            )
            group by {columns}
        )
        where {" or ".join(f"({condition})" for condition in differs)}
    """
    equal = " and ".join(f"{total} = {with_total}" for total, with_total in totals.items())
    words = tuple(dict.fromkeys(word for total in totals for word in _words(total)))
    return Query(name, f"{equal} of {of}, for each {', '.join(by)}.", words, severity, unexpected=query)


# Rows


def counts(*columns: str, name: str = "counts") -> Expectation:
    """Whole numbers that are never NULL and never negative: 0 where there is nothing."""
    return RowCheck(
        name, _says(columns, "never NULL nor negative"), columns, broken=_any(columns, "coalesce({} < 0, true)")
    )


def amounts(*columns: str, name: str = "amounts") -> Expectation:
    """Money that is never NULL and never negative."""
    return RowCheck(
        name, _says(columns, "never NULL nor negative"), columns, broken=_any(columns, "coalesce({} < 0, true)")
    )


def measures(*columns: str, name: str = "measures", severity: Severity = CRITICAL) -> Expectation:
    """Means, percentiles, optional amounts: NULL where there is nothing, else finite and >= 0."""
    template = "coalesce(not ({0} >= 0 and {0} < cast('infinity' as double)), false)"
    return RowCheck(name, _says(columns, "NULL, or finite and >= 0"), columns, severity, broken=_any(columns, template))


def rates(*columns: str, name: str = "rates") -> Expectation:
    """Shares between 0 and 1, NULL where the denominator is 0."""
    template = "coalesce(not ({0} between 0 and 1), false)"
    return RowCheck(name, _says(columns, "NULL, or from 0 to 1"), columns, broken=_any(columns, template))


def ascending(*columns: str, name: str = "ascending") -> Expectation:
    """Percentiles in their order. A hair's breadth is allowed: they are interpolated."""
    steps = pairwise(columns)
    broken = " or ".join(f"coalesce({low} > {high} + 1e-9 * abs({high}), false)" for low, high in steps)
    return RowCheck(name, f"{' <= '.join(columns)}.", columns, broken=broken)


def ratio(column: str, numerator: str, denominator: str, *, factor: int = 1) -> Expectation:
    """The column is numerator / denominator (x factor), and NULL exactly where the denominator is 0 or NULL."""
    exact = f"{factor} * cast({numerator} as double) / {denominator}"
    broken = f"""
        case
            when coalesce({denominator}, 0) = 0 then {column} is not null
            else coalesce(abs({column} - {exact}) > 1e-9 * greatest(1, abs({exact})), true)
        end
    """
    says = f"{column} = {numerator} / {denominator}{f' x {factor}' if factor != 1 else ''}; NULL over 0."
    return RowCheck(f"{column}_is_a_ratio", says, (column, *_words(numerator), *_words(denominator)), broken=broken)


def holds(name: str, condition: str, *columns: str, severity: Severity = CRITICAL) -> Expectation:
    """The SQL condition is true in every row (NULL is not true)."""
    return RowCheck(name, f"In every row: {condition}.", columns, severity, broken=f"({condition}) is not true")


def accepted(column: str, *values: str) -> Expectation:
    """The column holds nothing but `values`; NULL is left to others."""
    listed = ", ".join(f"'{value}'" for value in values)
    says = f"{column} is one of {', '.join(values)}."
    return RowCheck(f"{column}_accepted", says, (column,), broken=f"{column} not in ({listed})")


# Time


def fresh(column: str, *, hours: float, severity: Severity = WARNING) -> Expectation:
    """The newest `column` lies at most `hours` before the data clock. A warning: the source may just be quiet."""
    query = f"""
        select newest, as_of
        from (select max({column}) as newest from mart) cross join (select as_of from ops.run)
        where newest < as_of - to_seconds({hours * 3600:.0f})
    """
    says = f"The newest {column} is at most {hours:g} hours before the data clock."
    return Query(f"{column}_fresh", says, (column,), severity, unexpected=query)


# The data clock's calendar day where a tenant is, UTC where that is unknown; for a relation joined with `_clocks`.
_TODAY = "coalesce(clocks.today, cast(run.as_of as date))"


def _clocks(relation: str) -> str:
    """Joins that tell each tenant's day: once a tenant, since telling it once a row takes longer than all the rest."""
    return f"""
        cross join ops.run
        left join (
            select tenant_id, cast(timezone(coalesce(timezone, 'UTC'), timezone('UTC', as_of)) as date) as today
            from reference.tenants cross join ops.run
        ) as clocks on {relation}.tenant_id = clocks.tenant_id
    """


def recent(relation: str, days: int = 28) -> str:
    """The rows of a relation with tenant_id and date on the last complete days where the tenant is, to be read from."""
    return f"""(
        select days.* from {relation} as days {_clocks("days")}
        where {_TODAY} - days.date between 1 and {days}
    )"""


def dense(date: str, *, by: Sequence[str], tenant_local: bool = False) -> Expectation:
    """One row for every day from the group's first to the data clock's day, in UTC or where the tenant is. Later days
    needn't be dense."""
    columns = ", ".join(f"mart.{column}" for column in by)
    joins, day = (_clocks("mart"), _TODAY) if tenant_local else ("cross join ops.run", "cast(run.as_of as date)")
    query = f"""
        select {columns}, min(mart.{date}) as first_day, {day} as last_day, count(distinct mart.{date}) as days
        from mart
        {joins}
        where mart.{date} <= {day}
        group by {columns}, {day}
        having count(distinct mart.{date}) <> date_diff('day', min(mart.{date}), {day}) + 1
    """
    says = f"For each {', '.join(by)}: no day is missing, up to the data clock's."
    return Query("dense", says, (*by, date), unexpected=query)


def usual_volume(
    date: str, measure: str, *, low: float = 0.5, high: float = 2.0, at_least: int = 20, tenant_local: bool = False
) -> Expectation:
    """The newest complete day's sum of `measure` is within `low`..`high` times the mean of the same weekday in the four
    weeks before; judged only where four such weeks are known and their mean is at least `at_least`. A warning.

    A tenant-local date is complete everywhere on earth only a day later than a UTC date.
    """
    query = f"""
        with days as (select {date} as day, sum({measure}) as value from mart group by {date}),
        newest as (select cast(as_of as date) - {2 if tenant_local else 1} as day from ops.run),
        measured as (
            select
                newest.day,
                coalesce(sum(value) filter (where days.day = newest.day), 0) as value,
                coalesce(sum(value) filter (where newest.day - days.day in (7, 14, 21, 28)), 0) / 4.0 as usual
            from newest cross join days
            group by newest.day
            having min(days.day) <= newest.day - 28
        )
        select day, value, usual
        from measured
        where usual >= {at_least} and value not between {low} * usual and {high} * usual
    """
    says = (
        f"{measure} of the newest complete day is {low:g} to {high:g} times that of its weekday in the 4 weeks before."
    )
    return Query(f"{measure}_usual_volume", says, (date, measure), WARNING, unexpected=query)


def nothing(name: str, query: str, says: str, *columns: str, severity: Severity = CRITICAL) -> Expectation:
    """The query over `mart` and other relations returns no row: for what the other words can't say."""
    return Query(name, says, columns, severity, unexpected=query)


def _any(columns: Sequence[str], template: str) -> str:
    return " or ".join(template.format(column) for column in columns)


def _says(columns: Sequence[str], what: str) -> str:
    return f"{', '.join(columns)}: {what}."


def _words(expression: str) -> tuple[str, ...]:
    """The column names in an SQL expression: the words that are neither functions, texts nor SQL's own."""
    words = _WORD.findall(_TEXT.sub("", expression))
    return tuple(dict.fromkeys(word for word in words if word not in _SQL))
