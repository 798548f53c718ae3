"""The goals as files of a published version, for readers without a database.

`goal_kpis.json` holds the goals as they stand; `goal_metrics.jsonl` one line for each version that was published, the
newest last: the lines of the version before and one more. Both are part of their version, so a version that is killed
before the switch leaves no line behind. Their schemas are in docs/schemas/.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from agent_analytics import durable, snapshot

Json = dict[str, Any]

MART = "goal_kpis"
CURRENT = "goal_kpis.json"
HISTORY = "goal_metrics.jsonl"


def write(connection: duckdb.DuckDBPyConnection, part: Path, before: Path | None, manifest: Json) -> None:
    """Write both files into a version that is being made, from its goal_kpis; nothing if it has no such mart.

    `before` is the folder of the version before, whose lines are carried over; `manifest` is that of the version.
    """
    entry = next((entry for entry in manifest["marts"] if entry["mart"] == MART), None)
    if entry is None:
        return
    mart = f"read_parquet({snapshot.literal(part / entry['file'])})"
    goals = [_plain(row) for row in snapshot.records(connection, f"{mart} order by family, goal")]
    durable.point(f"goals:{part.name}")
    text = json.dumps(current(goals, entry, manifest), indent=2, ensure_ascii=False, allow_nan=False)
    (part / CURRENT).write_text(text + "\n", encoding="utf-8")
    if before and (before / HISTORY).is_file():
        snapshot.copy_file(before / HISTORY, part / HISTORY)
    with (part / HISTORY).open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(line(goals, entry, manifest), ensure_ascii=False, allow_nan=False) + "\n")


def current(goals: Sequence[Json], entry: Json, manifest: Json) -> Json:
    """The goals as they stand. `entry` is the record of goal_kpis in the manifest: whether the whole of it is stale."""
    return {
        "version": manifest["version"],
        "published_at": manifest["published_at"],
        "as_of": entry["as_of"],
        "is_stale": entry["is_stale"],
        "stale_since": entry["stale_since"],
        "stale_why": entry["stale_why"],
        "goals": list(goals),
    }


def line(goals: Sequence[Json], entry: Json, manifest: Json) -> Json:
    """What is kept of a version: each goal's value, and which of them are broken or stale."""

    def named(column: str, value: Any) -> list[str]:
        return [goal["goal"] for goal in goals if goal[column] == value]

    return {
        "version": manifest["version"],
        "published_at": manifest["published_at"],
        "as_of": entry["as_of"],
        "values": {goal["goal"]: goal["value"] for goal in goals},
        "warning": named("status", "warning"),
        "critical": named("status", "critical"),
        "stale": [goal["goal"] for goal in goals] if entry["is_stale"] else named("is_stale", True),
    }


def _plain(row: Json) -> Json:
    return {name: _instant(value) if isinstance(value, datetime) else value for name, value in row.items()}


def _instant(moment: datetime) -> str:
    return moment.replace(tzinfo=UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
