"""Every column of every mart against a second computation in plain Python (tests/oracles), published end to end."""

from __future__ import annotations

import csv
import importlib
import json
import math
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import oracles
import pytest
from harness import Event, Row, World, marts
from oracles import game as oracles_game

from agent_analytics import cli
from agent_analytics.ledger import Ledger

pytestmark = pytest.mark.slow

Oracle = Callable[[list[Event], datetime], Mapping[Any, Row]]

ORACLES: dict[str, Oracle] = {
    mart: oracle
    for family in pkgutil.iter_modules(oracles.__path__)
    for mart, oracle in importlib.import_module(f"oracles.{family.name}").MARTS.items()
}


def test_every_mart_has_a_second_computation(unkind: World) -> None:
    assert {mart.name for mart in marts()} == set(ORACLES)


@dataclass(frozen=True)
class History:
    """A world, and the events that it accepted."""

    world: World
    events: list[Event]


@pytest.fixture(scope="module", params=["unkind", "realistic"])
def history(request: pytest.FixtureRequest) -> History:
    world: World = request.getfixturevalue(request.param)
    return History(world, landed(world))


def landed(world: World) -> list[Event]:
    """The events that were accepted, once each."""
    accepted = {
        (file.source, row["event_id"])
        for _, file in Ledger(world.storage).lake_files()
        for row in world.query(f"select event_id from '{world.storage.lake / file.path}'")
    }
    found: dict[tuple[str, str], Event] = {}
    for path in sorted(world.storage.landing.rglob("*.jsonl")):
        for line in path.read_bytes().splitlines():
            event = parsed(line)
            if event is not None and (event.get("source"), event.get("event_id")) in accepted:
                found.setdefault((event["source"], event["event_id"]), event)
    assert len(found) == len(accepted)
    return list(found.values())


def parsed(line: bytes) -> Event | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    well_formed = isinstance(event, dict) and all(isinstance(event.get(k), str) for k in ("source", "event_id"))
    return event if well_formed and isinstance(event.get("properties"), dict) else None


@pytest.mark.parametrize("mart", sorted(ORACLES))
def test_a_mart_says_what_its_events_say(mart: str, history: History) -> None:
    model = next(found for found in marts() if found.name == mart)
    expected = ORACLES[mart](history.events, history.world.as_of)
    published = history.world.published(f"from {model.schema}.{mart}")
    rows = {tuple(row[name] for name in model.key): row for row in published}
    assert rows, "nothing to compare"
    assert set(rows) == set(expected)
    wrong = [
        f"{key} {name}: {rows[key][name]!r}, expected {value!r}"
        for key, row in expected.items()
        for name, value in row.items()
        if not same(rows[key][name], value)
    ]
    assert wrong[:5] == []
    compared = set(next(iter(expected.values())))
    assert set(next(iter(rows.values()))) - compared - set(model.key) <= {"loaded_through"}


def same(found: Any, expected: Any) -> bool:
    if isinstance(found, float) and expected is not None:
        return math.isclose(found, float(expected), rel_tol=1e-9, abs_tol=1e-9)
    if isinstance(found, Decimal) and expected is not None:
        return found == Decimal(expected)
    return bool(found == expected)


def test_the_data_docs_of_the_gate_are_static_pages(realistic: World) -> None:
    index = realistic.storage.data_docs / "index.html"
    assert index.is_file()
    pages = list(Path(realistic.storage.data_docs).rglob("*.html"))
    assert len(pages) > len(marts())


def test_an_experiment_is_exported_as_csv_and_json(
    realistic: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ANALYTICS_STORAGE", str(realistic.root))
    rows = realistic.published("from experiments.experiment_readouts where experiment = 'quest-hints'")
    out = tmp_path / "readout.csv"
    assert cli.execute(["export", "experiment", "quest-hints", "--out", str(out)]) == 0
    with out.open(newline="") as lines:
        exported = {(row["variation"], row["metric"]): row for row in csv.DictReader(lines)}
    assert {key: row["units"] for key, row in exported.items()} == {
        (row["variation"], row["metric"]): str(row["units"]) for row in rows
    }
    capsys.readouterr()
    assert cli.execute(["export", "experiment", "quest-hints", "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["health"]["units"] > 0
    assert [row["mean"] for row in document["readouts"]] == [
        row["mean"]
        for row in sorted(rows, key=lambda row: (row["metric"], row["variation"] != row["control"], row["variation"]))
    ]
    assert cli.execute(["export", "experiment", "no'body"]) == 1
    assert "published are" in capsys.readouterr().err


def test_no_subtraction_of_published_marts_shows_a_small_locale(unkind: World) -> None:
    """Whatever is published of a group without a locale's name, less those with one, is nobody or k at least.

    Tried for each group of the daily rollup, for its content versions together, and for each hour of the hourly one.
    """
    turns = oracles_game.game(landed(unkind), "turn.completed")
    by_day, by_hour = (
        [{**row, "day": row["date" if time == "date" else "hour"]} for row in unkind.published(f"from game.{mart}")]
        for mart, time in (("game_rollup_daily", "date"), ("game_rollup_hourly", "hour"))
    )
    for rows in (by_day, by_hour):
        assert {"(all)"} < {row["locale"] for row in rows}
    attacks = [
        (by_day, "day", oracles_game.DAILY),
        (by_day, "day", oracles_game.HOURLY),
        (by_hour, "hour", oracles_game.HOURLY),
    ]
    for rows, time, dimensions in attacks:
        named: dict[tuple[Any, ...], set[str]] = {}
        for row in rows:
            group = (row["day"], *(row[name] for name in dimensions))
            named.setdefault(group, set()).update([row["locale"]] if not row["locale"].startswith("(") else [])
        for group, locales in named.items():
            played = [t for t in turns if (t[time], *(t[name] for name in dimensions)) == group]
            rest = {turn["who"] for turn in played if turn["locale"] not in locales}
            assert not locales or not rest or len(rest) >= oracles_game.K, group
