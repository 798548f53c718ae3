"""The contract's rules as SQL: values as they stand in JSON in, typed values and the first reason to reject out.

A field passes through these columns. `_j_<name>`: its raw JSON, NULL when missing or JSON null; only lines that are
judged exactly have it. `_r_<name>`: a text's characters where the type is a text, else the raw JSON. `_u_<name>`: what
numbers and timestamps are read as. `<name>`: what the lake stores, NULL when the value isn't valid. Columns of ours
begin with `_`, which no name in a contract does.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from agent_analytics.contract import Contract, Field

MALFORMED = "malformed_json"
EXACT_IN_DOUBLE = 9007199254740992
# What most producers write, and what DuckDB's cast reads just so.
PLAIN_TIMESTAMP = (
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,6})?"
    r"(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
)
# RFC 3339, upper-cased: date, T, time without leap seconds, fraction, Z or an offset.
RFC3339 = PLAIN_TIMESTAMP.replace("{1,6}", "+")
# DuckDB's parser takes these literals for numbers; they may hide where no field is looked at.
LAX_LITERAL = r"(?i)[:,=\[ ]-?(nan|inf|infinity)[,}\] ]"


def text(value: str) -> str:
    """A SQL string literal."""
    return "'" + value.replace("'", "''") + "'"


def name(value: str) -> str:
    """A SQL identifier."""
    return '"' + value.replace('"', '""') + '"'


def texts(values: Iterable[str]) -> str:
    """A SQL list of string literals, without its brackets."""
    return ", ".join(text(value) for value in values)


def path(value: Path | str) -> str:
    """A file's path as a SQL string literal, for table functions: nothing in it is a pattern."""
    return text(re.sub(r"[\[*?]", r"[\g<0>]", str(value)))


def read_parquet(paths: Iterable[Path | str], options: str = "") -> str:
    """SQL for the rows of Parquet files; what folders are called is no column. `options` begins with a comma."""
    return f"read_parquet([{', '.join(map(path, paths))}], hive_partitioning = false{options})"


def json_of(field: Field) -> str:
    return name("_j_" + field.name)


def raw(field: Field) -> str:
    return name("_r_" + field.name)


def understood(field: Field) -> str:
    return name("_u_" + field.name)


def column(field: Field) -> str:
    return name(field.name)


def is_text(field: Field) -> bool:
    return is_string(field) or field.type == "timestamp"


def is_string(field: Field) -> bool:
    return field.type in ("string", "enumeration")


def json_type(field: Field) -> str:
    """The type that DuckDB reads a field as: texts come without quotes and escapes, all else stays as written."""
    return "VARCHAR" if is_text(field) else "JSON"


def unquote(field: Field) -> str:
    """`_r_<name>` of `_j_<name>`."""
    j = json_of(field)
    if not is_text(field):
        return j
    # Few strings hold an escape; the others needn't be parsed once more.
    string = f"case when contains({j}, '\\') then {j}::json->>'$' else substring({j}, 2, length({j}) - 2) end"
    return f"case when starts_with({j}, '\"') then {string} end"


def understand(field: Field) -> str:
    """`_u_<name>` of `_r_<name>`."""
    r = raw(field)
    if field.type == "timestamp":
        return (
            f"case when regexp_full_match({r}, {text(PLAIN_TIMESTAMP)}) "
            f"then make_timestamp(epoch_us(try_cast({r} as timestamptz))) "
            f"when regexp_full_match(upper({r}), {text(RFC3339)}) then make_timestamp(epoch_us(try_cast("
            f"regexp_replace(upper({r}), '(\\.[0-9]{{6}})[0-9]+', '\\1') as timestamptz))) end"
        )
    return "null" if field.type in ("string", "enumeration", "object", "bool") else f"try_cast({r} as double)"


