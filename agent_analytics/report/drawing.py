"""Charts as inline SVG: small, without scripts, legible on a screen by day and by night, and on paper.

Colours stand in attributes, which printers of HTML know, and again in classes, by which the page's style can change
them for a dark screen.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import date

from markupsafe import Markup, escape

Values = Sequence[float | None]

ACCENT, MUTED, LINE, INK = "#2563a8", "#5d6b7a", "#dde3ea", "#16202b"
FONT = "font-family=\"system-ui, -apple-system, 'Segoe UI', 'Liberation Sans', 'DejaVu Sans', sans-serif\""

SPARK = (132, 30)
CHART = (460, 168)
LEFT, RIGHT, TOP, BOTTOM = 52, 10, 8, 22
FUNNEL_WIDTH, FUNNEL_ROW = 460, 27
BAR_LEFT, BAR_MOST = 96, 232


def sparkline(values: Values, label: str) -> Markup:
    """A line without axes, from its own lowest to its own highest; a dot on the newest."""
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return Markup()
    width, height = SPARK
    low, high = min(known), max(known)
    places = _places(values, 2, width - 4, 3, height - 3, low, high)
    lines = _lines(places, 1.5)
    end = next(place for place in reversed(places) if place)
    dot = f'<circle class="dot" cx="{end[0]:.1f}" cy="{end[1]:.1f}" r="2.4" fill="{ACCENT}"/>'
    return _svg(width, height, label, lines + dot, "spark")


def line_chart(days: Sequence[date], values: Values, title: str, show: Callable[[float], str]) -> Markup:
    """A line over days, from 0 or its lowest negative value; unknown days are gaps."""
    known = [value for value in values if value is not None]
    if not known:
        return Markup()
    width, height = CHART
    ticks = _ticks(min(0.0, *known), max(0.0, *known))
    places = _places(values, LEFT, width - RIGHT, TOP, height - BOTTOM, ticks[0], ticks[-1])
    parts = []
    for tick in ticks:
        y = _height(tick, TOP, height - BOTTOM, ticks[0], ticks[-1])
        parts.append(f'<line class="grid" x1="{LEFT}" y1="{y:.1f}" x2="{width - RIGHT}" y2="{y:.1f}" stroke="{LINE}"/>')
        parts.append(_text(LEFT - 7, y + 3.5, show(tick), "end"))
    for share, anchor in ((0.0, "start"), (0.5, "middle"), (1.0, "end")):
        day = days[round(share * (len(days) - 1))]
        parts.append(_text(LEFT + share * (width - RIGHT - LEFT), height - 6, f"{day:%-d %b}", anchor))
    base = _height(0.0, TOP, height - BOTTOM, ticks[0], ticks[-1])
    for piece in _pieces(places):
        around = [(piece[0][0], base), *piece, (piece[-1][0], base)]
        parts.append(f'<polygon class="area" points="{_points(around)}" fill="{ACCENT}" fill-opacity="0.09"/>')
    return _svg(width, height, title, "".join(parts) + _lines(places, 1.7), "chart")


def funnel(steps: Sequence[tuple[str, int]], title: str) -> Markup:
    """A bar for each step: how many reached it, what share of the first that is."""
    first = steps[0][1]
    parts = []
    for place, (name, reached) in enumerate(steps):
        y, share = place * FUNNEL_ROW, reached / first
        length = max(share * BAR_MOST, 1.5)
        opacity = 1 - 0.1 * place
        parts.append(_text(BAR_LEFT - 9, y + 15, name, "end", 12, INK, "ink"))
        parts.append(
            f'<rect class="bar" x="{BAR_LEFT}" y="{y + 2}" width="{length:.1f}" height="18" rx="2" fill="{ACCENT}"'
            f' fill-opacity="{opacity:.1f}"/>'
        )
        parts.append(_text(BAR_LEFT + length + 8, y + 15, f"{reached:,}", "start", 12, INK, "ink"))
        parts.append(_text(FUNNEL_WIDTH, y + 15, f"{share:.0%}", "end", 12))
    return _svg(FUNNEL_WIDTH, len(steps) * FUNNEL_ROW, title, "".join(parts), "funnel")


def _svg(width: int, height: int, label: str, inside: str, kind: str) -> Markup:
    return Markup(
        f'<svg class="{kind}" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img"'
        f' aria-label="{escape(label)}">{inside}</svg>'
    )


def _text(
    x: float, y: float, text: str, anchor: str, size: float = 10.5, colour: str = MUTED, kind: str = "quiet"
) -> str:
    return (
        f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{colour}"'
        f" {FONT}>{escape(text)}</text>"
    )


def _lines(places: Sequence[tuple[float, float] | None], stroke: float) -> str:
    return "".join(
        f'<polyline class="line" points="{_points(piece)}" fill="none" stroke="{ACCENT}" stroke-width="{stroke}"'
        ' stroke-linejoin="round" stroke-linecap="round"/>'
        for piece in _pieces(places)
    )


def _points(places: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)


def _pieces(places: Sequence[tuple[float, float] | None]) -> list[list[tuple[float, float]]]:
    """The runs of known places; one that stands alone is drawn as a point."""
    pieces: list[list[tuple[float, float]]] = [[]]
    for place in places:
        if place:
            pieces[-1].append(place)
        elif pieces[-1]:
            pieces.append([])
    return [piece if len(piece) > 1 else piece * 2 for piece in pieces if piece]


def _places(
    values: Values, left: float, right: float, top: float, bottom: float, low: float, high: float
) -> list[tuple[float, float] | None]:
    step = (right - left) / max(len(values) - 1, 1)
    return [
        None if value is None else (left + place * step, _height(value, top, bottom, low, high))
        for place, value in enumerate(values)
    ]


def _height(value: float, top: float, bottom: float, low: float, high: float) -> float:
    return bottom - (value - low) / (high - low) * (bottom - top) if high > low else (top + bottom) / 2


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers, four or so, around low and high."""
    if high <= low:
        high = low + 1
    raw = (high - low) / 3
    unit = 10.0 ** math.floor(math.log10(raw))
    step = next(unit * factor for factor in (1, 2, 2.5, 5, 10) if unit * factor >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [place * step for place in range(first, last + 1)]
