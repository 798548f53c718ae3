"""What is published, for people: the marts with their freshness, and what their columns mean."""

from __future__ import annotations

import difflib
from typing import Any

from agent_analytics import versions
from agent_analytics.errors import AnalyticsError
from agent_analytics.storage import Storage

Entry = dict[str, Any]

SHOWN = (
    "family",
    "mart",
    "schema",
    "rows",
    "description",
    "newest_event_at",
    "as_of",
    "loaded_through",
    "published_at",
    "gate_status",
    "is_stale",
    "stale_since",
    "stale_why",
    "file",
)


def marts(storage: Storage) -> list[Entry]:
    """Every published mart: rows, watermarks, gate, staleness and description, by family and name."""
    entries = _entries(storage)
    shown = [{name: entry.get(name) for name in SHOWN} for entry in entries]
    return sorted(shown, key=lambda entry: (entry["family"], entry["mart"]))


def describe(storage: Storage, name: str) -> Entry:
    """One mart (`mart` or `schema.mart`) with its columns: name, type, description.

    Raises AnalyticsError, with the names that come near, when no such mart is published.
    """
    entries = {alias: entry for entry in _entries(storage) for alias in _names(entry)}
    entry = entries.get(name.strip().lower())
    if entry is None:
        near = difflib.get_close_matches(name.lower(), [alias for alias in entries if "." not in alias], 3)
        hint = f"did you mean {' or '.join(near)}?" if near else "agent-analytics marts lists them"
        raise AnalyticsError(f"there is no published mart {name}: {hint}")
    return {name: entry.get(name) for name in SHOWN} | {"columns": entry["fields"]}


def freshness(entry: Entry) -> str:
    """In a few words: whether a mart is the newest there is."""
    return f"stale since {_minute(entry['stale_since'])}" if entry["is_stale"] else "current"


def newest_event(entry: Entry) -> str:
    """The event watermark, to the minute (UTC)."""
    return _minute(entry["newest_event_at"] or entry["as_of"])


def headline(entry: Entry) -> str:
    """The description's first sentence."""
    text = " ".join((entry["description"] or "").split())
    end = text.find(". ")
    return text if end < 0 else text[: end + 1]


def _entries(storage: Storage) -> list[Entry]:
    return list(versions.read_manifest(versions.require_current(storage))["marts"])


def _names(entry: Entry) -> tuple[str, str]:
    return entry["mart"].lower(), f"{entry['schema']}.{entry['relation']}".lower()


def _minute(moment: str | None) -> str:
    return (moment or "")[:16].replace("T", " ")