def valid(field: Field) -> str:
    """Whether a value is of the field's type; NULL, or no, when it isn't there or not even understood.

    Which values an enumeration has depends on the event type: see `_faults`.
    """
    r, u = raw(field), understood(field)
    rules = {
        "string": f"length({r}) between 1 and {field.max_length}",
        "object": f"starts_with({r}, '{{')",
        "bool": f"{r} in ('true', 'false')",
        "timestamp": f"{u} between timestamp '0001-01-01' and timestamp '9999-12-31 23:59:59.999999'",
        "count": f"{u} >= 0 and {u} = floor({u}) and {value(field)} >= 0",
        "rating": f"{u} between 1 and 5 and {u} = floor({u})",
        "number": f"{u} >= 0 and isfinite({u})",
        "signed": f"isfinite({u})",
        "fraction": f"{u} between 0 and 1",
        "money": f"{u} >= 0 and {u} < 1000000000000",
    }
    return rules["string" if field.type == "enumeration" else field.type]


def value(field: Field) -> str:
    """`<name>`, of a valid value."""
    r, u = raw(field), understood(field)
    if field.type == "count":
        # The rare case first: DuckDB evaluates the other in one go where no row is of the first.
        exact = f"contains({r}, '.') or contains({r}, 'e') or contains({r}, 'E')"
        return (
            f"case when {u} >= {EXACT_IN_DOUBLE} and not ({exact}) then try_cast({r} as bigint) "
            f"else try_cast({u} as bigint) end"
        )
    if field.type == "money":
        # From the text, not the double: 0.0000005 is a half exactly and rounds up.
        return f"try_cast({r} as decimal(18, 6))"
    if field.type == "bool":
        return f"case {r} when 'true' then true when 'false' then false end"
    if field.type == "rating":
        return f"try_cast({u} as integer)"
    if field.type in ("number", "signed", "fraction"):
        # Adding nought turns -0.0 into 0.0, which sorts and groups as one value everywhere.
        return f"{u} + 0.0"
    return u if field.type == "timestamp" else r


def typed(fields: Iterable[Field], rows: str) -> str:
    """SQL: `rows`, which have `_r_<name>` of each field, with `_u_<name>` and `<name>` too."""
    fields = list(fields)
    understanding = ", ".join(f"{understand(field)} as {understood(field)}" for field in fields)
    values = ", ".join(f"{value(field)} as {column(field)}" for field in fields)
    return f"(select *, {values} from (select *, {understanding} from {rows}))"


# Plain lines


def event_number(contract: Contract, source: str) -> str:
    """SQL: the place of a row's event type among the source's, NULL for another: `_event`, which `plain` compares."""
    whens = " ".join(f"when {text(event)} then {at}" for at, event in enumerate(contract.sources[source]))
    return f"(case event_type {whens} end)::utinyint"


def plain(contract: Contract, source: str) -> str:
    """SQL: whether a typed row has valid values only, all that it must have, and nothing that isn't declared.

    For speed it is no for some valid ones too that few producers write, and lets pass what the statistics of a written
    file tell: values that are stored as NULL, and what `is_beyond` finds. Each condition is put to all rows at once;
    put to the rows of an event type they would be fewer, but dearer.
    """
    events = contract.sources[source]
    needed = contract.requires.get(source, ())
    envelope = contract.stored_envelope
    checks = ["_event is not null", "starts_with(_r_properties, '{')"]
    checks += [f"{column(field)} is not null" for field in envelope if field.required or field.name in needed]
    checks += _plain_values([*envelope, *contract.source_properties(source)])
    for field in contract.source_properties(source):
        uses = {at: found for at, fields in enumerate(events.values()) for found in fields if found.name == field.name}
        must = _among([at for at, found in uses.items() if found.required], events)
        may = _among(uses, events)
        if must == may:
            checks.append(f"({column(field)} is not null) = ({must})")
        else:
            checks += [f"({column(field)} is null or {may})", f"({column(field)} is not null or not {must})"]
    faults: dict[str, list[int]] = {}
    for at, fields in enumerate(events.values()):
        for fault in (fault for field in fields for fault in _faults(field, fields)):
            faults.setdefault(fault, []).append(at)
    checks += [f"not ({_among(places, events)} and {fault})" for fault, places in faults.items()]
    return f"({' and '.join(checks)}) is not false"


