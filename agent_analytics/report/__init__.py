"""One self-contained page of the published headline numbers, for all tenants or for one; as HTML, and as a PDF of it.

Headlines with their changes, trends, funnels and open incidents. Charts are inline SVG; the page loads nothing. What is
not published is left out; what is stale says so.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from agent_analytics import versions
from agent_analytics.errors import AnalyticsError
from agent_analytics.operations import desk
from agent_analytics.query import open_published
from agent_analytics.report import drawing
from agent_analytics.report.measures import (
    FUNNELS,
    GOALS,
    MEASURES,
    MILESTONES,
    TENANT_OVERVIEW,
    TENANT_STANDS,
    TENANT_WINDOWS,
    THEMES,
    TRENDS,
    Better,
    Headline,
    Measure,
)
from agent_analytics.snapshot import literal
from agent_analytics.storage import Storage

Json = dict[str, Any]

# How far a headline looks back, and how far a trend.
WINDOW, DAYS = 30, 60
STEPS = 12

# From when on a day is over wherever a tenant may be.
LAST_ZONE = timedelta(hours=12)

# Its newest row of a tenant tells which day was over there last; it says so of marts that stand at the same clock.
CALENDAR = "customer_health_daily"


@dataclass(frozen=True)
class Card:
    """A headline as it is shown."""

    title: str
    unit: str
    value: float | None
    previous: float | None
    change_pct: float | None
    better: Better = ""
    period: str = ""
    status: str = "none"
    is_stale: bool = False
    spark: Markup = field(default_factory=Markup)

    @property
    def delta(self) -> str:
        """In words: how much the number moved, and whether that is good."""
        if self.change_pct is None:
            return ""
        rounded = round(self.change_pct, 1)
        if not rounded:
            return "unchanged"
        mark = "▲" if rounded > 0 else "▼"
        return f"{mark} {abs(rounded):,.1f}%" + {"good": " better", "bad": " worse", "": ""}[self.side]

    @property
    def side(self) -> str:
        """good, bad, or empty where the number has no better side or stands still."""
        if not self.better or self.change_pct is None or not round(self.change_pct, 1):
            return ""
        return "good" if (self.change_pct > 0) == (self.better == "up") else "bad"


def html(storage: Storage, tenant: str | None = None) -> str:
    """The page for the current version; AnalyticsError when nothing is published yet, or nothing of this tenant."""
    folder = versions.require_current(storage)
    record = versions.read_manifest(folder)
    incidents = desk.listed(storage)
    with open_published(storage, folder=folder) as connection:
        page = _Page(connection, record, tenant)
        if tenant is not None:
            page.require_tenant()
            incidents = [row for row in incidents if (row["scope"], row["scope_ref"]) == ("tenant", tenant)]
        shown = {
            "tenant": tenant,
            "version": record["version"],
            "published_at": _moment(record["published_at"]),
            "as_of": page.clock,
            "stale": page.stale_families(),
            "themes": page.tenant_themes() if tenant is not None else page.goal_themes(),
            "trends": page.trends(),
            "funnels": [] if tenant is not None else page.funnels(),
            "milestones": page.milestones() if tenant is not None else [],
            "incidents": [row | {"opened": _moment(row["opened_at"])} for row in incidents],
            "window": WINDOW,
        }
    return str(_template().render(shown))


def pdf(page: str) -> bytes:
    """The page on sheets of A4; AnalyticsError when what draws it is not installed."""
    try:
        from weasyprint import HTML
    except OSError:
        raise AnalyticsError(
            "a PDF is drawn by Pango, which is not installed: apt-get install libpangoft2-1.0-0, or print the page"
        ) from None
    return bytes(HTML(string=page).write_pdf() or b"")


def _template() -> Any:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "words": lambda text: str(text).replace("_", " ")}
    return environment.get_template("page.html.jinja")


class _Page:
    """What the page asks one version, for all tenants or for one."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, record: Json, tenant: str | None) -> None:
        self._connection = connection
        self._tenant = tenant
        self._marts = {entry["mart"]: entry for entry in record["marts"]}
        self.clock = _moment(record["as_of"]) if record.get("as_of") else None

    def _ask(self, sql: str) -> list[tuple[Any, ...]]:
        return self._connection.execute(sql).fetchall()

    def _has(self, mart: str) -> bool:
        if mart not in self._marts:
            return False
        return self._tenant is None or any(column["name"] == "tenant_id" for column in self._marts[mart]["fields"])

    def _of_tenant(self) -> str:
        return "true" if self._tenant is None else f"tenant_id = {literal(self._tenant)}"

    def require_tenant(self) -> None:
        """AnalyticsError, with the names that come near, unless some mart has rows of the tenant."""
        marts = [mart for mart in self._marts if self._has(mart)]
        every = " union ".join(f"select tenant_id from {mart}" for mart in marts) or "select null where false"
        known = {name for (name,) in self._ask(f"select tenant_id from ({every})") if name}
        if self._tenant not in known:
            near = difflib.get_close_matches(self._tenant or "", known, 3)
            hint = f"did you mean {' or '.join(near)}?" if near else "agent-analytics marts lists what there is"
            raise AnalyticsError(f"nothing is published of tenant {self._tenant}: {hint}")

    # Staleness

    def stale_families(self) -> list[Json]:
        """The families that show an older version: since when, why."""
        found: dict[str, Json] = {}
        for entry in self._marts.values():
            if entry["is_stale"]:
                since = _moment(entry["stale_since"])
                found.setdefault(
                    entry["family"], {"family": entry["family"], "since": since, "why": entry["stale_why"]}
                )
        return [found[name] for name in sorted(found)]

    def _is_stale(self, mart: str) -> bool:
        return bool(self._marts[mart]["is_stale"])

    def _clock_of(self, mart: str) -> datetime | None:
        """The data clock that a mart stands at: what a stale one lacks since then is unknown, not 0."""
        entry = self._marts[mart]
        return _moment(entry["as_of"]) if entry["is_stale"] and entry["as_of"] else self.clock

    # Periods

    def _end(self, measure: Measure) -> date:
        """The day after the last that counts: of a mart of local days one that is over everywhere, or at the tenant."""
        clock = self._clock_of(measure.mart)
        assert clock is not None
        if measure.step == "month":
            return clock.date().replace(day=1)
        if measure.step == "week":
            return clock.date() - timedelta(days=measure.wait + 6)
        if measure.local and self._tenant is not None and self._has(CALENDAR) and self._clock_of(CALENDAR) == clock:
            [(newest,)] = self._ask(f"select max(date) from {CALENDAR} where {self._of_tenant()}")
            if newest:
                return date.fromordinal(newest.toordinal() + 1)
        return (clock - LAST_ZONE if measure.local else clock).date()

    def _series(self, name: str) -> tuple[list[date], list[float | None]]:
        """A measure's days, weeks or months up to the last that is complete, and its values; empty without any."""
        measure = MEASURES[name]
        if self.clock is None or not self._has(measure.mart):
            return [], []
        end = self._end(measure)
        first = end - timedelta(days=DAYS)
        rows = self._ask(
            f"select {measure.day}, ({measure.sql})::double from {measure.mart} where {measure.day} < date '{end}'"
            + (f" and {measure.day} >= date '{first}'" if measure.step == "day" else "")
            + f" and {self._of_tenant()} group by {measure.day} order by {measure.day}"
        )
        if not rows:
            return [], []
        if measure.step != "day":
            newest = rows[-STEPS:]
            return [day for day, _ in newest], [value for _, value in newest]
        known = dict(rows)
        days = [first + timedelta(days=place) for place in range((rows[0][0] - first).days, DAYS)]
        return days, [known.get(day, 0.0 if measure.is_sum else None) for day in days]

    # Headlines

    def goal_themes(self) -> list[tuple[str, list[Card]]]:
        """The goals by theme; those of a family that no theme names come last."""
        if not self._has("goal_kpis"):
            return []
        rows = self._ask(
            "select goal, family, value, previous_value, change_pct, unit, status, is_stale from goal_kpis"
        )
        order = list(GOALS)
        rows.sort(key=lambda row: order.index(row[0]) if row[0] in order else len(order))
        themes: dict[str, list[Card]] = {theme: [] for theme in (*THEMES, "Others")}
        for goal, family, value, previous, change, unit, status, stale in rows:
            theme = next((name for name, families in THEMES.items() if family in families), "Others")
            headline = GOALS.get(goal) or Headline(goal.replace("_", " ").capitalize(), "")
            card = Card(headline.title, unit, value, previous, change, headline.better, headline.period, status)
            stale = stale or self._is_stale("goal_kpis")
            themes[theme].append(replace(card, is_stale=stale, spark=self._spark(headline)))
        return [(theme, cards) for theme, cards in themes.items() if cards]

    def tenant_themes(self) -> list[tuple[str, list[Card]]]:
        """What there is of the tenant, by theme."""
        themes: dict[str, list[Card]] = {theme: [] for theme in THEMES}
        for theme, headline in TENANT_WINDOWS:
            themes[theme] += self._window_card(headline)
        themes["Use and cost"][1:1] = self._overview_cards()
        for theme, headline in TENANT_STANDS:
            themes[theme] += self._standing_card(headline)
        return [(theme, cards) for theme, cards in themes.items() if cards]

    def _window_card(self, headline: Headline) -> list[Card]:
        measure = MEASURES[headline.measure or ""]
        if self.clock is None or not self._has(measure.mart):
            return []
        end = self._end(measure)
        both = []
        for back in (0, 1):
            last, first = end - timedelta(days=WINDOW * back), end - timedelta(days=WINDOW * (back + 1))
            both += self._ask(
                f"select count(*), ({measure.sql})::double from {measure.mart} where {self._of_tenant()}"
                f" and {measure.day} >= date '{first}' and {measure.day} < date '{last}'"
            )
        if not any(rows for rows, _ in both):
            return []
        value, previous = (0.0 if found is None and measure.is_sum else found for _, found in both)
        return [self._card(headline, measure.unit, value, previous, measure.mart)]

    def _standing_card(self, headline: Headline) -> list[Card]:
        measure = MEASURES[headline.measure or ""]
        days, values = self._series(headline.measure or "")
        if not days:
            return []
        # The newest period may be without a row, and so may the one before it.
        newest = _before(self._end(measure), measure)
        known, nothing = dict(zip(days, values, strict=True)), 0.0 if measure.is_sum else None
        value, previous = (known.get(day, nothing) for day in (newest, _before(newest, measure)))
        return [] if value is None else [self._card(headline, measure.unit, value, previous, measure.mart)]

    def _overview_cards(self) -> list[Card]:
        mart = "platform_overview"
        if not self._has(mart):
            return []
        cards = []
        for headline, name, unit in TENANT_OVERVIEW:
            for value, previous in self._ask(
                f"select {name}::double, previous_{name}::double from {mart}"
                f" where window_days = {WINDOW} and {self._of_tenant()}"
            ):
                cards.append(self._card(headline, unit, value, previous, mart))
        return cards

    def _card(self, headline: Headline, unit: str, value: float | None, previous: float | None, mart: str) -> Card:
        change = None if value is None or not previous else (value - previous) / previous * 100
        card = Card(headline.title, unit, value, previous, change, headline.better, headline.period)
        return replace(card, is_stale=self._is_stale(mart), spark=self._spark(headline))

    def _spark(self, headline: Headline) -> Markup:
        return drawing.sparkline(self._series(headline.measure)[1], headline.title) if headline.measure else Markup()

    # Pictures

    def trends(self) -> list[Json]:
        """A chart for each measure that has values."""
        charts = []
        for title, name in TRENDS:
            days, values = self._series(name)
            if any(values):
                measure = MEASURES[name]
                chart = drawing.line_chart(days, values, title, partial(_tick, measure.unit))
                period = f"{days[0]:%-d %b %Y} to {days[-1]:%-d %b %Y}"
                stale = self._is_stale(measure.mart)
                charts.append({"title": title, "period": period, "chart": chart, "is_stale": stale})
        return charts

    def funnels(self) -> list[Json]:
        """How many reached each step, of those who began in the last days."""
        found = []
        for title, mart, day, steps, who in FUNNELS:
            if not self._has(mart):
                continue
            sums = ", ".join(f"sum({step}_count)" for step in steps)
            [(first, last, *counts)] = self._ask(f"select min({day}), max({day}), {sums} from {mart}")
            if first is not None and counts[0]:
                chart = drawing.funnel(list(zip(steps, map(int, counts), strict=True)), title)
                unit = "weeks" if day == "week" else "days"
                period = f"{who} that began in the {unit} from {first:%-d %b %Y} to {last:%-d %b %Y}"
                found.append({"title": title, "period": period, "chart": chart, "is_stale": self._is_stale(mart)})
        return found

    def milestones(self) -> list[Json]:
        """The tenant's way to value: when it reached each step, how long after its sign-up."""
        if not self._has("time_to_value"):
            return []
        columns = ", ".join(f"{at}, {hours or 'null'}" for _, at, hours in MILESTONES)
        rows = self._ask(f"select {columns} from time_to_value where {self._of_tenant()}")
        return [
            {"title": title, "at": row[place * 2], "hours": row[place * 2 + 1]}
            for row in rows[:1]
            for place, (title, _, _) in enumerate(MILESTONES)
        ]


