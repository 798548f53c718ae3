"""Drawing stories: random starts in a window of time, ragged expansions, and the columns that become JSON lines.

A story is what belongs together: a conversation, an execution, a game session. A source's generator draws stories and
returns their events as `Part`s, one per event type, each a set of columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from agent_analytics.simulate.universe import EPOCH_2024, HOUR, WEEK, Bools, Floats, Ints, Universe

#: Columns of the envelope that a part may carry; everything else is a property.
ENVELOPE = ("user_id", "session_id", "agent_id", "workflow_id", "correlation_id")


@dataclass
class Column:
    """Values of one JSON field. `absent` marks rows that leave the field out."""

    absent: Bools | None = None

    def arrays(self) -> list[npt.NDArray[np.generic]]:
        """The value arrays, each of the part's length."""
        raise NotImplementedError

    def sql(self, names: Sequence[str], run: str) -> list[str]:
        """SQL pieces whose concatenation is the JSON value; `names` are the columns of `arrays`."""
        raise NotImplementedError


@dataclass
class Number(Column):
    """A JSON number."""

    values: npt.NDArray[np.generic] = field(default_factory=lambda: np.empty(0))

    def arrays(self) -> list[npt.NDArray[np.generic]]:
        return [self.values]

    def sql(self, names: Sequence[str], run: str) -> list[str]:
        return [names[0]]


@dataclass
class Label(Column):
    """One of a few fixed strings, by its index."""

    codes: Ints = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    labels: Sequence[str] = ()

    def arrays(self) -> list[npt.NDArray[np.generic]]:
        return [self.codes]

    def sql(self, names: Sequence[str], run: str) -> list[str]:
        quoted = ", ".join(f"""'"{label}"'""" for label in self.labels)
        return [f"([{quoted}])[{names[0]} + 1]"]


@dataclass
class Text(Column):
    """A string made from a template: each {} takes the next number, {run} the run's own prefix."""

    template: str = ""
    numbers: Sequence[Ints] = ()

    def arrays(self) -> list[npt.NDArray[np.generic]]:
        return list(self.numbers)

    def sql(self, names: Sequence[str], run: str) -> list[str]:
        pieces = self.template.replace("{run}", run).split("{}")
        out = [f"""'"{pieces[0]}'"""]
        for name, piece in zip(names, pieces[1:], strict=True):
            out += [name, f"'{piece}'"] if piece else [name]
        return [*out, """'"'"""]


@dataclass
class Moment(Column):
    """A time in microseconds since 1970, written in UTC."""

    micros: Ints = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    def arrays(self) -> list[npt.NDArray[np.generic]]:
        return [self.micros]

    def sql(self, names: Sequence[str], run: str) -> list[str]:
        return [f"""strftime(make_timestamp({names[0]}), '"%Y-%m-%dT%H:%M:%S.%fZ"')"""]


def number(values: npt.ArrayLike, absent: Bools | None = None, digits: int = 3) -> Number:
    """A number field; fractions are rounded to `digits` decimals."""
    array = np.asarray(values)
    if array.dtype.kind == "f":
        array = np.round(array, digits)
    elif array.dtype.kind != "b":
        array = array.astype(np.int64)
    return Number(absent, array)


def label(codes: npt.ArrayLike, labels: Sequence[str], absent: Bools | None = None) -> Label:
    """A string field out of a fixed list."""
    return Label(absent, np.asarray(codes).astype(np.int64), labels)


def text(template: str, *numbers: npt.ArrayLike, absent: Bools | None = None) -> Text:
    """A string field made from numbers."""
    return Text(absent, template, [np.asarray(n).astype(np.int64) for n in numbers])


def moment(micros: npt.ArrayLike, absent: Bools | None = None) -> Moment:
    """A time field."""
    return Moment(absent, np.asarray(micros).astype(np.int64))


@dataclass
class Part:
    """Events of one type: the time each occurred (microseconds), its tenant, its story, and its fields."""

    event_type: str
    t: Ints
    tenant: Ints
    story: Ints
    fields: dict[str, Column]


class Rows:
    """Arrays from which parts are taken, one row per candidate event. Setting `t` moves the parts taken afterwards."""

    def __init__(self, story: Ints, tenant: Ints, t: Ints, common: Mapping[str, Column]) -> None:
        self.story, self.tenant, self.t, self.common = story, tenant, t, dict(common)

    def part(self, event_type: str, where: Bools | Ints | None = None, **fields: Column) -> Part:
        """The rows chosen by `where` as events of one type. Fields have one value per row of the whole, like the common
        ones; they are cut down here."""
        chosen = {**self.common, **fields}
        part = Part(event_type, self.t, self.tenant, self.story, chosen)
        return part if where is None else take(part, where)


def take(part: Part, where: Bools | Ints) -> Part:
    """The chosen rows of a part."""

    def cut(column: Column) -> Column:
        absent = None if column.absent is None else column.absent[where]
        if isinstance(column, Number):
            return Number(absent, column.values[where])
        if isinstance(column, Label):
            return Label(absent, column.codes[where], column.labels)
        if isinstance(column, Text):
            return Text(absent, column.template, [n[where] for n in column.numbers])
        assert isinstance(column, Moment)
        return Moment(absent, column.micros[where])

    fields = {name: cut(column) for name, column in part.fields.items()}
    return Part(part.event_type, part.t[where], part.tenant[where], part.story[where], fields)