def _plain_values(fields: Iterable[Field]) -> Iterator[str]:
    """SQL: conditions that hold of plain values, or are NULL where there is none."""
    by_length: dict[int, list[str]] = {}
    for field in fields:
        r, u = raw(field), understood(field)
        if is_string(field):
            # Bytes are counted faster than characters, and aren't fewer.
            by_length.setdefault(field.max_length, []).append(f"strlen({r})")
        elif field.type in ("count", "rating"):
            yield f"{u} = floor({u})"
        elif field.type == "money":
            # It may be rounded to nought.
            yield f"not starts_with({r}, '-')"
        elif field.type == "object":
            yield valid(field)
    for longest, lengths in by_length.items():
        yield f"greatest({', '.join(lengths)}) <= {longest}"


def _limits(field: Field, latest: datetime) -> tuple[str, str] | None:
    """The least and the greatest plain value, None for a type that isn't a number or a timestamp."""
    greatest = repr(sys.float_info.max)
    limits = {
        "count": ("0", str(2**63 - 1)),
        "rating": ("1", "5"),
        "number": ("0", greatest),
        "signed": ("-" + greatest, greatest),
        "fraction": ("0", "1"),
        "money": ("0", "999999999999"),
        "timestamp": ("0001-01-01", str(latest if field.name == "occurred_at" else datetime.max)),
    }
    return limits.get(field.type)


def is_beyond(contract: Contract, source: str, latest: datetime) -> str:
    """SQL: whether a text of a row is empty, or NULL, or a value beyond its limits."""
    fields = (*contract.stored_envelope, *contract.source_properties(source))
    checks = [f"least({', '.join(column(field) for field in fields if is_string(field))}) = ''"]
    for field in fields:
        if limits := _limits(field, latest):
            least, most = (f"timestamp {text(limit)}" if field.type == "timestamp" else limit for limit in limits)
            checks.append(f"{column(field)} not between {least} and {most}")
    return " or ".join(checks)


def reaches_beyond(field: Field, least: str | None, greatest: str | None, latest: datetime) -> bool:
    """`is_beyond`, of a field's values in a row group that has some, by what Parquet's statistics tell of them.

    What they don't tell is beyond: they say nothing of values that are not a number, or infinite.
    """
    limits = _limits(field, latest)
    if is_string(field):
        return not least
    if limits is None:
        return False
    if least is None or greatest is None:
        return True
    read: Callable[[str], Any] = datetime.fromisoformat if field.type == "timestamp" else float
    try:
        return not (read(limits[0]) <= read(least) and read(greatest) <= read(limits[1]))
    except ValueError:
        # A year that Python doesn't know.
        return True


def _among(places: Iterable[int], events: Iterable[str]) -> str:
    """SQL: whether a row's event type is one of these."""
    places = list(places)
    if len(places) == len(list(events)):
        return "true"
    return f"_event in ({', '.join(map(str, places))})" if places else "false"


def _faults(field: Field, fields: tuple[Field, ...]) -> list[str]:
    """What a value of the right type may still be wrong by."""
    if field.type == "enumeration":
        return [f"{column(field)} not in ({texts(field.values)})"]
    if field.name == "tokens_cached" and any(other.name == "tokens_in" for other in fields):
        return [f"{column(field)} > tokens_in"]
    return []


def counts(contract: Contract, source: str) -> tuple[str, str, str]:
    """SQL for how many members a plain row has in JSON, how many of them are texts, and how many commas."""

    def present(fields: Iterable[Field]) -> str:
        chosen = list(fields)
        optional = [f"({column(field)} is not null)::utinyint" for field in chosen if not field.required]
        return " + ".join([str(sum(field.required for field in chosen)), *optional])

    def by_event(texts_only: bool) -> str:
        cases = [
            f"when {text(event)} then {present(field for field in fields if is_text(field) or not texts_only)}"
            for event, fields in contract.sources[source].items()
        ]
        return f"case event_type {' '.join(cases)} end"

    envelope, properties = present(contract.envelope), by_event(False)
    return (
        f"{envelope} + {properties}",
        f"{present(filter(is_text, contract.envelope))} + {by_event(True)}",
        f"{envelope} + {properties} - 1 - ({properties} > 0)::utinyint",
    )


