"""Promise 3, line by line: ingest's verdicts against a second, plain implementation of the contract's rules."""

from __future__ import annotations

import hashlib
import hmac
import json
import math
import random
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from agent_analytics import load, odd
from agent_analytics.contract import CONTRACT_PATH
from agent_analytics.ingest import IngestReport, ingest
from agent_analytics.storage import Storage

NOW = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)
KEY = "a key for tests"
RULES = yaml.safe_load(CONTRACT_PATH.read_text())
TIMESTAMP = re.compile(r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(\.\d+)?([Zz]|([+-])(\d\d):(\d\d))", re.ASCII)


class Bad(Exception):
    """A reason to reject."""


def no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    made["\0repeats"] = len(made) < len(pairs)
    return made


def refuse(name: str) -> None:
    raise ValueError(name)


def whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Bad
    if isinstance(value, float) and not value.is_integer():
        raise Bad
    return int(value)


def finite(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Bad
    try:
        number = float(value)
    except OverflowError:
        raise Bad from None
    if not math.isfinite(number):
        raise Bad
    return number


def check(holds: bool) -> None:
    if not holds:
        raise Bad


def moment(value: Any) -> datetime:
    found = TIMESTAMP.fullmatch(value) if isinstance(value, str) else None
    check(found is not None)
    year, month, day, hour, minute, second = (int(found[index]) for index in range(1, 7))
    fraction = int(((found[7] or ".")[1:7]).ljust(6, "0"))
    offset = timedelta(0)
    if found[9]:
        check(int(found[10]) < 24 and int(found[11]) < 60)
        offset = timedelta(hours=int(found[10]), minutes=int(found[11])) * (-1 if found[9] == "-" else 1)
    try:
        return datetime(year, month, day, hour, minute, second, fraction) - offset
    except (ValueError, OverflowError):
        raise Bad from None


def typed(kind: Any, value: Any, longest: int = 200) -> Any:
    """The value as the lake must hold it; Bad when it isn't of the type."""
    if isinstance(kind, list):
        check(isinstance(value, str) and value in kind)
        return value
    if kind == "string":
        check(isinstance(value, str) and 1 <= len(value) <= longest)
        return value
    if kind == "bool":
        check(isinstance(value, bool))
        return value
    if kind == "timestamp":
        return moment(value)
    if kind in ("count", "rating"):
        number = whole(value)
        check(0 <= number < 2**63 if kind == "count" else 1 <= number <= 5)
        return number
    number = finite(value)
    if kind == "money":
        check(0 <= number < 10**12)
        return Decimal(repr(number)).quantize(Decimal("0.000001"), ROUND_HALF_UP)
    check({"signed": True, "number": number >= 0, "fraction": 0 <= number <= 1}[kind])
    return number


def reference(line: bytes) -> tuple[str | None, dict[str, Any]]:
    """(reason, typed event): the first reason to reject a line, or None and what the lake must hold."""
    try:
        event = json.loads(line.decode("utf-8"), object_pairs_hook=no_repeats, parse_constant=refuse)
        json.dumps(event, ensure_ascii=False).encode("utf-8")
    except ValueError:
        return "malformed_json", {}
    if not isinstance(event, dict):
        return "not_an_object", {}
    properties = event.get("properties")
    if event.pop("\0repeats") or (isinstance(properties, dict) and properties.pop("\0repeats")):
        return "malformed_json", {}
    made: dict[str, Any] = {}
    needed = RULES["requires"].get(event.get("source"), []) if isinstance(event.get("source"), str) else []
    for name, rule in RULES["envelope"].items():
        value = event.get(name)
        if value is None:
            if rule["required"] or name in needed:
                return f"missing:{name}", {}
            made[name] = None
        elif rule["type"] == "object":
            if not isinstance(value, dict):
                return f"invalid:{name}", {}
        else:
            try:
                made[name] = typed(rule["type"], value, rule.get("max", 200))
            except Bad:
                return f"invalid:{name}", {}
    if made["source"] not in RULES["sources"]:
        return "unknown_source", {}
    declared = RULES["sources"][made["source"]].get(made["event_type"])
    if declared is None:
        return "unknown_event_type", {}
    if made["occurred_at"] > NOW.replace(tzinfo=None) + timedelta(hours=24):
        return "future:occurred_at", {}
    for name, kind in declared.items():
        value = properties.get(name)
        optional = isinstance(kind, str) and kind.startswith("optional ")
        if value is None:
            if not optional:
                return f"missing:{name}", {}
            continue
        try:
            made[name] = typed(kind.removeprefix("optional ") if isinstance(kind, str) else kind, value)
            check(name != "tokens_cached" or made[name] <= made["tokens_in"])
        except Bad:
            return f"invalid:{name}", {}
    if made["user_id"] is not None:
        made["user_id"] = hmac.new(KEY.encode(), made["user_id"].encode(), hashlib.sha256).hexdigest()
    return None, made


GOOD = {
    "string": ["x", "é" * 200, 'a"b\\c\n', "\u0000", "😀", " ", "nan", "[:nan,]"],
    "count": [0, 1, 3.0, 1e2, 2**53 + 1, 2**63 - 1, -0.0],
    "signed": [-1, 0, 1.5, -1e308, 12],
    "number": [0, 0.1, 1e-7, 1e300, 12345678901234567890, 2.5],
    "money": [0, 0.0000005, 1.0000015, 999999999999.5, 12, 0.1234565],
    "fraction": [0, 1, 0.5, 1.0],
    "rating": [1, 5, 3.0],
    "bool": [True, False],
    "timestamp": [
        "2026-01-02T03:04:05Z",
        "2026-01-02t03:04:05.1234567+05:30",
        "2024-02-29T23:59:59.999999-23:59",
        "0001-01-01T00:00:00z",
    ],
}
ANY = [
    None,
    "",
    "x" * 201,
    "5",
    "true",
    5,
    5.5,
    -1,
    0,
    6,
    1e400,
    -1e400,
    2**63,
    10**12,
    1.0000001,
    True,
    False,
    [],
    {},
    [1],
    {"a": None},
    "2026-13-01T00:00:00Z",
    "2026-02-30T00:00:00Z",
    "2026-01-01T00:00:60Z",
    "2026-01-01T24:00:00Z",
    "2026-01-01 00:00:00Z",
    "2026-01-01T00:00:00",
    "2026-01-01T00:00:00+0100",
    "2026-06-02T12:00:00Z",
    "2026-06-02T12:00:00.000001Z",
    "0000-01-01T00:00:00Z",
    "0001-01-01T00:00:00+01:00",
    "9999-12-31T23:59:59-01:00",
    "2026-01-01T00:00:00+24:00",
    "٢026-01-01T00:00:00Z",
    "game",
    "experiments",
]
BROKEN = [
    (b"}", b",}"),
    (b"{", b"{,"),
    (b": ", b': NaN, "k": '),
    (b", ", b",, "),
    (b'"', b"'"),
    (b"}", b"}x"),
    (b"{", b"/**/{"),
    (b" ", b"\x0b"),
    (b"}", b"\x00}"),
    (b'"', b'"\xff'),
    (b'"', b'"\\ud800'),
    (b'"', b'"\t'),
    (b": ", b':-Infinity, "q":'),
    (b"{", b'{"event_id": "twice", '),
    (b'"properties": {', b'"properties": {"zz": 1, "zz": 2, '),
    (b'"properties": {', b'"properties": {"zz": [1,], '),
    (b"}", b""),
    (b'"properties": {', b'"properties": {"zz": {"y": nan}, '),
    (b"{", b'{"zz": [inf], '),
    (b"1", b"01"),
    (b"{", b"\xef\xbb\xbf{"),
    (b"}", b"} {}"),
    (b'"properties": {', b'"properties": {"zz": {"y": 1, "y": 2}, '),
    (b"{", b'{"Source": 1, '),
    (b'"source"', b'"sourc\\u0065"'),
    (b"}", b"}\x0c"),
]
WHOLE = [
    b"[1]",
    b"5",
    b'"x"',
    b"null",
    b"true",
    b"{}",
    b"nonsense",
    b"{",
    b"\xff\xfe",
    b"\x00",
    b"NaN",
    b"[",
    b"[1,]",
    b'{"a":1}{"b":2}',
]


def valid_event(rng: random.Random, number: int) -> dict[str, Any]:
    source = rng.choice(list(RULES["sources"]))
    event_type = rng.choice(list(RULES["sources"][source]))
    properties = {}
    for name, kind in RULES["sources"][source][event_type].items():
        optional = isinstance(kind, str) and kind.startswith("optional ")
        if optional and rng.random() < 0.4:
            continue
        plain = kind.removeprefix("optional ") if isinstance(kind, str) else kind
        properties[name] = rng.choice(plain if isinstance(plain, list) else GOOD[plain])
    if "tokens_cached" in properties and rng.random() < 0.8:
        properties["tokens_in"], properties["tokens_cached"] = 10, rng.choice([0, 10])
    event = {
        "event_id": f"e{number}",
        "source": source,
        "event_type": event_type,
        "occurred_at": rng.choice(GOOD["timestamp"]),
        "tenant_id": rng.choice(["t", "é" * 64]),
        "user_id": rng.choice(["bob", "a\\b", "ü" * 128]),
        "session_id": "s",
        "properties": properties,
    }
    if rng.random() < 0.3:
        names = list(event)
        rng.shuffle(names)
        event = {name: event[name] for name in names}
    return event


def fuzzed(rng: random.Random, number: int) -> bytes:
    if rng.random() < 0.03:
        return rng.choice(WHOLE)
    event = valid_event(rng, number)
    for _ in range(rng.choice([0, 0, 1, 1, 2])):
        within = event["properties"] if rng.random() < 0.5 and isinstance(event["properties"], dict) else event
        name = rng.choice([*within, "undeclared"])
        if rng.random() < 0.3:
            within.pop(name, None)
        else:
            within[name] = rng.choice(ANY)
        event.setdefault("properties", {})
    text = json.dumps(
        event, ensure_ascii=rng.random() < 0.5, separators=rng.choice([(", ", ": "), (",", ":")])
    ).replace("Infinity", "1e400")
    line = text.encode()
    if rng.random() < 0.25:
        old, new = rng.choice(BROKEN)
        places = [found.start() for found in re.finditer(re.escape(old), line)]
        if places:
            at = rng.choice(places)
            line = line[:at] + new + line[at + len(old) :]
    return line


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Storage:
    monkeypatch.setenv("ANALYTICS_HASH_KEY", KEY)
    (tmp_path / "landing").mkdir()
    return Storage(tmp_path)


def lake_rows(storage: Storage, load_id: int = 1) -> list[dict[str, Any]]:
    rows = []
    for path in [*storage.lake.glob(f"*/{load_id}.parquet"), *sorted(storage.lake.glob(f"*/{load_id}-*.parquet"))]:
        found = duckdb.connect().execute("from read_parquet(?)", [str(path)])
        names = [column[0] for column in found.description or []]
        rows += [dict(zip(names, row, strict=True)) | {"source": path.parent.name} for row in found.fetchall()]
    return rows


def land(storage: Storage, lines: list[bytes], name: str = "a.jsonl") -> IngestReport:
    (storage.landing / name).write_bytes(b"\n".join(lines) + b"\n")
    return ingest(storage, now=NOW)


def quarantine_reasons(storage: Storage, load_id: int = 1) -> dict[int, str]:
    path = storage.quarantine / f"{load_id}.parquet"
    if not path.exists():
        return {}
    return dict(duckdb.connect().execute("select line_number, reason from read_parquet(?)", [str(path)]).fetchall())


def compare(storage: Storage, lines: list[bytes]) -> None:
    """One file of these lines gives the verdicts and the values of `reference`, and counts what is dropped."""
    report = land(storage, lines)
    reasons = quarantine_reasons(storage)
    rows = {(row["source"], row["event_id"]): row for row in lake_rows(storage)}
    seen = set()
    dropped: Counter[str] = Counter()
    for number, line in enumerate(lines, 1):
        reason, event = reference(line)
        assert reasons.get(number) == reason, (number, line)
        if reason is None:
            dropped.update(undeclared_names(line))
            key = (event["source"], event["event_id"])
            if key in seen:
                continue
            seen.add(key)
            for name, value in event.items():
                if name != "properties":
                    assert rows[key][name] == value, (name, line)
            undeclared = set(rows[key]) - set(event) - {"load_id", "event_hash"}
            assert all(rows[key][name] is None for name in undeclared), line
    assert set(rows) == seen
    assert report.lines == len(lines) == report.accepted + report.duplicates + report.rejected
    assert report.accepted == len(seen)
    assert len(dropped) <= odd.MOST_NAMES and report.files[0].dropped_properties == dropped


def undeclared_names(line: bytes) -> list[str]:
    """What a good line has and the contract doesn't, as `<event type>.<name>`."""
    event = json.loads(line)
    declared = RULES["sources"][event["source"]][event["event_type"]] or {}
    names = [name for name in event if name not in RULES["envelope"]]
    names += [name for name in event["properties"] if name not in declared]
    return [f"{event['event_type']}.{name}" for name in names]


@pytest.mark.parametrize("seed", range(3))
def test_verdicts_and_values_equal_a_second_implementation(storage: Storage, seed: int) -> None:
    rng = random.Random(seed)
    compare(storage, [fuzzed(rng, number) for number in range(3000)])


def test_verdicts_hold_where_no_name_stands_twice(storage: Storage) -> None:
    """DuckDB reads such files another way than those with repeated names."""
    rng = random.Random(99)
    lines = [line for line in (fuzzed(rng, number) for number in range(4000)) if not has_repeats(line)]
    compare(storage, lines)


def has_repeats(line: bytes) -> bool:
    try:
        event = json.loads(line, object_pairs_hook=no_repeats)
    except ValueError:
        return b"zz" in line or b"twice" in line
    return isinstance(event, dict) and (event["\0repeats"] or "twice" in line.decode("utf-8", "replace"))


def plain_event(rng: random.Random, number: int) -> bytes:
    """A line as most producers write it: mostly valid, compact or as json.dumps writes it, nothing undeclared."""
    event = valid_event(rng, number)
    return json.dumps(event, separators=rng.choice([(", ", ": "), (",", ":")])).encode()


# What only totals, or the comparison line by line, tell from a plain line.
TRICKS: list[tuple[bytes, bytes]] = [
    (b'"tenant_id":"t"', b'"tenant_id":5'),
    (b'"tenant_id":"t"', b'"tenant_id":["t"]'),
    (b'"tenant_id":"t"', b'"tenant_id":{"t":"t"}'),
    (b'"tenant_id":"t"', b'"tenant_id":true'),
    (b'"tenant_id":"t"', b'"tenant_id":"t","agent_id":null'),
    (b'"tenant_id":"t"', b'"tenant_id":"t","note":null'),
    (b'"tenant_id":"t"', b'"tenant_id":"t","note" :1'),
    (b'"tenant_id":"t"', b'"tenant_id":"t","tenant_id":"t"'),
    (b'"tenant_id":"t"', b'"tenant_id" : "a\\":"'),
    (b'"tenant_id":"t"', b'"tenant_id":  "t"'),
    (b'"tenant_id":"t"', b'"tenant_id":"\\":,","note" :1'),
    (b'"tenant_id":"t"', b'"tenant_id":"a,b"'),
    (b'"tenant_id":"t"', b'"tenant_id":"t","note":{"a":"b"}'),
    (b'"session_id":"s"', b'"session_id":5,"note":"five"'),
    (b'"session_id":"s"', b'"session_id":"s" ,"note":[1,]'),
    (b'"properties":{', b'"properties":{"note":1,'),
    (b'"properties":{', b'"properties":{"rating":"3",'),
    (b"}}", b",}}"),
    (b"}}", b"},}"),
    (b"true", b'"true"'),
    (b":0", b':"0"'),
    (b":1", b":1.5"),
    (b":12", b":nan"),
]


def tricky(rng: random.Random, number: int) -> bytes:
    line = json.dumps(valid_event(rng, number), separators=(",", ":")).encode()
    for old, new in rng.sample(TRICKS, rng.choice([1, 1, 2, 3])):
        line = line.replace(old, new, 1)
    return line


@pytest.mark.parametrize("odd", [0, 1, 300])
@pytest.mark.parametrize("refused", [False, True])
def test_plain_and_odd_lines_in_one_file(storage: Storage, odd: int, refused: bool) -> None:
    """A single odd line among plain ones is found; a line that the typed reader refuses makes no other one wrong."""
    rng = random.Random(odd)
    lines = [plain_event(rng, number) for number in range(2000)]
    lines += [tricky(rng, 10_000 + number) for number in range(odd)]
    lines += [b"nonsense", b"[1]"] * refused
    rng.shuffle(lines)
    compare(storage, lines)


@pytest.mark.parametrize("trick", range(len(TRICKS)))
def test_each_trick_is_seen_among_plain_lines(storage: Storage, trick: int) -> None:
    rng = random.Random(trick)
    old, new = TRICKS[trick]
    lines = [json.dumps(valid_event(rng, number), separators=(",", ":")).encode() for number in range(200)]
    place = next(index for index, line in enumerate(lines) if old in line)
    lines[place] = lines[place].replace(old, new, 1)
    compare(storage, lines)


PLAIN: dict[str, Any] = {
    "string": "x",
    "count": 3,
    "signed": -1.5,
    "number": 2.5,
    "money": 0.5,
    "fraction": 0.25,
    "rating": 3,
    "bool": True,
    "timestamp": "2026-01-02T03:04:05.678Z",
}


# What nothing but a value's own limits tells from a plain one, and what lies just within them.
EDGES: dict[str, list[Any]] = {
    "string": ["", "x" * 201, 5],
    "count": [-1, 1.5, 2**63, 2**63 - 1, -1e-300, True, "5"],
    "signed": [1e400, -1e400, -1e308, math.nan],
    "number": [-1e-300, 1e400, 1e308, math.nan],
    "money": [-0.4e-6, 1e12, 999999999999.9999999, 999999999999.5],
    "fraction": [-1e-300, 1.0000001, 1],
    "rating": [0, 6, 1.5, 5.0],
    "bool": [1, 0, "true"],
    "enumeration": ["", "another"],
    "occurred_at": [
        "0000-12-31T23:59:59Z",
        "0001-01-01T00:00:00+00:01",
        "0001-01-01T00:00:00Z",
        "2026-06-02T12:00:00Z",
        "2026-06-02T12:00:00.000001Z",
        "9999-12-31T23:59:59-01:00",
        "2026-01-01T24:00:00Z",
    ],
}


def plain_line(event_type: tuple[str, str], event_id: str, **changes: Any) -> bytes:
    """A line that is proved good by totals; `changes` are of its properties, or else of the event."""
    rules = RULES["sources"][event_type[0]][event_type[1]]
    properties = {}
    for name, kind in rules.items():
        properties[name] = kind[0] if isinstance(kind, list) else PLAIN[kind.removeprefix("optional ")]
    event = {"event_id": event_id, "source": event_type[0], "event_type": event_type[1]}
    event |= {"occurred_at": PLAIN["timestamp"], "tenant_id": "t", "user_id": "bob", "session_id": "s"}
    event["properties"] = properties
    for name, value in changes.items():
        (properties if name in rules else event)[name] = value
    return json.dumps(event, separators=(",", ":")).replace("Infinity", "1e400").encode()


@pytest.mark.parametrize("space", [b" ", b"\t", b"\r"], ids=["space", "tab", "carriage_return"])
def test_white_space_before_a_colon_hides_no_name(storage: Storage, space: bytes) -> None:
    """Among lines that are plain but for that."""
    lines = [plain_line(first_with("string")[0], f"e{number}") for number in range(3)]
    lines[1] = lines[1].replace(b'"tenant_id":"t"', b'"tenant_id":"t","note"' + space + b":1")
    compare(storage, lines)


def first_with(kind: str, lacking: bool = False) -> tuple[tuple[str, str], str]:
    """An event type, and a property of this kind that it has; lacking: and that others of its source don't have."""
    for source, events in RULES["sources"].items():
        for event_type, rules in events.items():
            for name, rule in rules.items():
                if lacking and all(name in rules for rules in events.values()):
                    continue
                if kind == ("enumeration" if isinstance(rule, list) else rule.removeprefix("optional ")):
                    return (source, event_type), name
    return ("provider", "agent.started"), kind


@pytest.mark.slow
def test_a_value_among_plain_lines_gets_the_same_verdict(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each value in a batch of its own, where nothing else tells that a line has to be looked at."""
    looked_at: set[str] = set()
    settle = odd.settle

    def note(making: load.Load, stage: Any) -> None:
        looked_at.update(file.input.label for file in stage.files)
        settle(making, stage)

    monkeypatch.setattr(load, "BATCH_BYTES", 1)
    monkeypatch.setattr(odd, "settle", note)
    changed = {}
    for kind, values in EDGES.items():
        event_type, name = first_with(kind)
        for place, value in enumerate(values):
            label = f"{kind}-{place}.jsonl"
            line = plain_line(event_type, label, **{name: value})
            plain = [plain_line(event_type, f"{label}-{at}") for at in range(2)]
            (storage.landing / label).write_bytes(b"\n".join([plain[0], line, plain[1]]))
            changed[label] = line, name
        (storage.landing / f"{kind}.jsonl").write_bytes(plain_line(event_type, kind))
    report = ingest(storage, now=NOW)
    rows = {row["event_id"]: row for row in lake_rows(storage)}
    for file in report.files:
        if file.path in changed:
            line, name = changed[file.path]
            reason, event = reference(line)
            assert dict(file.rejects) == ({reason: 1} if reason else {}), line
            assert reason or rows[file.path][name] == event[name], line
            assert not reason or file.path in looked_at
        else:
            assert file.path not in looked_at


@pytest.mark.slow
@pytest.mark.parametrize("alone", [True, False])
def test_a_wrong_value_is_seen_whatever_other_row_groups_hold(
    storage: Storage, monkeypatch: pytest.MonkeyPatch, alone: bool
) -> None:
    """A row group in which nobody has a property has no least and no greatest value of it; nor has one with a NaN."""
    monkeypatch.setattr(load, "BATCH_BYTES", 1)
    monkeypatch.setattr(load, "COPY_OPTIONS", f"{load.COPY_OPTIONS}, row_group_size 2048")
    wrong = [
        ("number", -1),
        ("number", 1e400),
        ("number", math.nan),
        ("signed", math.nan),
        ("rating", 6),
        ("count", -1),
    ]
    wrong += [("fraction", 1.5), ("fraction", math.nan), ("money", -1), ("string", "")]
    lines = {}
    for place, (kind, value) in enumerate(wrong):
        (source, event_type), name = first_with(kind, lacking=kind != "string")
        others = [other for other, rules in RULES["sources"][source].items() if name not in rules]
        if kind == "string":
            # An envelope's text that few events have.
            others, name = [event_type], "agent_id"
        line = plain_line((source, event_type), f"wrong-{place}", **{name: value})
        kept = plain_line((source, event_type), "kept", **({"agent_id": "a"} if kind == "string" else {}))
        without = plain_line((source, others[0]), "without")
        group = [line] + [
            (without if alone else kept).replace(b'"event_id":"', b'"event_id":"%d-' % n) for n in range(2047)
        ]
        tail = [without.replace(b'"event_id":"', b'"event_id":"tail-%d-' % n) for n in range(2048)]
        for label, order in (("first", [*group, *tail]), ("last", [*tail, *group])):
            (storage.landing / f"{place}-{label}.jsonl").write_bytes(b"\n".join(order))
        lines[f"{place}"] = line
    for file in ingest(storage, now=NOW).files:
        reason, _ = reference(lines[file.path.partition("-")[0]])
        assert reason and dict(file.rejects) == {reason: 1}, (file.path, lines[file.path.partition("-")[0]])


@pytest.mark.slow
def test_plain_refused_and_odd_files_in_one_load(storage: Storage) -> None:
    rng = random.Random(5)
    files = {
        "1-plain": [plain_event(rng, number) for number in range(300)],
        "2-refused": [plain_event(rng, 1000), b"[", b"nonsense", plain_event(rng, 1001)],
        "3-odd": [tricky(rng, 2000 + number) for number in range(300)],
        "4-plain": [plain_event(rng, number) for number in range(200, 500)],
        "5-repeated": [plain_event(rng, 5000)[:-1] + b',"event_id":"again"}'],
        "6-anything": [fuzzed(rng, 6000 + number) for number in range(300)],
    }
    for name, lines in files.items():
        (storage.landing / f"{name}.jsonl").write_bytes(b"\n".join(lines) + b"\n\n")
    report = ingest(storage, now=NOW)
    seen: set[tuple[str, str]] = set()
    order: dict[str, list[str]] = {}
    for (_, lines), file in zip(files.items(), report.files, strict=True):
        verdicts = [reference(line) for line in lines]
        keys = [(event["source"], event["event_id"]) for reason, event in verdicts if reason is None]
        fresh = [key for index, key in enumerate(keys) if key not in seen and key not in keys[:index]]
        seen |= set(fresh)
        for source, event_id in fresh:
            order.setdefault(source, []).append(event_id)
        assert (file.lines, file.accepted, file.duplicates) == (len(lines), len(fresh), len(keys) - len(fresh))
        assert sum(file.rejects.values()) == file.rejected == len(lines) - len(keys)
    for source, event_ids in order.items():
        assert [row["event_id"] for row in lake_rows(storage) if row["source"] == source] == event_ids
