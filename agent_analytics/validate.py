"""The contract's rules as SQL: raw JSON values in, typed values and the first reason to reject out.

Every field passes through three expressions: `_r_<name>` the raw JSON text (NULL when missing or JSON null),
`_u_<name>` what its type makes of the text (an unquoted string, a double, a timestamp), and the value that the lake
stores. Columns of ours begin with `_`, which no name in a contract does.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from agent_analytics.contract import Contract, Field

MALFORMED = "malformed_json"
EXACT_IN_DOUBLE = 9007199254740992
# RFC 3339, upper-cased: date, T, time without leap seconds, fraction, Z or an offset.
RFC3339 = (
    r'"[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]+)?'
    r'(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"'
)
LONGEST_PLAIN_TIMESTAMP = len('"2026-01-01T00:00:00.123456+00:00"')
# What most producers write, and what DuckDB's cast reads just so.
PLAIN_TIMESTAMP = (
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,6})?"
    r"(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
)
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


def raw(field: Field) -> str:
    return name("_r_" + field.name)


def understood(field: Field) -> str:
    return name("_u_" + field.name)


def understand(field: Field) -> str:
    """What the type makes of the raw text: NULL when it can't be of the type."""
    r = raw(field)
    if field.type in ("string", "enumeration"):
        # Few strings hold an escape; the others needn't be parsed once more.
        plain = f"substring({r}, 2, length({r}) - 2)"
        string = f"case when contains({r}, '\\') then {r}::json->>'$' else {plain} end"
        return f"case when starts_with({r}, '\"') then {string} end"
    if field.type in ("object", "bool"):
        return "null"
    if field.type == "timestamp":
        return (
            f"case when regexp_full_match(upper({r}), {text(RFC3339)}) then make_timestamp(epoch_us(try_cast("
            f"case when length({r}) > {LONGEST_PLAIN_TIMESTAMP} "
            f"then regexp_replace(upper({r}[2:-2]), '(\\.[0-9]{{6}})[0-9]+', '\\1') else upper({r}[2:-2]) end "
            f"as timestamptz))) end"
        )
    return f"try_cast({r} as double)"


def valid(field: Field) -> str:
    """Whether a value that is present is of the field's type; NULL counts as no."""
    r, u = raw(field), understood(field)
    if field.type == "enumeration":
        return f"{u} in ({texts(field.values)})"
    if field.type == "string":
        return f"length({u}) between 1 and {field.max_length}"
    rules = {
        "object": f"starts_with({r}, '{{')",
        "bool": f"{r} in ('true', 'false')",
        "timestamp": f"{u} between timestamp '0001-01-01' and timestamp '9999-12-31 23:59:59.999999'",
        "count": f"{u} >= 0 and {u} = floor({u}) and {_whole(field)} is not null",
        "rating": f"{u} between 1 and 5 and {u} = floor({u})",
        "number": f"{u} >= 0 and isfinite({u})",
        "signed": f"isfinite({u})",
        "fraction": f"{u} between 0 and 1",
        "money": f"{u} >= 0 and {u} < 1000000000000",
    }
    return rules[field.type]


def _whole(field: Field) -> str:
    r, u = raw(field), understood(field)
    return (
        f"case when {u} < {EXACT_IN_DOUBLE} or contains({r}, '.') or contains({r}, 'e') or contains({r}, 'E') "
        f"then try_cast({u} as bigint) else try_cast({r} as bigint) end"
    )


def value(field: Field) -> str:
    """What the lake stores of a valid value."""
    r, u = raw(field), understood(field)
    if field.type == "count":
        return _whole(field)
    if field.type == "money":
        # From the text, not the double: 0.0000005 is a half exactly and rounds up.
        return f"try_cast({r} as decimal(18, 6))"
    if field.type == "bool":
        return f"{r} = 'true'"
    if field.type == "rating":
        return f"try_cast({u} as integer)"
    if field.type in ("number", "signed", "fraction"):
        # Adding nought turns -0.0 into 0.0, which sorts and groups as one value everywhere.
        return f"{u} + 0.0"
    return r if field.type == "object" else u


def envelope_reason(contract: Contract, latest: str) -> str:
    """SQL: the first reason that the envelope gives, NULL for none.

    `latest` is the last allowed occurred_at, as SQL.
    """
    whens = [f"when not _is_object then '{MALFORMED}'"]
    for field in contract.envelope:
        needing = [source for source, fields in contract.requires.items() if field.name in fields]
        if field.required:
            whens.append(f"when {raw(field)} is null then {text('missing:' + field.name)}")
        elif needing:
            whens.append(
                f"when {raw(field)} is null and _u_source in ({texts(needing)}) then {text('missing:' + field.name)}"
            )
        present = "" if field.required else f"{raw(field)} is not null and "
        whens.append(f"when {present}({valid(field)}) is not true then {text('invalid:' + field.name)}")
    whens.append(f"when _u_source not in ({texts(contract.sources)}) then 'unknown_source'")
    known = " ".join(
        f"when {text(source)} then _u_event_type in ({texts(events)})" for source, events in contract.sources.items()
    )
    whens.append(f"when not (case _u_source {known} end) then 'unknown_event_type'")
    whens.append(f"when _u_occurred_at > {latest} then 'future:occurred_at'")
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
    whens = []
    present = f"{raw(field)} is not null and "
    if field.required:
        whens.append(f"when {raw(field)} is null then {text('missing:' + field.name)}")
        present = ""
    invalid = text("invalid:" + field.name)
    whens.append(f"when {present}({valid(field)}) is not true then {invalid}")
    tokens_in = next((other for other in fields if other.name == "tokens_in"), None)
    if field.name == "tokens_cached" and tokens_in:
        whens.append(f"when {value(field)} > {value(tokens_in)} then {invalid}")
    return whens