# Lines that are judged exactly


def envelope_reason(contract: Contract, latest: datetime) -> str:
    """SQL: the first reason that the envelope gives, NULL for none.

    `latest` is the last allowed occurred_at, in UTC without a time zone.
    """
    whens = [f"when _repeats or not _is_object then '{MALFORMED}'"]
    for field in contract.envelope:
        needing = [source for source, fields in contract.requires.items() if field.name in fields]
        if field.required:
            whens.append(f"when {json_of(field)} is null then {text('missing:' + field.name)}")
        elif needing:
            whens.append(
                f"when {json_of(field)} is null and source in ({texts(needing)}) then {text('missing:' + field.name)}"
            )
        whens.append(_invalid(field))
    whens.append(f"when source not in ({texts(contract.sources)}) then 'unknown_source'")
    known = " ".join(
        f"when {text(source)} then event_type in ({texts(events)})" for source, events in contract.sources.items()
    )
    whens.append(f"when not (case source {known} end) then 'unknown_event_type'")
    whens.append(f"when occurred_at > timestamp {text(str(latest))} then 'future:occurred_at'")
    return "case " + " ".join(whens) + " end"


def property_reason(contract: Contract, source: str) -> str:
    """SQL: the first reason that the properties give, NULL for none."""
    cases = []
    for event, fields in contract.sources[source].items():
        whens = [when for field in fields for when in _property_whens(field, fields)]
        if whens:
            cases.append(f"when {text(event)} then case {' '.join(whens)} end")
    checks = f"case event_type {' '.join(cases)} end" if cases else "null"
    return f"case when _repeats then '{MALFORMED}' else {checks} end"


def _property_whens(field: Field, fields: tuple[Field, ...]) -> list[str]:
    missing = [f"when {json_of(field)} is null then {text('missing:' + field.name)}"] if field.required else []
    return [*missing, _invalid(field, *_faults(field, fields))]


def _invalid(field: Field, *faults: str) -> str:
    wrong = " or ".join([f"({json_of(field)} is not null and ({valid(field)}) is not true)", *faults])
    return f"when {wrong} then {text('invalid:' + field.name)}"


def structure(fields: Iterable[Field], exact: bool = False) -> str:
    """The structure that json_transform reads fields with; `exact`: all of them as raw JSON."""
    return text(json.dumps({field.name: "JSON" if exact else json_type(field) for field in fields}))


def properties_present(contract: Contract, source: str) -> str:
    """SQL: how many of the declared properties of its event type an event has."""
    cases = []
    for event, fields in contract.sources[source].items():
        if fields:
            total = " + ".join(f"({json_of(field)} is not null)::integer" for field in fields)
            cases.append(f"when {text(event)} then {total}")
    return f"case event_type {' '.join(cases)} else 0 end" if cases else "0"


def properties_undeclared(contract: Contract, source: str) -> str:
    """SQL: the names in `_keys` that the event type doesn't declare."""
    cases = []
    for event, fields in contract.sources[source].items():
        if fields:
            names = texts(field.name for field in fields)
            cases.append(f"when {text(event)} then list_filter(_keys, lambda k: k not in ({names}))")
    return f"case event_type {' '.join(cases)} else _keys end" if cases else "_keys"


def properties_declared(contract: Contract, source: str) -> str:
    """SQL: the properties in `_parts` as JSON text, without what the event type doesn't declare."""
    cases = []
    for event, fields in contract.sources[source].items():
        if fields:
            members = ", ".join(f"{text(field.name)}, _parts.{column(field)}" for field in fields)
            cases.append(f"when {text(event)} then json_object({members})::varchar")
    return f"case event_type {' '.join(cases)} else '{{}}' end" if cases else "'{}'"
