"""One self-contained HTML page of the published headline numbers: changes, trends, funnel, open incidents.

Charts are inline SVG; the page loads nothing. What is not published is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from html import escape
from typing import Any

from agent_analytics import versions
from agent_analytics.operations import desk
from agent_analytics.query import run_query
from agent_analytics.storage import Storage

DAYS = 60

# Title, unit, mart, its column of days, the measure.
TRENDS = (
    ("Messages", "count", "platform_metrics_daily", "date", "sum(messages)"),
    ("Executions", "count", "execution_rollup_daily", "date", "sum(total_executions)"),
    ("Cost of executions", "usd", "execution_rollup_daily", "date", "sum(total_cost_usd)"),
    ("Deployments", "count", "deployment_frequency_daily", "date", "sum(deployments)"),
)
FUNNEL = ("signup", "agent", "deploy", "conversation", "workflow", "subscription")

WIDTH, HEIGHT = 320, 90

STYLE = """
body{font:14px/1.5 system-ui,sans-serif;color:#1c2733;max-width:1000px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.6rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .6rem}.quiet{color:#5b6b7b}
table{border-collapse:collapse;width:100%}td,th{padding:.3rem .5rem;text-align:left;border-bottom:1px solid #dfe5eb}
.number{text-align:right;font-variant-numeric:tabular-nums}
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(320px,1fr));gap:1rem}
figure{margin:0;break-inside:avoid}svg{width:100%;height:auto;max-width:620px}
.critical{color:#b3261e;font-weight:600}.warning{color:#8a5a00;font-weight:600}
@page{size:A4;margin:15mm}@media print{body{margin:0;max-width:none;font-size:11px}tr{break-inside:avoid}}
"""


def html(storage: Storage) -> str:
    """The page for the current version; AnalyticsError when nothing is published yet."""
    record = versions.read_manifest(versions.require_current(storage))
    marts = {entry["mart"] for entry in record["marts"]}
    body = "".join([_goals(storage, marts), _trends(storage, marts), _funnel(storage, marts), _incidents(storage)])
    told = f"Version {record['version']}, published {_minute(record['published_at'])} UTC"
    clock = f"; data up to {_minute(record['as_of'])} UTC" if record.get("as_of") else ""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>agent-analytics</title>'
        f"<style>{STYLE}</style></head>\n<body><h1>agent-analytics</h1>"
        f'<p class="quiet">{escape(told + clock)}. All tenants.</p>\n{body}</body></html>\n'
    )


def _goals(storage: Storage, marts: set[str]) -> str:
    if "goal_kpis" not in marts:
        return ""
    rows = run_query(
        storage,
        "select goal, family, value, previous_value, change_pct, unit, status, is_stale from goal_kpis"
        " order by family, goal",
    ).rows
    lines = []
    for goal, family, value, previous, change, unit, status, stale in rows:
        changed = "–" if change is None else f"{round(change, 1) + 0.0:+.1f} %"
        shown = f"{status}, stale" if stale else status
        lines.append(
            f"<tr><td>{escape(goal.replace('_', ' '))}</td><td>{escape(family)}</td>"
            f'<td class="number">{_value(value, unit)}</td><td class="number">{_value(previous, unit)}</td>'
            f'<td class="number">{changed}</td><td class="{escape(status)}">{escape(shown)}</td></tr>\n'
        )
    numbers = "".join(f'<th class="number">{name}</th>' for name in ("now", "before", "change"))
    head = f"<th>goal</th><th>family</th>{numbers}<th>status</th>"
    return f"<h2>Headlines, over 30 days</h2><table><tr>{head}</tr>\n{''.join(lines)}</table>\n"


def _trends(storage: Storage, marts: set[str]) -> str:
    figures = []
    for title, unit, mart, day, measure in TRENDS:
        if mart in marts:
            newest = f"(select max({day}) from {mart})"
            sql = (
                f"select {day}, {measure} from {mart} where {day} < {newest} and {day} >= {newest} - {DAYS}"
                f" group by {day} order by {day}"
            )
            figures.append(_chart(title, unit, run_query(storage, sql).rows))
    return (
        f'<h2>Trends, day by day before the newest</h2><div class="grid">{"".join(figures)}</div>\n'
        if any(figures)
        else ""
    )


def _chart(title: str, unit: str, rows: Sequence[tuple[date, Any]]) -> str:
    """A line over the days; a day without a row is a gap in the data, not a zero."""
    points = [(day.toordinal(), float(value)) for day, value in rows if value is not None]
    if not points:
        return ""
    first, span = points[0][0], max(points[-1][0] - points[0][0], 1)
    top = max(max(value for _, value in points), 0) or 1
    line = " ".join(f"{(x - first) / span * WIDTH:.1f},{HEIGHT - y / top * (HEIGHT - 6):.1f}" for x, y in points)
    days = f"{rows[0][0]} to {rows[-1][0]}"
    return (
        f"<figure><figcaption>{escape(title)}<br>"
        f'<span class="quiet">{days}, highest {_value(top, unit)}</span></figcaption>'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
        f'<line x1="0" y1="{HEIGHT}" x2="{WIDTH}" y2="{HEIGHT}" stroke="#c3ccd5"/>'
        f'<polyline points="{line}" fill="none" stroke="#2f6fab" stroke-width="1.6"/></svg></figure>\n'
    )


def _funnel(storage: Storage, marts: set[str]) -> str:
    if "activation_funnel_weekly" not in marts:
        return ""
    sums = ", ".join(f"sum({step}_count)" for step in FUNNEL)
    weeks, *counts = run_query(storage, f"select count(*), {sums} from activation_funnel_weekly").rows[0]
    if not weeks or not counts[0]:
        return ""
    bars = []
    for place, (step, reached) in enumerate(zip(FUNNEL, counts, strict=True)):
        share = reached / counts[0]
        bars.append(
            f'<rect x="110" y="{place * 24}" width="{share * 400:.1f}" height="18" fill="#2f6fab"/>'
            f'<text x="100" y="{place * 24 + 14}" text-anchor="end">{step}</text>'
            f'<text x="{116 + share * 400:.1f}" y="{place * 24 + 14}">{reached:,} ({share:.0%})</text>'
        )
    return (
        f"<h2>Activation of all who signed up, {weeks} weeks</h2>"
        f'<figure><svg viewBox="0 0 620 {len(FUNNEL) * 24}" font-size="13" role="img" aria-label="Activation funnel">'
        f"{''.join(bars)}</svg></figure>\n"
    )


def _incidents(storage: Storage) -> str:
    rows = desk.listed(storage)
    if not rows:
        return "<h2>Open incidents</h2><p>None.</p>\n"
    names = ("id", "severity", "status", "title", "family", "opened_at")
    lines = [
        f'<tr class="{escape(str(row["severity"]))}">'
        + "".join(f"<td>{escape(str(row[name] if row[name] is not None else ''))}</td>" for name in names)
        + "</tr>\n"
        for row in rows
    ]
    head = "".join(f"<th>{name.replace('_', ' ')}</th>" for name in names)
    return f"<h2>Open incidents</h2><table><tr>{head}</tr>\n{''.join(lines)}</table>\n"


def _value(value: float | None, unit: str) -> str:
    if value is None:
        return "–"
    if unit == "rate":
        return f"{value:.1%}"
    if unit == "usd":
        return f"${value:,.2f}"
    text = f"{value:,.0f}" if float(value).is_integer() else f"{value:,.2f}"
    return text if unit == "count" else f"{text} {escape(unit.replace('_', ' '))}"


def _minute(moment: str) -> str:
    return moment[:16].replace("T", " ")
