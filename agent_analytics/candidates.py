"""The marts that passed beside those that are published: which are new to readers, and from which day on.

Nothing is read of a mart whose watermark says that it is the published one. Of the others a digest tells whether they
are; if they aren't, digests day by day tell which days may stay as they are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import duckdb

from agent_analytics import snapshot
from agent_analytics.errors import AnalyticsError
from agent_analytics.manifest import STALE_ROWS_BY, Family, Model, Project
from agent_analytics.verdicts import Verdict

Json = dict[str, Any]
Relation = tuple[str, str]

# Of a published mart: one of another format is written anew.
FORMAT = 3


@dataclass
class Candidate:
    """What publish decides from: all that the steps before left behind, and the version before."""

    project: Project
    build: Json
    tables: dict[Relation, snapshot.Table]
    watermarks: dict[str, Json]
    before: Json
    verdicts: dict[str, Verdict] = field(default_factory=dict)

    @property
    def published_before(self) -> dict[Relation, Json]:
        return {(entry["schema"], entry["relation"]): entry for entry in self.before.get("marts", ())}


@dataclass(frozen=True)
class Mart:
    """A mart of the next version. With a source it is written anew, or from the day `first` on if the days before are
    as in the version before; without, all of it is taken from there."""

    relation: Relation
    entry: Json
    key: tuple[str, ...] = ()
    source: str | None = None
    first: date | None = None
    columns: tuple[snapshot.Column, ...] = ()
    recomment: bool = False


def stale_mart(entry: Json, since: str, why: str | None) -> Mart:
    """A mart that stays as it was published last."""
    stale = entry | {"is_stale": True, "stale_since": since, "stale_why": why}
    return Mart((entry["schema"], entry["relation"]), stale)


def fresh_mart(
    connection: duckdb.DuckDBPyConnection,
    candidate: Candidate,
    family: Family,
    model: Model,
    moment: datetime,
    run_id: str,
) -> Mart:
    """A mart that passed. What is published before must be attached (`snapshot.attach_previous`), or marts are written
    whole; those with rows of stale families can't be without it."""
    relation = (model.schema, model.relation)
    table = candidate.tables[relation]
    old = candidate.published_before.get(relation)
    watermark = _own_watermark(candidate, model, table)
    stale_sources = candidate.verdicts[family.name].stale_sources
    source = _with_stale_rows(model, table, old, stale_sources) if stale_sources else table.source
    key = snapshot.sort_key(table.columns, model.key)
    content = _content(model, table, snapshot.count(connection, source))
    state = {
        "token": watermark.get("token"),
        "changed_by": watermark.get("changed_by"),
        "stale_sources": list(stale_sources),
    }
    if old and _surely_unchanged(candidate, model, content, state, old):
        days, digest = None, old["state"]["digest"]
    else:
        days = snapshot.digests(connection, source, table.columns, snapshot.day_column(table.columns, key))
        digest = snapshot.digest(days)
    comparable = old if old and old["state"].get("format") == FORMAT and _types(content) == _types(old) else None
    holds = (digest, content["rows"])
    unchanged = comparable if comparable and holds == (comparable["state"]["digest"], comparable["rows"]) else None
    first = None
    if unchanged:
        content |= {name: unchanged[name] for name in ("fingerprint", "merged_groups", "published_at", "run_id")}
        state |= {name: unchanged["state"][name] for name in ("text_sum", "key")}
    else:
        kept = comparable if comparable and comparable["state"]["key"] == list(key) else None
        first = _first_change(connection, table, key, days, kept) if kept and days else None
        total = _text_sum(connection, table, source, key, first, kept)
        content["fingerprint"] = snapshot.fingerprint(table.columns, content["rows"], total)
        content["merged_groups"] = _merged_groups(connection, model)
        content |= {"published_at": iso(moment), "run_id": run_id}
        state |= {"text_sum": str(total), "key": list(key)}
    entry = {
        "family": family.name,
        "mart": model.name,
        "schema": model.schema,
        "relation": model.relation,
        "file": model.file,
        **content,
        "state": state | {"digest": digest, "format": FORMAT},
        **_watermark_columns(connection, candidate, table, watermark),
        "gate_status": candidate.verdicts[family.name].gate,
        "is_stale": False,
        "stale_since": None,
        "stale_why": None,
    }
    recomment = old is not None and (old["description"], old["fields"]) != (entry["description"], entry["fields"])
    return Mart(relation, entry, key, None if unchanged else source, first, table.columns, recomment)


def _content(model: Model, table: snapshot.Table, rows: int) -> Json:
    return {
        "description": model.description,
        "rows": rows,
        "columns": len(table.columns),
        "fields": [
            {"name": column.name, "type": column.type, "description": model.columns.get(column.name, "")}
            for column in table.columns
        ],
    }


def _surely_unchanged(candidate: Candidate, model: Model, content: Json, state: Json, old: Json) -> bool:
    """Whether the watermark says that this is what is published."""
    rows_changed = (candidate.build["models"].get(model.name) or {}).get("rows_changed")
    return (
        None not in state.values()
        and state == {name: old["state"].get(name) for name in state}
        and (rows_changed is False or candidate.before.get("build_id") == candidate.build["build_id"])
        and (content["rows"], _types(content)) == (old["rows"], _types(old))
        and old["state"]["digest"].startswith(f"{duckdb.__version__}:")
    )


