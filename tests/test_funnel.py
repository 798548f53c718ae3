"""The funnel macro in every order, with and without a window, against a plain search through each entity's events."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from oracles.funnels import DAY, Journey, journey, measures

from agent_analytics.dbt_worker import worker

STEPS = {
    "start": ("stg_game__sessions", "true"),
    "choice": ("stg_game__choices", "node_id <> 'hidden'"),
    "craft": ("stg_game__crafts", "true"),
    "end": ("stg_game__completions", "true"),
}
START = datetime(2026, 3, 1, tzinfo=UTC)
ENTITIES, MINUTES = 400, 5 * 24 * 60
SEPARATOR = "\n-- next\n"

Case = tuple[str, int | None]
CASES: list[Case] = [(order, days) for order in ("ordered", "strict", "any") for days in (None, 1)]


def definition(order: str, days: int | None) -> dict[str, Any]:
    """A funnel that uses all that can be asked for; as text, it is a Jinja literal."""
    return {
        "entity": ["tenant_id", "session_id"],
        "steps": [[name, relation, condition] for name, (relation, condition) in STEPS.items()],
        "grain": "day",
        "window": [days, "day"] if days else None,
        "breakdown": {"world": "world", "variation": "coalesce(variation, 'none')"},
        "order": order,
        "count_any": True,
        "time_unit": "seconds",
    }


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> dict[Case, tuple[str, str]]:
    """The SQL of the entities and of the mart, for each case, by one start of dbt."""
    calls = "".join(
        f"{{{{ funnel_entities({definition(*case)}) }}}}{SEPARATOR}"
        f"{{{{ funnel({definition(*case)}, 'entities') }}}}{SEPARATOR}"
        for case in CASES
    )
    storage = tmp_path_factory.mktemp("storage")
    done = worker().invoke(
        ["--quiet", "compile", "--target", "prod", "--inline", calls], {"ANALYTICS_STORAGE": str(storage)}
    )
    assert done.success, done.error
    (node,) = done.nodes.values()
    texts = str(node.compiled).split(SEPARATOR)
    return {case: (texts[2 * n], texts[2 * n + 1]) for n, case in enumerate(CASES)}


Event = dict[str, Any]


@pytest.fixture(scope="module")
def events() -> list[Event]:
    """Few minutes and few entities, so that steps tie, repeat, lack and come in any order."""
    source = random.Random(1)
    found = []
    for number in range(6 * ENTITIES):
        step = source.choice(list(STEPS))
        found.append(
            {
                "step": step,
                "event_id": f"e{source.randrange(10**6)}-{number}",
                "load_id": source.randrange(1, 5),
                "tenant_id": source.choice(("t1", "t2")),
                "session_id": source.choice((None, *(f"s{n}" for n in range(ENTITIES // 2)))),
                "occurred_at": START + timedelta(minutes=source.randrange(0, MINUTES, source.choice((1, 720)))),
                "world": source.choice(("earth", "mars")),
                "variation": source.choice((None, "a", "b")),
                "node_id": source.choice(("hidden", "n", "m")),
            }
        )
    return found


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory, events: list[Event]) -> duckdb.DuckDBPyConnection:
    path: Path = tmp_path_factory.mktemp("database") / "warehouse.duckdb"
    connection = duckdb.connect(str(path))
    connection.execute("set timezone = 'UTC'")
    connection.execute("create schema staging")
    columns = ("event_id", "load_id", "tenant_id", "session_id", "occurred_at", "world", "variation", "node_id")
    for step, (relation, _) in STEPS.items():
        connection.execute(
            f"""create table staging.{relation} (
                event_id varchar, load_id bigint, tenant_id varchar, session_id varchar, occurred_at timestamp,
                world varchar, variation varchar, node_id varchar
            )"""
        )
        connection.executemany(
            f"insert into staging.{relation} values (?, ?, ?, ?, ?, ?, ?, ?)",
            [[event[name] for name in columns] for event in events if event["step"] == step],
        )
    return connection


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_funnel_counts_what_a_search_finds(
    case: Case,
    compiled: dict[Case, tuple[str, str]],
    database: duckdb.DuckDBPyConnection,
    events: list[Event],
) -> None:
    entities, mart = compiled[case]
    database.execute(f"create or replace temp table entities as {entities}")
    found = database.execute(mart)
    names = [column[0] for column in found.description or ()]
    rows = {row[:3]: dict(zip(names, row, strict=True)) for row in found.fetchall()}
    expected = searched(events, *case)
    assert len(expected) > 10
    assert rows.keys() == expected.keys()
    for key, row in expected.items():
        assert {name: rounded(rows[key][name]) for name in row} == {name: rounded(row[name]) for name in row}, key
    assert any(row["start_to_choice_rate"] not in (None, 0, 1) for row in expected.values())


def rounded(value: Any) -> Any:
    return round(value, 9) if isinstance(value, float) else value


def searched(events: list[Event], order: str, days: int | None) -> dict[tuple[date, str, str], dict[str, Any]]:
    window = days * DAY if days else None
    by_entity: dict[tuple[str, str], list[Event]] = defaultdict(list)
    for event in events:
        if event["session_id"] is not None and (event["step"] != "choice" or event["node_id"] != "hidden"):
            by_entity[event["tenant_id"], event["session_id"]].append(event)
    groups: dict[tuple[date, str, str], list[tuple[Journey, Journey]]] = defaultdict(list)
    for own in by_entity.values():
        times = [[event["occurred_at"] for event in own if event["step"] == step] for step in STEPS]
        if times[0]:
            starts = [event for event in own if event["step"] == "start"]
            first = min(starts, key=lambda event: (event["occurred_at"], event["event_id"]))
            key = (first["occurred_at"].date(), first["world"], first["variation"] or "none")
            groups[key].append((journey(times, window, order), journey(times, window, "any")))
    found = {}
    for key, journeys in groups.items():
        found[key] = measures(list(STEPS), [chosen for chosen, _ in journeys], timedelta(seconds=1), "seconds")
        for n, step in enumerate(STEPS):
            found[key][f"{step}_any_count"] = sum(chosen[n] is not None for _, chosen in journeys)
    return found