def property_value(contract: Contract, source: str, field: Field) -> str:
    """SQL: the lake's value of a property, NULL in events that don't declare it."""
    events = contract.sources[source]
    declaring = [event for event, fields in events.items() if any(other.name == field.name for other in fields)]
    stored = f"({value(field)})::{field.lake_type}"
    if len(declaring) == len(events):
        return stored
    return f"case when event_type in ({texts(declaring)}) then {stored} end"


# Plain rows: strings and timestamps are read as text, whatever they were in JSON, the rest as raw JSON. `_r_<name>` is
# that column.


def _is_text(field: Field) -> bool:
    return field.type in ("string", "enumeration", "timestamp")


def plain_type(field: Field) -> str:
    """The type that the JSON reader gives a field of a plain row."""
    return "VARCHAR" if _is_text(field) else "JSON"


def plain_understand(field: Field) -> str:
    """What `understand` makes of a valid value; NULL also for valid ones that few producers write."""
    r = raw(field)
    if field.type in ("string", "enumeration"):
        return r
    if field.type == "timestamp":
        return (
            f"case when regexp_full_match({r}, {text(PLAIN_TIMESTAMP)}) "
            f"then make_timestamp(epoch_us(try_cast({r} as timestamptz))) end"
        )
    return understand(field)


def _plain(field: Field) -> str:
    """Whether a value is valid, provided that a text was a text in JSON."""
    u = understood(field)
    if field.type == "string":
        return f"strlen({u}) between 1 and {field.max_length}"
    if field.type == "count":
        return f"{u} between 0 and {EXACT_IN_DOUBLE - 1} and {u} = floor({u})"
    return valid(field)


def plain_value(field: Field) -> str:
    """The lake's value of a valid property."""
    if field.type == "count":
        return f"try_cast({understood(field)} as bigint)"
    return f"({value(field)})::{field.lake_type}"


def plain_row(contract: Contract, source: str, latest: str) -> str:
    """SQL: whether all fields that a row declares are valid, provided that its texts were texts in JSON."""
    needed = contract.requires.get(source, ())
    checks = [
        _plain(field) if field.required or field.name in needed else f"({raw(field)} is null or {_plain(field)})"
        for field in contract.envelope
    ]
    cases = []
    for event, fields in contract.sources[source].items():
        whens = [_plain(field) if field.required else f"({raw(field)} is null or {_plain(field)})" for field in fields]
        names = {field.name: field for field in fields}
        if "tokens_cached" in names and "tokens_in" in names:
            cached, tokens = understood(names["tokens_cached"]), understood(names["tokens_in"])
            whens.append(f"({cached} is null or {cached} <= {tokens})")
        cases.append(f"when {text(event)} then {' and '.join(whens) or 'true'}")
    checks += [f"_u_occurred_at <= {latest}", f"case _u_event_type {' '.join(cases)} else false end"]
    return f"coalesce({' and '.join(checks)}, false)"


def plain_counts(contract: Contract, source: str) -> tuple[str, str, str]:
    """SQL for how many declared members a plain row has, how many of them are texts, and how many are properties."""

    def present(fields: Iterable[Field]) -> str:
        chosen = list(fields)
        optional = [f"({raw(field)} is not null)::utinyint" for field in chosen if not field.required]
        return " + ".join([str(sum(field.required for field in chosen)), *optional])

    def by_event(texts_only: bool) -> str:
        cases = [
            f"when {text(event)} then {present(field for field in fields if _is_text(field) or not texts_only)}"
            for event, fields in contract.sources[source].items()
        ]
        return f"case _u_event_type {' '.join(cases)} else 0 end"

    texts_in_envelope = (field for field in contract.envelope if _is_text(field))
    return (
        f"{present(contract.envelope)} + {by_event(False)}",
        f"{present(texts_in_envelope)} + {by_event(True)}",
        by_event(False),
    )


def properties_structure(contract: Contract, source: str) -> str:
    """The structure that json_transform reads a source's properties with: every value stays JSON."""
    return text(json.dumps({field.name: "JSON" for field in contract.source_properties(source)}))


def properties_present(contract: Contract, source: str) -> str:
    """SQL: how many of the declared properties of its event type an event has."""
    cases = []
    for event, fields in contract.sources[source].items():
        if fields:
            total = " + ".join(f"({raw(field)} is not null)::integer" for field in fields)
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