def _types(entry: Json) -> list[tuple[str, str]]:
    return [(column["name"], column["type"]) for column in entry["fields"]]


# Days that stay as they are published


def _first_change(
    connection: duckdb.DuckDBPyConnection,
    table: snapshot.Table,
    key: tuple[str, ...],
    days: snapshot.Digests,
    old: Json,
) -> date | None:
    """The first day on which the candidate and the published mart differ, if half of the rows lie before it or more;
    else None, as where rows have no day: they are the last ones.

    They have the same columns. days: the candidate's digests.
    """
    day = snapshot.day_column(table.columns, key)
    if day is None:
        return None
    try:
        published = snapshot.digests(connection, _published(table), table.columns, day)
    except duckdb.Error:
        # What can't be read can't stay.
        return None
    if snapshot.digest(published) != old["state"]["digest"]:
        # Somebody has changed the file, or DuckDB's hash is another now.
        return None
    changed = [of for of in days.keys() | published.keys() if days.get(of) != published.get(of)]
    known = [of for of in changed if of is not None]
    if not known or None in days or None in published:
        return None
    first = min(known)
    stays = sum(rows for of, (rows, _) in days.items() if of is not None and of < first)
    return first if 2 * stays >= sum(rows for rows, _ in days.values()) else None


def _text_sum(
    connection: duckdb.DuckDBPyConnection,
    table: snapshot.Table,
    source: str,
    key: tuple[str, ...],
    first: date | None,
    old: Json | None,
) -> int:
    """The candidate's text sum, of which that of the days before `first` is in the published mart's."""
    if first is None or old is None:
        return snapshot.text_sum(connection, source, table.columns)
    was, is_now = (
        snapshot.text_sum(connection, snapshot.since(relation, key[0], first), table.columns)
        for relation in (_published(table), source)
    )
    return int(old["state"]["text_sum"]) - was + is_now


def _published(table: snapshot.Table) -> str:
    return snapshot.previous_relation((table.schema, table.name))


# Rows of stale families


def _with_stale_rows(model: Model, table: snapshot.Table, old: Json | None, stale_sources: tuple[str, ...]) -> str:
    """A mart's candidate, but the rows of stale families as they were published last."""
    families = ", ".join(snapshot.literal(name) for name in stale_sources)
    by = snapshot.quote(str(model.meta[STALE_ROWS_BY]))
    names = [snapshot.quote(column.name) for column in table.columns]
    fresh = f"select {', '.join(names)} from {table.source} where {by} is null or {by} not in ({families})"
    if old is None or model.meta[STALE_ROWS_BY] not in {column["name"] for column in old["fields"]}:
        return f"({fresh})"
    known = {column["name"] for column in old["fields"]}
    shown = ", ".join(_as_published(column, known) for column in table.columns)
    previous = snapshot.previous_relation((old["schema"], old["relation"]))
    return f"({fresh} union all select {shown} from {previous} where {by} in ({families}))"


def _as_published(column: snapshot.Column, known: set[str]) -> str:
    name = snapshot.quote(column.name)
    value = "true" if column.name == "is_stale" else name if column.name in known else "null"
    return f"try_cast({value} as {column.type}) as {name}"


# Watermarks and what else is recorded


def _own_watermark(candidate: Candidate, model: Model, table: snapshot.Table) -> Json:
    """The model's watermark row, if it is that of this very table."""
    row = candidate.watermarks.get(model.name) or {}
    token = row.get("token")
    return row if token and str(token) in (table.comment or "") else {}


def _watermark_columns(
    connection: duckdb.DuckDBPyConnection, candidate: Candidate, table: snapshot.Table, watermark: Json
) -> Json:
    loaded_through = watermark.get("loaded_through")
    if loaded_through is None and any(column.name == "loaded_through" for column in table.columns):
        loaded_through = snapshot.highest(connection, table.source, "loaded_through")
    return {
        "loaded_through": loaded_through,
        "newest_event_at": text(watermark.get("newest_event_at")),
        "as_of": text(watermark.get("as_of") or candidate.build.get("as_of")),
    }


def _merged_groups(connection: duckdb.DuckDBPyConnection, model: Model) -> int | None:
    """How many groups k-anonymity merged in a mart: the answer to the query in its `meta: {merged_groups: ...}`."""
    query = model.meta.get("merged_groups")
    if not query:
        return None
    try:
        return snapshot.scalar(connection, query)
    except duckdb.Error as error:
        message = f"{model.name}: meta merged_groups: {snapshot.first_line(error)}: mend the model's yml"
        raise AnalyticsError(message) from error


def iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def text(value: Any) -> Any:
    """A value as JSON holds it: timestamps as UTC text, numbers as they are."""
    if isinstance(value, datetime):
        return iso(value if value.tzinfo else value.replace(tzinfo=UTC))
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
