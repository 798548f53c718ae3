"""The simulator: contract-true lines, exact counts, the same bytes for the same arguments, and honest lateness."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml  # type: ignore[import-untyped]

from agent_analytics.errors import AnalyticsError
from agent_analytics.simulate import DEFAULT_END, SimulationReport, simulate, tick
from agent_analytics.simulate.broken import KINDS
from agent_analytics.simulate.reference import TABLES

ROOT = Path(__file__).resolve().parent.parent
CONTRACT = yaml.safe_load((ROOT / "contracts" / "events.yml").read_text(encoding="utf-8"))
ENVELOPE = CONTRACT["envelope"]
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
EVERY_TYPE = {(source, name) for source, types in CONTRACT["sources"].items() for name in types}


def lines_of(folder: Path) -> Iterator[bytes]:
    """All lines in path order, as ingest reads them."""
    for path in sorted(folder.iterdir()):
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        assert data.endswith(b"\n")
        yield from data[:-1].split(b"\n")


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


CHECKS: dict[str, Callable[[Any], bool]] = {
    "string": lambda v: isinstance(v, str) and 1 <= len(v) <= 200,
    "count": lambda v: is_whole(v) and 0 <= v < 2**63,
    "signed": is_number,
    "number": lambda v: is_number(v) and v >= 0,
    "money": lambda v: is_number(v) and 0 <= v < 10**12,
    "fraction": lambda v: is_number(v) and 0 <= v <= 1,
    "rating": lambda v: is_whole(v) and 1 <= v <= 5,
    "bool": lambda v: isinstance(v, bool),
    "timestamp": lambda v: isinstance(v, str) and TIME.fullmatch(v) is not None,
}


def refuse(constant: str) -> None:
    raise ValueError(constant)


def problem(line: bytes) -> str | None:
    """What is wrong with a line by the contract; stricter than ingest: undeclared fields and nulls are wrong too."""
    try:
        event = json.loads(line.decode("utf-8"), parse_constant=refuse)
    except ValueError:
        return "malformed_json"
    if not isinstance(event, dict):
        return "not_an_object"
    for name, rule in ENVELOPE.items():
        if name not in event:
            if rule["required"]:
                return f"missing:{name}"
            continue
        value = event[name]
        kind = dict if rule["type"] == "object" else str
        if not isinstance(value, kind) or (kind is str and not 1 <= len(value) <= rule.get("max", 200)):
            return f"invalid:{name}"
    if not TIME.fullmatch(event["occurred_at"]):
        return "invalid:occurred_at"
    if event["source"] not in CONTRACT["sources"]:
        return "unknown_source"
    for name in CONTRACT["requires"].get(event["source"], []):
        if name not in event:
            return f"missing:{name}"
    types = CONTRACT["sources"][event["source"]]
    if event["event_type"] not in types:
        return "unknown_event_type"
    if moment(event["occurred_at"]) > DEFAULT_END + timedelta(days=365):
        return "future:occurred_at"
    if set(event) - set(ENVELOPE):
        return "undeclared envelope field"
    declared, properties = types[event["event_type"]], event["properties"]
    for name, rule in declared.items():
        optional = isinstance(rule, str) and rule.startswith("optional ")
        if name not in properties:
            if not optional:
                return f"missing:{name}"
            continue
        value = properties[name]
        fits = value in rule if isinstance(rule, list) else CHECKS[rule.removeprefix("optional ")](value)
        if not fits:
            return f"invalid:{name}"
    if properties.get("tokens_cached", 0) > properties.get("tokens_in", math.inf):
        return "invalid:tokens_cached"
    undeclared = set(properties) - set(declared)
    return f"undeclared property {min(undeclared)}" if undeclared else None


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SimulationReport]:
    folder = tmp_path_factory.mktemp("history")
    return folder, simulate(folder, events=40_000, days=20, seed=7, files=3)


@pytest.fixture(scope="module")
def events(history: tuple[Path, SimulationReport]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines_of(history[0])]


def test_every_line_is_valid_by_the_contract(history: tuple[Path, SimulationReport]) -> None:
    assert Counter(filter(None, map(problem, lines_of(history[0])))) == {}


def test_every_source_and_event_type_appears(history: tuple[Path, SimulationReport]) -> None:
    counts = history[1].counts
    assert {(source, name) for source, types in counts.items() for name in types} == EVERY_TYPE


def test_the_report_counts_what_was_written(
    history: tuple[Path, SimulationReport], events: list[dict[str, Any]]
) -> None:
    report = history[1]
    distinct = {(event["source"], event["event_id"]): event for event in events}
    assert len(distinct) == report.events == 40_000
    assert len(events) == report.lines
    assert len(events) - len(distinct) == report.duplicates == 200
    assert Counter((e["source"], e["event_type"]) for e in distinct.values()) == {
        (source, name): count for source, types in report.counts.items() for name, count in types.items()
    }
    assert report.bytes == sum(path.stat().st_size for path in report.files)
    assert sorted(history[0].iterdir()) == report.files and len(report.files) == 3
    times = [moment(event["occurred_at"]) for event in events]
    assert (min(times), max(times)) == (report.first_occurred_at, report.last_occurred_at)
    assert DEFAULT_END - timedelta(days=20) <= min(times) and max(times) < DEFAULT_END


def test_optional_properties_are_there_and_left_out(events: list[dict[str, Any]]) -> None:
    for source, types in CONTRACT["sources"].items():
        for event_type, declared in types.items():
            mine = [e["properties"] for e in events if (e["source"], e["event_type"]) == (source, event_type)]
            if len(mine) < 60:
                continue
            for name, rule in declared.items():
                if isinstance(rule, str) and rule.startswith("optional "):
                    present = sum(name in properties for properties in mine)
                    assert 0 < present < len(mine), (event_type, name)


def test_copies_are_the_same_line_and_come_later(history: tuple[Path, SimulationReport]) -> None:
    seen: dict[tuple[str, str], bytes] = {}
    for line in lines_of(history[0]):
        event = json.loads(line)
        assert seen.setdefault((event["source"], event["event_id"]), line) == line


def test_late_events_arrive_up_to_seven_days_behind(
    history: tuple[Path, SimulationReport], events: list[dict[str, Any]]
) -> None:
    newest = datetime.min.replace(tzinfo=UTC)
    behind, seen = [], set()
    for event in events:
        key = (event["source"], event["event_id"])
        if key in seen:
            continue
        seen.add(key)
        occurred = moment(event["occurred_at"])
        newest = max(newest, occurred)
        behind.append(newest - occurred)
    assert history[1].late == 800
    assert 700 <= sum(delay > timedelta(seconds=30) for delay in behind) <= 800
    assert timedelta(days=2) < max(behind) <= timedelta(days=7)


def test_no_lateness_and_no_copies_on_request(tmp_path: Path) -> None:
    report = simulate(tmp_path, events=3_000, days=3, seed=1, late=0, duplicates=0)
    assert (report.late, report.duplicates, report.lines) == (0, 0, 3_000)
    times = [moment(json.loads(line)["occurred_at"]) for line in lines_of(tmp_path)]
    assert all(later > earlier - timedelta(seconds=4) for earlier, later in pairwise(times))


def digest(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


@pytest.mark.slow
@pytest.mark.parametrize("packed", [False, True])
def test_the_same_arguments_give_the_same_bytes(tmp_path: Path, packed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments: dict[str, Any] = {"events": 8_000, "days": 10, "seed": 3, "files": 3, "gzip": packed, "broken": 0.01}
    simulate(tmp_path / "a", **arguments)
    monkeypatch.setattr("agent_analytics.simulate.engine.THREADS", 1)
    simulate(tmp_path / "b", **arguments)
    simulate(tmp_path / "c", **{**arguments, "seed": 4})
    assert digest(tmp_path / "a") == digest(tmp_path / "b")
    assert not set(digest(tmp_path / "a").values()) & set(digest(tmp_path / "c").values())


def test_a_file_made_of_several_chunks_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent_analytics.simulate.engine.CHUNK", 1_500)
    report = simulate(tmp_path, events=9_000, days=30, seed=2, files=2, broken=0.01)
    lines = list(lines_of(tmp_path))
    assert len(lines) == report.lines == 9_000 + 45 + 90
    ids = Counter(json.loads(line)["event_id"] for line in lines if problem(line) is None)
    assert len(ids) == 9_000 and sum(ids.values()) == 9_045


def test_broken_lines_are_counted_by_kind_and_reason(tmp_path: Path) -> None:
    report = simulate(tmp_path, events=5_000, days=2, seed=5, broken=0.02)
    assert sum(report.broken.values()) == sum(report.rejects.values()) == 100
    assert set(report.broken) == {kind for kind, _, _ in KINDS}
    assert Counter(filter(None, map(problem, lines_of(tmp_path)))) == report.rejects


@pytest.mark.parametrize("source", list(CONTRACT["sources"]))
def test_one_source_alone_fills_the_count(tmp_path: Path, source: str) -> None:
    report = simulate(tmp_path, events=700, days=5, seed=1, sources=[source])
    assert sum(report.counts[source].values()) == 700 and set(report.counts) == {source}


def test_a_tick_lies_in_its_hour_but_for_the_late_share(tmp_path: Path, history: tuple[Path, SimulationReport]) -> None:
    end = DEFAULT_END + timedelta(hours=1)
    report = tick(tmp_path, events=10_000, seed=7, end=end, duplicates=0.01)
    lines = list(lines_of(tmp_path))
    assert [line for line in lines if problem(line)] == []
    distinct = {(e["source"], e["event_id"]): e for e in map(json.loads, lines)}
    assert (len(distinct), len(lines)) == (10_000, 10_100)
    times = [moment(event["occurred_at"]) for event in distinct.values()]
    older = [t for t in times if t < end - timedelta(hours=1)]
    assert len(older) == report.late and abs(len(older) - 200) <= 6
    assert end - timedelta(days=7) <= min(times) and max(times) < end
    assert max(older) - min(older) > timedelta(days=5)


def test_ids_never_collide_between_a_history_and_ticks(tmp_path: Path, events: list[dict[str, Any]]) -> None:
    runs = [{event["event_id"] for event in events}]
    for number, (seed, hours) in enumerate([(7, 1), (7, 2), (8, 1)]):
        tick(tmp_path / str(number), events=500, seed=seed, end=DEFAULT_END + timedelta(hours=hours))
        runs.append({json.loads(line)["event_id"] for line in lines_of(tmp_path / str(number))})
    assert len(set.union(*runs)) == sum(map(len, runs))


def test_a_tick_speaks_of_the_entities_of_the_history(tmp_path: Path, events: list[dict[str, Any]]) -> None:
    tick(tmp_path, events=2_000, seed=9)
    ticked = [json.loads(line) for line in lines_of(tmp_path)]

    def names(of: list[dict[str, Any]], field: str) -> set[str]:
        return {e["properties"][field] for e in of if field in e["properties"]}

    for field in ("workspace_id", "blueprint_id", "swarm_id", "service", "pattern_id"):
        assert len(names(ticked, field) & names(events, field)) >= 0.5 * len(names(ticked, field)) > 0, field
    assert {e["tenant_id"] for e in ticked} <= {f"tenant-{i + 1}" for i in range(50)}


def test_stories_keep_their_order(events: list[dict[str, Any]]) -> None:
    def times(event_type: str, key: str) -> dict[str, datetime]:
        out: dict[str, datetime] = {}
        for event in events:
            if event["event_type"] == event_type:
                at, identity = moment(event["occurred_at"]), event["properties"][key]
                out[identity] = min(at, out.get(identity, at))
        return out

    for first, later, key in (
        ("conversation.started", "conversation.ended", "conversation_id"),
        ("agent.started", "agent.completed", "execution_id"),
        ("swarm.task_assigned", "swarm.task_resolved", "task_id"),
        ("deployment.finished", "deployment.failed_in_use", "deployment_id"),
        ("deployment.failed_in_use", "service.restored", "deployment_id"),
        ("subscription.created", "subscription.cancelled", "subscription_id"),
        ("ticket.opened", "ticket.resolved", "ticket_id"),
    ):
        begun, ended = times(first, key), times(later, key)
        assert ended and all(begun[identity] <= at for identity, at in ended.items()), later


def test_the_world_has_what_marts_must_cope_with(events: list[dict[str, Any]]) -> None:
    tenants = Counter(event["tenant_id"] for event in events)
    assert tenants["tenant-1"] > 10 * tenants["tenant-40"] > 0
    zone = ZoneInfo("America/New_York")
    local = [moment(e["occurred_at"]).astimezone(zone) for e in events if e["tenant_id"] == "tenant-1"]
    assert sum(9 <= t.hour < 17 for t in local) > 2 * sum(t.hour < 6 for t in local)
    assigned = {
        e["properties"]["task_id"]: moment(e["occurred_at"]).date()
        for e in events
        if e["event_type"] == "swarm.task_assigned"
    }
    resolved = [e for e in events if e["event_type"] == "swarm.task_resolved"]
    assert any(moment(e["occurred_at"]).date() > assigned[e["properties"]["task_id"]] for e in resolved)
    runs: Counter[str] = Counter()
    longest: Counter[str] = Counter()
    turns = [e for e in events if e["event_type"] == "turn.completed"]
    for turn in sorted(turns, key=lambda e: moment(e["occurred_at"])):
        session = turn["session_id"]
        runs[session] = 0 if turn["properties"]["progressed"] else runs[session] + 1
        longest[session] = max(longest[session], runs[session])
    stuck = sum(run >= 5 for run in longest.values())
    assert 0.02 < stuck / len(longest) < 0.3


@pytest.mark.parametrize(
    "wrong",
    [
        {"events": 0}, {"days": 0}, {"days": 1e6}, {"late": 2}, {"sources": ["nowhere"]}, {"sources": []}, {"seed": -1},
        {"files": 0}, {"end": datetime(2026, 1, 1)},
    ],
)  # fmt: skip
def test_senseless_arguments_are_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(AnalyticsError, match="simulate: "):
        simulate(tmp_path, **{"events": 10, "days": 1, "seed": 1, **wrong})


def test_the_seeds_name_all_that_the_simulated_world_names() -> None:
    """What they say of it is the analysts' to edit."""
    for table, columns in CONTRACT["reference"].items():
        with (ROOT / "seeds" / f"{table}.csv").open(encoding="utf-8", newline="") as handle:
            reader = csv.DictReader(handle)
            rows = list(reader)
        assert reader.fieldnames == list(columns)
        name_of = next(iter(columns))
        assert {str(row[name_of]) for row in TABLES[table]()} <= {row[name_of] for row in rows}, table
        for row in rows:
            for name, rule in columns.items():
                if isinstance(rule, list):
                    assert row[name] in rule, (table, name)
                if rule == "IANA name":
                    ZoneInfo(row[name])
                if rule == "money":
                    assert round(float(row[name]), 6) == float(row[name]) >= 0, (table, name)


