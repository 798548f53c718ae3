"""Patterns: the command's answer for any window, and windows that move with the data clock."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import oracles.patterns as oracle
import pytest
from events import DAYS, START, Generator
from events.patterns import executions
from harness import Event, Row, World
from oracles.patterns import DAY, HOUR, WINDOWS, Window, analytics, at, executions_of
from test_marts import landed, same

from agent_analytics import cli, patterns, versions
from agent_analytics.errors import AnalyticsError
from agent_analytics.ledger import Ledger
from agent_analytics.patterns import SECTIONS, Detail, Pattern, Report, report
from agent_analytics.storage import Storage

CLOCK = datetime(2026, 4, 5, 12, 30)

MARTS = {
    "pattern_metrics_daily": ("tenant_id", "pattern_id", "date"),
    "pattern_analytics": ("tenant_id", "pattern_id", "window_type"),
    "pattern_context_distribution": ("tenant_id", "pattern_id", "window_type", "dimension", "value"),
}

EXECUTION = {
    "tenant_id": "varchar",
    "pattern_id": "varchar",
    "occurred_at": "timestamp",
    "user_id": "varchar",
    "agent_id": "varchar",
    "context_type": "varchar",
    "project": "varchar",
    "file_type": "varchar",
    "succeeded": "boolean",
    "timed_out": "boolean",
    "quality_gate_failed": "boolean",
    "execution_time_ms": "double",
    "quality_score": "double",
}


@pytest.fixture(scope="module")
def events() -> list[Event]:
    """Unkind executions, some of them beyond the data clock, many of them shortly before."""
    generator = Generator(7)
    found: list[Event] = []
    while len(found) < 500:
        found += executions(generator)
    for event in found[::3]:
        closer = CLOCK - (START.replace(tzinfo=None) + timedelta(days=DAYS) - at(event)) / 300
        event["occurred_at"] = closer.replace(tzinfo=UTC).isoformat()
    for number, event in enumerate(found[1:60:6]):
        event["occurred_at"] = (CLOCK - number * timedelta(minutes=15)).replace(tzinfo=UTC).isoformat()
    return found


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory, events: list[Event]) -> Storage:
    """A published version made by hand: the executions, and which patterns there are."""
    storage = Storage(tmp_path_factory.mktemp("patterns"))
    folder = storage.versions / "1"
    folder.mkdir(parents=True)
    (folder / versions.MANIFEST).write_text("{}")
    storage.published.symlink_to(folder)
    with duckdb.connect(str(folder / versions.SNAPSHOT)) as snapshot:
        columns = ", ".join(f"{name} {kind}" for name, kind in EXECUTION.items())
        snapshot.execute("create schema intermediate; create schema patterns; create schema ops")
        snapshot.execute(f"create table intermediate.int_pattern_executions ({columns}, loaded_through bigint)")
        for event in events:
            known = event | event["properties"] | {"occurred_at": at(event).isoformat()}
            values = ", ".join("null" if known.get(name) is None else f"'{known[name]}'" for name in EXECUTION)
            snapshot.execute(f"insert into intermediate.int_pattern_executions values ({values}, 1)")
        snapshot.execute(
            "create table patterns.pattern_analytics as"
            " select distinct tenant_id, pattern_id, 'all_time' as window_type"
            f" from intermediate.int_pattern_executions where occurred_at <= timestamp '{CLOCK}'"
        )
        snapshot.execute(
            f"create table ops.publications as select 'pattern_analytics' as mart, timestamp '{CLOCK}' as as_of"
        )
    return storage


def one(storage: Storage, begin: Any = None, end: Any = None, detail: Detail = "detailed") -> Pattern:
    bounds = [None if bound is None else str(bound) for bound in (begin, end)]
    found = report(storage, ["review"], bounds[0], bounds[1], "tenant-1", detail)
    (pattern,) = found.patterns
    return pattern


def measured(expected: Row, found: Row) -> list[str]:
    """What differs, for people."""
    return [
        f"{name}: {found[name]!r}, not {value!r}" for name, value in expected.items() if not same(found[name], value)
    ]


# The formulas


@pytest.mark.parametrize("window_type", WINDOWS)
def test_the_command_says_of_each_window_what_its_events_say(
    window_type: str, published: Storage, events: list[Event]
) -> None:
    length = WINDOWS[window_type]
    begin = None if length is None else CLOCK - length
    expected = oracle.pattern_analytics(events, CLOCK.replace(tzinfo=UTC))["tenant-1", "review", window_type]
    assert not measured(expected, one(published, begin, CLOCK).measures)


@pytest.mark.parametrize("seed", range(40))
def test_the_command_says_of_any_window_what_its_events_say(seed: int, published: Storage, events: list[Event]) -> None:
    """Windows that begin or end with an execution, or a microsecond from one, of any length."""
    random = Generator(seed).random
    history = executions_of(events)["tenant-1", "review"]
    moments = [at(event) for event in history if at(event) <= CLOCK]
    near = [timedelta(microseconds=n) for n in (-1, 0, 1)]
    begin, end = sorted(random.choice(moments) + random.choice(near) for _ in "be")
    begin -= random.choice((timedelta(microseconds=1), timedelta(seconds=1), HOUR, DAY))
    window = Window(history, end, end - begin)
    found = one(published, begin, end)
    if window.executions:
        expected = analytics(window, HOUR if end - begin <= DAY else DAY)
        assert not measured(expected, found.measures)
    else:
        assert found.measures["total_executions"] == 0


def test_the_distribution_is_that_of_the_window(published: Storage, events: list[Event]) -> None:
    found = one(published, CLOCK - 7 * DAY, CLOCK, "comprehensive").distribution
    expected = oracle.pattern_context_distribution(events, CLOCK.replace(tzinfo=UTC))
    of_the_week = {
        (dimension, value): row
        for (tenant, pattern, window_type, dimension, value), row in expected.items()
        if (tenant, pattern, window_type) == ("tenant-1", "review", "weekly")
    }
    assert {(dimension, row["value"]) for dimension, rows in found.items() for row in rows} == set(of_the_week)
    for dimension, rows in found.items():
        for row in rows:
            assert not measured(of_the_week[dimension, row["value"]], row)


def test_a_date_takes_in_the_whole_day(published: Storage, events: list[Event]) -> None:
    history = executions_of(events)["tenant-1", "review"]
    days = [(at(event).date(), at(event)) for event in history]
    first, last = datetime(2026, 3, 20).date(), datetime(2026, 3, 26).date()
    found = one(published, first, last).measures
    assert found["total_executions"] == sum(first <= day <= last for day, _ in days) > 0
    assert found["executions_per_day"] == found["total_executions"] / 7


def test_no_window_reaches_beyond_the_data_clock(published: Storage) -> None:
    assert one(published, "2026-04-01", "2030-01-01").measures == one(published, "2026-04-01").measures


def test_a_time_without_an_offset_is_utc(published: Storage) -> None:
    assert one(published, "2026-04-01T02:00:00+02:00").measures == one(published, "2026-04-01T00:00:00").measures


def test_a_window_without_an_execution_has_none_and_nothing_else(published: Storage) -> None:
    found = one(published, "2020-01-01", "2020-01-31", "comprehensive")
    assert found.measures["total_executions"] == 0
    assert {value for name, value in found.measures.items() if name != "total_executions"} == {None}
    assert not any(found.distribution.values())


# What is said


def names(found: Report) -> list[str]:
    return [pattern.name for pattern in found.patterns]


def test_patterns_stand_side_by_side_in_the_order_asked_for_and_of_every_tenant_that_has_them(
    published: Storage,
) -> None:
    assert names(report(published, ["triage", "plan"], tenant_id="tenant-2")) == ["tenant-2/triage", "tenant-2/plan"]
    assert names(report(published, ["plan", "plan"])) == ["tenant-1/plan", "tenant-2/plan", "tenant-3/plan"]


def test_json_has_the_sections_of_its_detail(
    published: Storage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ANALYTICS_STORAGE", str(published.root))
    shown: dict[str, Row] = {}
    for detail in ("summary", "detailed", "comprehensive"):
        assert cli.execute(["pattern", "review", "--tenant", "tenant-1", "--detail", detail, "--json"]) == 0
        shown[detail] = json.loads(capsys.readouterr().out)
    assert shown["detailed"]["from"] is None
    assert shown["detailed"]["to"] == "2026-04-05T12:30:00Z"
    (detailed,) = shown["detailed"]["patterns"]
    assert {section: tuple(detailed[section]) for section in SECTIONS} == SECTIONS
    (summary,) = shown["summary"]["patterns"]
    assert set(summary["trend"]) == {"growth_pct", "trend", "trend_confidence"}
    assert "distribution" not in detailed
    (comprehensive,) = shown["comprehensive"]["patterns"]
    assert set(comprehensive["distribution"]) == set(patterns.DIMENSIONS)
    hours = [int(row["value"]) for row in comprehensive["distribution"]["hour_of_day"]]
    assert hours == sorted(hours)
    assert comprehensive["usage"] == detailed["usage"]


def test_tables_compare_patterns_by_column(
    published: Storage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ANALYTICS_STORAGE", str(published.root))
    arguments = [
        "pattern",
        "review",
        "plan",
        "--tenant",
        "tenant-1",
        "--from",
        "2026-04-01",
        "--detail",
        "comprehensive",
    ]
    assert cli.execute(arguments) == 0
    head, columns, total, *_ = capsys.readouterr().out.splitlines()
    assert head == "from 2026-03-31 23:59:59.999999 to 2026-04-05 12:30:00 UTC"
    assert columns.split() == ["measure", "tenant-1/review", "tenant-1/plan"]
    review, plan = (
        row.measures["total_executions"]
        for row in report(published, ["review", "plan"], "2026-04-01", tenant_id="tenant-1").patterns
    )
    assert total.split() == ["usage", "total_executions", str(review), str(plan)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no-such"], "no execution is published of no-such:"),
        (["review", "no-such", "nor-this"], "no execution is published of no-such, nor-this:"),
        (["review", "--tenant", "tenant-9"], "no execution of tenant tenant-9 is published of review:"),
        (["it's"], "no execution is published of it's:"),
        (["review", "--from", "2026-04-02", "--to", "2026-04-01"], "the window is empty: it begins at"),
        (["review", "--from", "2027-01-01"], "the window is empty: it begins at"),
    ],
)
def test_what_cannot_be_answered_is_one_line(
    arguments: list[str],
    message: str,
    published: Storage,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("ANALYTICS_STORAGE", str(published.root))
    assert cli.execute(["pattern", *arguments]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"agent-analytics: {message}")
    assert error.count("\n") == 1


@pytest.mark.parametrize("bound", ["yesterday", "2026-13-01", "2026-04-01T25:00", "0001-01-01", "2026-4-1", ""])
def test_what_is_no_date_is_wrong_usage(
    bound: str, published: Storage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ANALYTICS_STORAGE", str(published.root))
    assert cli.execute(["pattern", "review", "--from", bound]) == 2
    assert "is neither a date such as 2026-01-31 nor a time" in capsys.readouterr().err


def test_nothing_published_is_said_so(tmp_path: Path, published: Storage) -> None:
    with pytest.raises(AnalyticsError, match="nothing is published yet"):
        report(Storage(tmp_path), ["review"])
    bare = Storage(tmp_path / "bare")
    (bare.versions / "1").mkdir(parents=True)
    bare.published.symlink_to(bare.versions / "1")
    (bare.versions / "1" / versions.MANIFEST).write_text("{}")
    with duckdb.connect(str(bare.versions / "1" / versions.SNAPSHOT)) as snapshot:
        snapshot.execute("create schema ops; create table ops.publications (mart varchar, as_of timestamp)")
    with pytest.raises(AnalyticsError, match="no patterns are published yet"):
        report(bare, ["review"])


# With the whole pipeline


@pytest.mark.slow
def test_the_command_and_the_marts_say_the_same_of_all_seven_windows(realistic: World) -> None:
    as_of = datetime.fromisoformat(str(Ledger(realistic.storage).as_of())).replace(tzinfo=None)
    rows = realistic.published("from patterns.pattern_analytics")
    contexts = realistic.published("from patterns.pattern_context_distribution")
    for window_type, length in WINDOWS.items():
        expected = {(row["tenant_id"], row["pattern_id"]): row for row in rows if row["window_type"] == window_type}
        begin = None if length is None else str(as_of - length)
        found = report(realistic.storage, [key[1] for key in expected], begin, str(as_of), None, "comprehensive")
        used = {(p.tenant_id, p.pattern_id): p for p in found.patterns if p.measures["total_executions"]}
        assert set(used) == set(expected) != set()
        for key, pattern in used.items():
            row = expected[key]
            assert not measured({n: row[n] for names in SECTIONS.values() for n in names}, pattern.measures), key
        shares = {
            (*key, dimension, row["value"]): (row["executions"], row["share"])
            for key, pattern in used.items()
            for dimension, values in pattern.distribution.items()
            for row in values
        }
        assert shares == {
            (r["tenant_id"], r["pattern_id"], r["dimension"], r["value"]): (r["executions"], r["share"])
            for r in contexts
            if r["window_type"] == window_type
        }


@pytest.mark.slow
def test_windows_follow_the_data_clock_tick_by_tick(world: World) -> None:
    """A few executions at a time, while the clock goes on by parts of a window, by a microsecond, or by nothing new."""
    generator = Generator(11)
    models = " ".join(f"+{mart}" for mart in MARTS)
    clock = START + timedelta(days=15)
    steps = (timedelta(microseconds=1), timedelta(minutes=15), HOUR, 6 * HOUR, DAY, timedelta(days=3.5))
    for number in range(7):
        arriving: list[Event] = []
        while len(arriving) < (8 if number else 300):
            arriving += executions(generator)
        clock += steps[number % len(steps)]
        # An execution by which the clock moves, and some that are a little in the future.
        arriving = [event for event in arriving if datetime.fromisoformat(event["occurred_at"]) < clock + DAY]
        world.land([*arriving, executions(generator)[0] | {"occurred_at": clock.isoformat()}])
        world.ingest(now=clock)
        world.build(select=models)
        known = landed(world)
        for mart, key in MARTS.items():
            expected: dict[tuple[Any, ...], Row] = getattr(oracle, mart)(known, clock)
            rows = {tuple(row[name] for name in key): row for row in world.query(f"from patterns.{mart}")}
            assert set(rows) == set(expected), (number, mart)
            wrong = {place: measured(row, rows[place]) for place, row in expected.items()}
            assert not {place: found for place, found in wrong.items() if found}, (number, mart)
