"""The event contract (contracts/events.yml) as checked objects: what may be sent, and what the lake keeps of it."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import yaml

from agent_analytics.errors import AnalyticsError
from agent_analytics.storage import PROJECT_ROOT

CONTRACT_PATH = PROJECT_ROOT / "contracts" / "events.yml"
# libyaml's where PyYAML was built with it: a tenth of the time.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# Of a keyed hash, in hexadecimal digits.
HASH_LENGTH = 64
# Folders of archive/ beside those of sources.
NO_SOURCES = ("landing", "marts")

LAKE_TYPES = {
    "string": "VARCHAR",
    "enumeration": "VARCHAR",
    "count": "BIGINT",
    "rating": "INTEGER",
    "number": "DOUBLE",
    "signed": "DOUBLE",
    "fraction": "DOUBLE",
    "money": "DECIMAL(18,6)",
    "bool": "BOOLEAN",
    "timestamp": "TIMESTAMP",
}
REFERENCE_TYPES = {"string", "count", "number", "money", "fraction", "bool", "date", "IANA name", "JSON text"}
STRING_MAX = 200
LOAD_ID = "load_id"
EVENT_HASH = "event_hash"
NEEDED_ENVELOPE = {
    "event_id": "string",
    "source": "string",
    "event_type": "string",
    "occurred_at": "timestamp",
    "tenant_id": "string",
    "user_id": "string",
    "properties": "object",
}
NAME = re.compile(r"[a-z][a-z0-9_]*")
EVENT_NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*")


@dataclass(frozen=True)
class Field:
    """One envelope field, property or reference column. `max_length` is in characters and holds for strings."""

    name: str
    type: str
    required: bool
    values: tuple[str, ...] = ()
    max_length: int = STRING_MAX

    @property
    def lake_type(self) -> str:
        """The DuckDB type that the lake stores it as."""
        return LAKE_TYPES[self.type]


@dataclass(frozen=True)
class Contract:
    """A contract that was found consistent by `load_contract`."""

    path: Path
    envelope: tuple[Field, ...]
    requires: dict[str, tuple[str, ...]]
    sources: dict[str, dict[str, tuple[Field, ...]]]
    types: dict[str, str]
    reference: dict[str, tuple[Field, ...]]

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of all that decides what is accepted and how it is stored.

        Prose and reference tables are left out.
        """
        matters = {
            "envelope": [_plain(field) for field in self.envelope],
            "requires": {source: sorted(fields) for source, fields in sorted(self.requires.items())},
            "sources": {
                source: {event: [_plain(field) for field in fields] for event, fields in events.items()}
                for source, events in self.sources.items()
            },
        }
        return hashlib.sha256(json.dumps(matters, ensure_ascii=True).encode()).hexdigest()

    @property
    def stored_envelope(self) -> tuple[Field, ...]:
        """The envelope fields that are lake columns.

        All but `source` (the folder) and `properties` (the columns after).
        """
        return tuple(field for field in self.envelope if field.name not in ("source", "properties"))

    def source_properties(self, source: str) -> tuple[Field, ...]:
        """The union of a source's properties, in the contract's order.

        `required` and limits are those of the first use.
        """
        union: dict[str, Field] = {}
        for fields in self.sources[source].values():
            for field in fields:
                union.setdefault(field.name, field)
        return tuple(union.values())

    def lake_columns(self, source: str) -> list[tuple[str, str]]:
        """The columns of lake/<source>/ as (name, DuckDB type), in file order."""
        columns = [(LOAD_ID, "BIGINT")]
        columns += [(field.name, field.lake_type) for field in self.stored_envelope]
        columns += [(field.name, field.lake_type) for field in self.source_properties(source)]
        return [*columns, (EVENT_HASH, "UBIGINT")]


def _plain(field: Field) -> list[Any]:
    return [field.name, field.type, field.required, list(field.values), field.max_length]


@cache
def _is_plain_name(name: str) -> bool:
    """Whether models may write the name as a column's without quotes."""
    try:
        duckdb.extract_statements(f"select cast({name} as varchar) as {name} from lake")
    except duckdb.Error:
        return False
    return True