def test_the_seeds_hold_the_cases_that_pricing_must_handle(events: list[dict[str, Any]]) -> None:
    with (ROOT / "seeds" / "provider_prices.csv").open(encoding="utf-8", newline="") as handle:
        prices = {(row["provider"], row["model"]): row for row in csv.DictReader(handle)}
    gemini = prices["google", "gemini-3-pro-preview"]
    assert [float(gemini[f"usd_per_1k_tokens_{name}"]) for name in ("in", "cached", "out")] == [0.002, 0.0002, 0.012]
    assert gemini["valid_from"] < "2025-11"
    used = {(p["provider"], p["model"]) for e in events if "provider" in (p := e["properties"])}
    unlisted = used - set(prices)
    assert any((provider, "*") in prices for provider, _ in unlisted)
    assert {provider for provider, _ in used} - {provider for provider, _ in prices}
    with (ROOT / "seeds" / "tenants.csv").open(encoding="utf-8", newline="") as handle:
        tenants = {row["tenant_id"] for row in csv.DictReader(handle)}
    assert {event["tenant_id"] for event in events} - tenants == {"tenant-7"}
    assert {"swe-bench-verified", "open-source"} <= tenants


def test_a_price_row_reproduces_the_costs_that_the_sample_logged() -> None:
    path = ROOT / "samples" / "landing" / "swe-bench-verified-2025-11.jsonl.gz"
    with (ROOT / "seeds" / "provider_prices.csv").open(encoding="utf-8", newline="") as handle:
        prices = {(row["provider"], row["model"]): row for row in csv.DictReader(handle)}
    compared = 0
    for line in gzip.decompress(path.read_bytes()).splitlines():
        event = json.loads(line)
        call = event["properties"]
        if event["event_type"] != "provider.called" or "cost_usd" not in call:
            continue
        price = prices[call["provider"], call["model"]]
        cached = call.get("tokens_cached", 0)
        cost = (
            (call["tokens_in"] - cached) * float(price["usd_per_1k_tokens_in"])
            + cached * float(price["usd_per_1k_tokens_cached"])
            + call["tokens_out"] * float(price["usd_per_1k_tokens_out"])
        ) / 1000
        assert cost == pytest.approx(call["cost_usd"], abs=5e-7)
        compared += 1
    assert compared == 19_584
