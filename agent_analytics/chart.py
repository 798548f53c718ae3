"""A quick plot of an answer, drawn in characters for a terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from agent_analytics.errors import AnalyticsError

MAX_SERIES = 8
MAX_BARS = 40

Row = Sequence[Any]
Series = dict[str, list[tuple[Any, float]]]


def chart(columns: Sequence[str], rows: Sequence[Row], width: int, height: int, colours: bool = False) -> str:
    """Lines over time if a column holds dates, times or numbers to plot over; else a bar for each row.

    A line for each numeric column; or, if a column of texts is there, for each text. Raises AnalyticsError, saying
    what to select, when the answer can't be plotted.
    """
    kinds = [_kind(row[index] for row in rows) for index in range(len(columns))]
    values = [index for index, kind in enumerate(kinds) if kind == "number"]
    times = [index for index, kind in enumerate(kinds) if kind == "time"]
    texts = [index for index, kind in enumerate(kinds) if kind == "text"]
    if not rows:
        raise AnalyticsError("there is nothing to plot: the answer has no rows")
    if not times and not texts and len(values) > 1:
        times, values = values[:1], values[1:]
    if not values or len(times) > 1 or len(texts) > 1 or (texts and len(values) > 1):
        raise AnalyticsError(
            "a chart takes a date, time or number to plot over, then numbers; or one text and one number beside it:"
            f" the answer has {', '.join(f'{name} ({kind})' for name, kind in zip(columns, kinds, strict=True))}"
        )
    if not times:
        labels = [str(row[texts[0]]) if texts else str(number) for number, row in enumerate(rows, 1)]
        bars = [_number(row[values[0]]) for row in rows]
        return _bars(columns[values[0]], labels, bars, width, colours)
    series = _series(columns, rows, times[0], values, texts)
    return _lines(columns[values[0]], series, width, height, colours)


def _kind(values: Any) -> str:
    known = [value for value in values if value is not None]
    if known and all(isinstance(value, date | datetime) for value in known):
        return "time"
    if known and all(isinstance(value, int | float | Decimal) and not isinstance(value, bool) for value in known):
        return "number"
    return "text" if known else "nothing"


def _series(columns: Sequence[str], rows: Sequence[Row], over: int, values: list[int], texts: list[int]) -> Series:
    series: Series = {}
    for row in rows:
        for index in values:
            name = str(row[texts[0]]) if texts else columns[index]
            value = _number(row[index])
            if row[over] is not None and math.isfinite(value):
                series.setdefault(name, []).append((row[over], value))
    if len(series) > MAX_SERIES:
        raise AnalyticsError(f"{len(series)} series are too many for a chart: select {MAX_SERIES} at most")
    if not series:
        raise AnalyticsError("there is nothing to plot: no row has both a place and a value")
    return {name: sorted(points) for name, points in series.items()}


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def _lines(title: str, series: Series, width: int, height: int, colours: bool) -> str:
    import plotext

    places = [place for points in series.values() for place, _ in points]
    timed = isinstance(places[0], date)
    pattern = "%Y-%m-%d" if not isinstance(places[0], datetime) else "%Y-%m-%d %H:%M"
    _clear(plotext, width, height)
    for name, points in series.items():
        across = [_position(place) for place, _ in points]
        plotext.plot(across, [value for _, value in points], label=name if len(series) > 1 else None, marker="braille")
    if timed:
        low, high = min(places), max(places)
        steps = max(1, min(4, width // 24))
        ticks = [low + (high - low) * step / steps for step in range(steps + 1)] if low < high else [low]
        plotext.xticks([_position(tick) for tick in ticks], [tick.strftime(pattern) for tick in ticks])
    if len(series) == 1:
        plotext.title(next(iter(series)) if title not in series else title)
    return _drawn(plotext, colours)


def _position(place: Any) -> float:
    if isinstance(place, datetime):
        return (place.replace(tzinfo=None) - datetime(1970, 1, 1)).total_seconds() / 86_400
    return float(place.toordinal()) if isinstance(place, date) else float(place)


def _bars(title: str, labels: list[str], values: list[float], width: int, colours: bool) -> str:
    import plotext

    if len(values) > MAX_BARS:
        raise AnalyticsError(f"{len(values)} bars are too many for a chart: select {MAX_BARS} rows at most")
    if any(value < 0 for value in values):
        raise AnalyticsError("bars can't be drawn for negative numbers: plot over a date or a number instead")
    _clear(plotext, width, None)
    finite = [value if math.isfinite(value) else 0.0 for value in values]
    plotext.simple_bar(labels, finite, width=width, title=title)
    return _drawn(plotext, colours)


def _clear(plotext: Any, width: int, height: int | None) -> None:
    plotext.clear_figure()
    plotext.theme("clear")
    plotext.limit_size(False, False)
    plotext.plotsize(width, height)


def _drawn(plotext: Any, colours: bool) -> str:
    text = str(plotext.build())
    lines = (text if colours else plotext.uncolorize(text)).splitlines()
    return "\n".join(line.rstrip() for line in lines)