def number(value: float | None, unit: str) -> str:
    """A number as people read it, in its unit; a dash for an unknown one."""
    if value is None:
        return "–"
    if unit == "rate":
        return f"{value:.1%}"
    size = abs(value)
    # 999,600 is shown as 1M, not as 1,000k.
    rounded = max(size, float(f"{size:.3g}")) if size >= 1e5 else size
    for limit, letter in ((1e9, "B"), (1e6, "M"), (1e4 if unit == "usd" else 1e5, "k")):
        if rounded >= limit:
            scaled = value / {"B": 1e9, "M": 1e6, "k": 1e3}[letter]
            text = f"{scaled:,.3g}" if rounded < 1e12 else f"{scaled:,.0f}"
            return f"${text}{letter}".replace("$-", "-$") if unit == "usd" else text + letter + _suffix(unit)
    if unit == "usd":
        return (
            f"${value:,.0f}".replace("$-", "-$") if float(value).is_integer() else f"${value:,.2f}".replace("$-", "-$")
        )
    if unit == "minutes" and size >= 120:
        return f"{value / 60:,.1f} hours"
    text = f"{value:,.0f}" if float(value).is_integer() else f"{value:,.3g}" if size < 10 else f"{value:,.1f}"
    return text + _suffix(unit)


def _before(day: date, measure: Measure) -> date:
    """The day before a day, the month before a month."""
    found = day - timedelta(days=1)
    return found.replace(day=1) if measure.step == "month" else found


def _tick(unit: str, value: float) -> str:
    return f"{value:.0%}" if unit == "rate" and round(value * 100, 6).is_integer() else number(value, unit)


def _suffix(unit: str) -> str:
    return {"count": "", "per_hour": "", "score": " of 100", "minutes": " min"}.get(unit, f" {unit}")


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=None)
