"""What a single line is: the strict verdict on its JSON, and its text with user_id made unreadable.

Only lines that the set-based path rejects or suspects come here; the others never pass through Python.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any

MALFORMED = "malformed_json"
NOT_AN_OBJECT = "not_an_object"
USER_ID_TEXT = re.compile(r'(?<!\\)("user_id"\s*:\s*)("(?:[^"\\]|\\.)*"?|[^\s,}\]"\[{][^,}\]]*)', re.DOTALL)
JSON_SPACE = re.compile(r"[ \t\n\r]*")
TOKEN = re.compile(
    r'[ \t\n\r]*(?:(?P<mark>[{}\[\],:])|(?P<text>"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*")'
    r"|(?P<scalar>-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null))"
)
LONE_SURROGATE = re.compile("[\ud800-\udfff]")


class _Members(list[tuple[str, Any]]):
    """An object's members as written, names repeated or not."""


def _no_literal(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


# Numbers stay text: their size is a field's question, and Python's limit on long integers is none of JSON's.
_DECODER = json.JSONDecoder(
    object_pairs_hook=_Members, parse_constant=_no_literal, parse_int=str.__str__, parse_float=str.__str__
)


@dataclass(frozen=True)
class QuarantinedText:
    """A rejected line as it may be kept. `raw` holds the bytes when they aren't valid UTF-8."""

    text: str
    raw: bytes | None
    user_id_hashed: bool


def judge(line: bytes) -> str | None:
    """The strict verdict (RFC 8259, UTF-8) on a line: malformed_json, not_an_object, or None for a JSON object.

    Names that stand twice in the event or in its properties, and escapes of half a surrogate pair, are malformed too:
    readers would disagree about what such a line says.
    """
    try:
        text = line.decode("utf-8")
        value = _DECODER.decode(text)
    except ValueError:
        return MALFORMED
    except RecursionError:
        return _judge_deep(text)
    if _has_lone_surrogate(text, value):
        return MALFORMED
    if not isinstance(value, _Members):
        return NOT_AN_OBJECT
    if _repeats(value) or any(_repeats(item) for name, item in value if name == "properties"):
        return MALFORMED
    return None


def _judge_deep(text: str) -> str | None:
    """The verdict on a line nested too deep for Python's parser, token by token; names aren't compared."""
    open_brackets: list[str] = []
    at, state = 0, "value"
    while True:
        found = TOKEN.match(text, at)
        if found is None or found.lastgroup is None:
            whole = state == "end" and JSON_SPACE.fullmatch(text, at)
            return MALFORMED if not whole else None if text.lstrip(" \t\r").startswith("{") else NOT_AN_OBJECT
        at, token = found.end(), found.group(found.lastgroup)
        kind = token if found.lastgroup == "mark" else found.lastgroup
        if (
            kind in "}]"
            and open_brackets
            and (open_brackets[-1] + kind) in ("{}", "[]")
            and state in ("value]", "name}", "more")
        ):
            open_brackets.pop()
            state = "more" if open_brackets else "end"
        elif kind in "{[" and state.startswith("value"):
            open_brackets.append(kind)
            state = "name}" if kind == "{" else "value]"
        elif kind in ("text", "scalar") and state.startswith("value"):
            state = "more" if open_brackets else "end"
        elif kind == "text" and state.startswith("name"):
            state = "colon"
        elif kind == ":" and state == "colon":
            state = "value"
        elif kind == "," and state == "more":
            state = "name" if open_brackets[-1] == "{" else "value"
        else:
            return MALFORMED


def _repeats(value: Any) -> bool:
    return isinstance(value, _Members) and len({name for name, _ in value}) < len(value)


def _has_lone_surrogate(text: str, value: Any) -> bool:
    if "\\ud" not in text and "\\uD" not in text:
        return False
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, str):
            if LONE_SURROGATE.search(item):
                return True
        elif isinstance(item, tuple | list):
            pending.extend(item)
    return False


def quarantined(line: bytes, keyed_hash: Callable[[str], str], already_hashed: bool, longest: int) -> QuarantinedText:
    """The line as the quarantine keeps it: each user_id replaced by its keyed hash, as well as the line allows.

    A valid user_id becomes its hash, so that a replay can take it as it is. One that isn't a string becomes
    `{"hash": ...}`, so that it stays invalid. `already_hashed` says that the line comes from the quarantine.
    """
    try:
        text, valid = line.decode("utf-8"), True
    except UnicodeDecodeError:
        text, valid = line.decode("latin-1"), False
    masked = text if already_hashed else mask_user_ids(text, keyed_hash, longest)
    raw = None if valid else masked.encode("latin-1")
    shown = masked if valid else masked.encode("latin-1").decode("utf-8", "replace")
    return QuarantinedText(shown, raw, already_hashed or masked != text)


def mask_user_ids(text: str, keyed_hash: Callable[[str], str], longest: int) -> str:
    """Replace the value of every member named user_id; a line that can't be parsed is searched as text.

    `longest` is how many characters a valid user_id has at most.
    """

    def search(piece: str) -> str:
        return USER_ID_TEXT.sub(lambda found: found[1] + _mask(found[2], keyed_hash, longest), piece)

    span = _user_id_span(text)
    if span is None:
        return search(text)
    start, end = span
    return search(text[:start]) + _mask(text[start:end], keyed_hash, longest) + search(text[end:])


def _mask(value: str, keyed_hash: Callable[[str], str], longest: int) -> str:
    if value == "null":
        return value
    if not value.startswith('"'):
        return '{"hash": "' + keyed_hash(value) + '"}'
    try:
        plain = scanstring(value, 1)[0]
    except ValueError:
        return '"' + keyed_hash(value.strip('"')) + ('"' if value.endswith('"') else "")
    if not 1 <= len(plain) <= longest:
        return '{"hash": "' + keyed_hash(plain) + '"}'
    return '"' + keyed_hash(plain) + '"'


def _user_id_span(text: str) -> tuple[int, int] | None:
    """Where the value of the event's own user_id stands, whatever escapes its name is written with."""
    try:
        at = JSON_SPACE.match(text, 0).end()  # type: ignore[union-attr]
        if text[at] != "{":
            return None
        while True:
            at = JSON_SPACE.match(text, at + 1).end()  # type: ignore[union-attr]
            if text[at] != '"':
                return None
            name, at = scanstring(text, at + 1)
            at = JSON_SPACE.match(text, at).end()  # type: ignore[union-attr]
            if text[at] != ":":
                return None
            start = JSON_SPACE.match(text, at + 1).end()  # type: ignore[union-attr]
            _, end = _DECODER.raw_decode(text, start)
            if name == "user_id":
                return start, end
            at = JSON_SPACE.match(text, end).end()  # type: ignore[union-attr]
            if text[at] != ",":
                return None
    except (ValueError, IndexError, RecursionError):
        return None