class Window:
    """A span of time in which stories start, with every tenant's activity in each of its hours."""

    def __init__(self, universe: Universe, begin: int, end: int) -> None:
        self.universe, self.begin, self.end = universe, begin, end
        first, last = begin // HOUR, max(begin // HOUR + 1, -(-end // HOUR))
        self._first, self._hours = first, last - first
        edges = np.clip(np.arange(first, last + 1, dtype=np.int64) * HOUR, begin, end)
        self._starts, self._lengths = edges[:-1], np.diff(edges)
        self._cumulative: dict[str, Floats] = {}

    def starts(self, rng: np.random.Generator, count: int, rhythm: str) -> tuple[Ints, Ints]:
        """Random (tenant, microsecond) pairs that follow the tenants' sizes and rhythm."""
        if rhythm not in self._cumulative:
            table = self.universe.activity(rhythm, self._first, self._hours) * self._lengths
            self._cumulative[rhythm] = np.cumsum(table.ravel())
        cumulative = self._cumulative[rhythm]
        cell = np.searchsorted(cumulative, rng.random(count) * cumulative[-1], side="right")
        tenant, hour = np.divmod(np.minimum(cell, len(cumulative) - 1), self._hours)
        t = self._starts[hour] + (rng.random(count) * self._lengths[hour]).astype(np.int64)
        return tenant.astype(np.int64), t


class Draw:
    """One generator call's means: random numbers, the window, the entities, and numbers for the stories' ids."""

    def __init__(self, rng: np.random.Generator, window: Window, first_story: int) -> None:
        self.rng, self.window, self.universe = rng, window, window.universe
        self.first_story = first_story

    def starts(self, count: int, rhythm: str = "work") -> tuple[Ints, Ints, Ints]:
        """(story, tenant, start time) of `count` new stories."""
        tenant, t = self.window.starts(self.rng, count, rhythm)
        return np.arange(count, dtype=np.int64), tenant, t

    def number(self, story: Ints) -> Ints:
        """The number that a story has in its ids, unique within the source and the run."""
        return self.first_story + story

    def chance(self, probability: npt.ArrayLike, count: int) -> Bools:
        """True with the given probability, per row."""
        return np.asarray(self.rng.random(count) < np.asarray(probability, dtype=np.float64))

    def tail(self, median: npt.ArrayLike, sigma: float | Floats, count: int) -> Floats:
        """Lognormal numbers with a long tail."""
        return np.asarray(np.asarray(median) * np.exp(sigma * self.rng.standard_normal(count)), dtype=np.float64)

    def wholes(self, median: npt.ArrayLike, sigma: float, count: int) -> Ints:
        """Lognormal numbers cut down to whole ones."""
        return self.tail(median, sigma, count).astype(np.int64)

    def micros(self, median: npt.ArrayLike, sigma: float, count: int, most: int = 6 * 24 * HOUR) -> Ints:
        """Lognormal waits in whole microseconds, at most `most`."""
        return np.minimum(self.tail(median, sigma, count), most).astype(np.int64)

    def pick(self, shares: Sequence[float], count: int) -> Ints:
        """An index by shares, which needn't sum to 1."""
        cumulative = np.cumsum(np.asarray(shares, dtype=np.float64))
        found = np.searchsorted(cumulative, self.rng.random(count) * cumulative[-1], side="right")
        return np.asarray(found, dtype=np.int64)

    def skewed(self, sizes: npt.ArrayLike, count: int, power: float = 2.0) -> Ints:
        """An index below `sizes` per row, low ones preferred."""
        return np.asarray(np.asarray(sizes) * self.rng.random(count) ** power, dtype=np.float64).astype(np.int64)

    def counts(self, mean: float, count: int, most: int = 200) -> Ints:
        """Geometric numbers from 1 with the given mean."""
        return np.minimum(self.rng.geometric(1 / mean, count), most).astype(np.int64)

    def agents(self, tenant: Ints) -> Ints:
        """An agent of each tenant: some do most of the work."""
        return (tenant + 1) * 1000 + self.skewed(self.universe.agents[tenant], len(tenant))

    def users(self, tenant: Ints, t: Ints) -> Ints:
        """A user of each tenant. The pool moves on by 4% a week: new users come, old ones fade. One in 200 is a
        consultant who works for several tenants."""
        pool = self.universe.users[tenant]
        oldest = (pool * 0.04 * ((t - EPOCH_2024) / WEEK)).astype(np.int64)
        user = (tenant + 1) * 10_000_000 + oldest + pool - 1 - self.skewed(pool, len(tenant), 1.6)
        return np.where(self.chance(0.005, len(tenant)), self.skewed(40, len(tenant)), user)


def ragged(counts: Ints) -> tuple[Ints, Ints]:
    """(owner, position): for each owner i, counts[i] rows with positions 0, 1, ..."""
    owner = np.repeat(np.arange(len(counts), dtype=np.int64), counts)
    position = np.arange(len(owner), dtype=np.int64) - np.repeat(np.cumsum(counts) - counts, counts)
    return owner, position


def running(values: Ints, counts: Ints) -> Ints:
    """The running sum of `values` within each owner of `ragged(counts)`."""
    total = np.cumsum(values)
    before = np.concatenate(([0], total))[np.cumsum(counts) - counts]
    return np.asarray(total - np.repeat(before, counts), dtype=np.int64)


def sums(values: npt.NDArray[np.generic], owner: Ints, owners: int) -> Floats:
    """The sum of `values` per owner."""
    return np.asarray(np.bincount(owner, weights=values, minlength=owners), dtype=np.float64)