class _Checker:
    """Turns the parsed YAML into a Contract; every complaint names the file and the place in it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def wrong(self, place: str, why: str) -> AnalyticsError:
        return AnalyticsError(f"{self.path}: {place}: {why}" if place else f"{self.path}: {why}")

    def mapping(self, value: Any, place: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self.wrong(place, "must be a mapping")
        for key in value:
            if not isinstance(key, str):
                raise self.wrong(place, f"the key {key!r} must be text; quote it")
        return value

    def name(self, name: str, place: str, pattern: re.Pattern[str] = NAME) -> str:
        if not pattern.fullmatch(name):
            raise self.wrong(
                place, f"the name {name!r} must be lower case letters, digits and _, beginning with a letter"
            )
        return name

    def enumeration(self, values: list[Any], place: str) -> tuple[str, ...]:
        if not values:
            raise self.wrong(place, "an enumeration needs at least one value")
        for value in values:
            if not isinstance(value, str) or not value or len(value) > STRING_MAX:
                raise self.wrong(
                    place, f"the enumeration's value {value!r} must be text of 1 to {STRING_MAX} characters; quote it"
                )
        if len(set(values)) < len(values):
            raise self.wrong(place, "an enumeration can't name a value twice")
        return tuple(values)

    def field(self, name: str, spec: Any, place: str, known: set[str]) -> Field:
        """A property or reference column: a type name, `optional <type>`, or a list of values."""
        self.name(name, place)
        if isinstance(spec, list):
            return Field(name, "enumeration", True, self.enumeration(spec, place))
        if not isinstance(spec, str):
            raise self.wrong(place, f"must be a type, 'optional <type>' or a list of values, not {spec!r}")
        optional = spec.startswith("optional ")
        kind = spec.removeprefix("optional ").strip()
        if kind.startswith("["):
            values = self.enumeration(yaml.safe_load(kind), place)
            return Field(name, "enumeration", not optional, values)
        if kind not in known:
            raise self.wrong(place, f"unknown type {kind!r}; the types are {', '.join(sorted(known))}")
        return Field(name, kind, not optional)

    def envelope(self, raw: Any) -> tuple[Field, ...]:
        fields = []
        for name, spec in self.mapping(raw, "envelope").items():
            place = f"envelope.{name}"
            self.name(name, place)
            spec = self.mapping(spec, place)
            for key in spec:
                if key not in ("type", "max", "required"):
                    raise self.wrong(place, f"unknown key {key!r}; the keys are type, max, required")
            kind, longest, required = spec.get("type"), spec.get("max", STRING_MAX), spec.get("required")
            allowed = NEEDED_ENVELOPE.get(name, "string")
            if kind != allowed:
                raise self.wrong(place, f"the type must be {allowed}, not {kind!r}")
            if not isinstance(required, bool):
                raise self.wrong(place, "required must be true or false")
            if isinstance(longest, bool) or not isinstance(longest, int) or longest < 1:
                raise self.wrong(place, f"max must be a whole number of characters, at least 1, not {longest!r}")
            if name == "user_id" and longest < HASH_LENGTH:
                raise self.wrong(
                    place, f"max must be at least {HASH_LENGTH}: a replay reads the hash, which is that long"
                )
            if name in (LOAD_ID, EVENT_HASH):
                raise self.wrong(place, "the name is taken by a column of the lake")
            fields.append(Field(name, kind, required, max_length=longest))
        for name in NEEDED_ENVELOPE:
            if name not in {field.name for field in fields}:
                raise self.wrong("envelope", f"the field {name} is needed")
        for field in fields:
            if NEEDED_ENVELOPE.get(field.name) and field.name != "user_id" and not field.required:
                raise self.wrong(f"envelope.{field.name}", "must be required")
        return tuple(fields)

    def requires(self, raw: Any, envelope: tuple[Field, ...], sources: dict[str, Any]) -> dict[str, tuple[str, ...]]:
        names = {field.name for field in envelope}
        requires = {}
        for source, fields in self.mapping(raw or {}, "requires").items():
            place = f"requires.{source}"
            if source not in sources:
                raise self.wrong(place, f"unknown source {source!r}")
            if not isinstance(fields, list):
                raise self.wrong(place, "must be a list of envelope fields")
            for field in fields:
                if field not in names:
                    raise self.wrong(place, f"unknown envelope field {field!r}")
            requires[source] = tuple(fields)
        return requires

    def sources(self, raw: Any, envelope: tuple[Field, ...]) -> dict[str, dict[str, tuple[Field, ...]]]:
        taken = {field.name for field in envelope} | {LOAD_ID, EVENT_HASH}
        known = set(LAKE_TYPES) - {"enumeration"}
        sources: dict[str, dict[str, tuple[Field, ...]]] = {}
        for source, events in self.mapping(raw, "sources").items():
            self.name(source, f"sources.{source}")
            if source in NO_SOURCES:
                raise self.wrong(f"sources.{source}", "the name is taken by a folder of the archive")
            seen: dict[str, tuple[str, str]] = {}
            sources[source] = {}
            for event, properties in self.mapping(events, f"sources.{source}").items():
                place = f"sources.{source}.{event}"
                self.name(event, place, EVENT_NAME)
                fields = []
                for name, spec in self.mapping(properties, place).items():
                    field = self.field(name, spec, f"{place}.{name}", known)
                    if not _is_plain_name(name):
                        raise self.wrong(f"{place}.{name}", f"the name {name!r} is a word of SQL's own")
                    if name in taken:
                        raise self.wrong(
                            f"{place}.{name}", f"the name {name!r} is an envelope field's or a lake column's"
                        )
                    kind = "string" if field.type == "enumeration" else field.type
                    before = seen.setdefault(name, (kind, event))
                    if before[0] != kind:
                        raise self.wrong(
                            f"{place}.{name}",
                            f"is {field.type} here but {before[0]} in {before[1]}: one type per name within a source",
                        )
                    fields.append(field)
                sources[source][event] = tuple(fields)
            if not sources[source]:
                raise self.wrong(f"sources.{source}", "needs at least one event")
        if not sources:
            raise self.wrong("sources", "needs at least one source")
        return sources

    def reference(self, raw: Any) -> dict[str, tuple[Field, ...]]:
        tables = {}
        for table, columns in self.mapping(raw or {}, "reference").items():
            self.name(table, f"reference.{table}")
            columns = self.mapping(columns, f"reference.{table}")
            tables[table] = tuple(
                self.field(name, spec, f"reference.{table}.{name}", REFERENCE_TYPES) for name, spec in columns.items()
            )
        return tables

    def types(self, raw: Any) -> dict[str, str]:
        types = self.mapping(raw, "types")
        wanted = set(LAKE_TYPES) - {"enumeration"}
        for name in types:
            if name not in wanted:
                raise self.wrong(f"types.{name}", f"unknown type; the types are {', '.join(sorted(wanted))}")
        for name in sorted(wanted - set(types)):
            raise self.wrong("types", f"the type {name} isn't described")
        return {name: str(text) for name, text in types.items()}


def _refuse_duplicate_keys(node: yaml.Node | None, checker: _Checker) -> None:
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            text = str(key.value)
            if text in seen:
                raise checker.wrong(f"line {key.start_mark.line + 1}", f"the key {text!r} stands twice in one mapping")
            seen.add(text)
            _refuse_duplicate_keys(value, checker)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_duplicate_keys(item, checker)


def _parse(path: Path, checker: _Checker) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise AnalyticsError(f"{path}: the contract can't be read: {problem}") from problem
    try:
        _refuse_duplicate_keys(yaml.compose(text, Loader=LOADER), checker)
        parsed = yaml.load(text, Loader=LOADER)
    except yaml.YAMLError as problem:
        mark = getattr(problem, "problem_mark", None)
        place = f"line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        why = getattr(problem, "problem", None) or str(problem).splitlines()[0]
        raise checker.wrong(place, f"not valid YAML: {why}") from problem
    return checker.mapping(parsed, "")


def load_contract(path: Path = CONTRACT_PATH) -> Contract:
    """Read and check the contract.

    Raises AnalyticsError, in one line naming the file and the place in it, when the contract is unreadable or
    contradicts itself.
    """
    checker = _Checker(path)
    raw = _parse(path, checker)
    known = {"version", "envelope", "requires", "sources", "types", "reference"}
    for key in raw:
        if key not in known:
            raise checker.wrong(key, f"unknown key; the keys are {', '.join(sorted(known))}")
    if raw.get("version") != 1:
        raise checker.wrong("version", f"must be 1, not {raw.get('version')!r}")
    for key in ("envelope", "sources", "types"):
        if key not in raw:
            raise checker.wrong(key, "is missing")
    envelope = checker.envelope(raw["envelope"])
    sources = checker.sources(raw["sources"], envelope)
    return Contract(
        path=path,
        envelope=envelope,
        requires=checker.requires(raw.get("requires"), envelope, sources),
        sources=sources,
        types=checker.types(raw["types"]),
        reference=checker.reference(raw.get("reference")),
    )


def _type_text(field: Field) -> str:
    text = " \\| ".join(f"`{value}`" for value in field.values) if field.values else field.type
    return text


def contract_markdown(contract: Contract) -> str:
    """docs/contract.md, generated: the contract as tables for people."""
    lines = [
        "# Event contract",
        "",
        "Generated from `contracts/events.yml` by `agent-analytics contract docs`; edit that file, not this one.",
        "",
        "## Envelope",
        "",
        "| field | type | required | longest |",
        "| --- | --- | --- | --- |",
    ]
    for field in contract.envelope:
        longest = f"{field.max_length} characters" if field.type == "string" else ""
        lines.append(f"| `{field.name}` | {field.type} | {'yes' if field.required else 'no'} | {longest} |")
    if contract.requires:
        lines += ["", "Some sources need more:", ""]
        for source, names in contract.requires.items():
            lines.append(f"- `{source}`: {', '.join(f'`{name}`' for name in names)}")
    lines += ["", "## Types", "", "| type | values | in the lake |", "| --- | --- | --- |"]
    lines += [f"| {name} | {text} | {LAKE_TYPES[name]} |" for name, text in contract.types.items()]
    lines += ["| enumeration | one of the values listed | VARCHAR |"]
    for source, events in contract.sources.items():
        lines += ["", f"## Source `{source}`", ""]
        for event, fields in events.items():
            lines += [f"### `{event}`", ""]
            if not fields:
                lines += ["No properties.", ""]
                continue
            lines += ["| property | type | required |", "| --- | --- | --- |"]
            lines += [
                f"| `{field.name}` | {_type_text(field)} | {'yes' if field.required else 'no'} |" for field in fields
            ]
            lines.append("")
        lines.pop()
    lines += ["", "## Reference tables", ""]
    for table, fields in contract.reference.items():
        lines += [f"### `{table}`", "", "| column | type | required |", "| --- | --- | --- |"]
        lines += [f"| `{field.name}` | {_type_text(field)} | {'yes' if field.required else 'no'} |" for field in fields]
        lines.append("")
    return "\n".join(lines).rstrip("\n") + "\n"
