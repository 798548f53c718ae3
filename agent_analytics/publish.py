"""Publish: the marts of every family that passed become one new complete version, switched in by one symlink.

A family is published whole or not at all. One that fails keeps its last published version, marked stale with since when
and why, while the others move on. Readers are never waited for and never see half: a version is written beside the
others, renamed to its number when it is complete, and `published` then points to it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import duckdb

from agent_analytics import durable, goals, manifest, snapshot, versions
from agent_analytics.candidates import FORMAT, Candidate, Mart, fresh_mart, iso, stale_mart, text
from agent_analytics.errors import BUILD_AGAIN, AnalyticsError, advised, next_step
from agent_analytics.locking import writer_lock
from agent_analytics.manifest import Family, Model, Project
from agent_analytics.side_by_side import side_by_side
from agent_analytics.storage import Storage
from agent_analytics.verdicts import PASSED, judge

Json = dict[str, Any]
Relation = tuple[str, str]

# What a new version may differ in without a reader seeing anything new.
UNSEEN = ("version", "previous", "published_at", "run_id", "build_id", "duckdb", "snapshot_bytes", "replaced")

# The columns of ops.publications: name, type, description. The values are those of the manifest's entries.
PUBLICATIONS = (
    ("family", "VARCHAR", "The mart's family"),
    ("mart", "VARCHAR", "The mart"),
    ("rows", "BIGINT", "Its number of rows"),
    ("columns", "INTEGER", "Its number of columns"),
    ("fingerprint", "VARCHAR", "Its content, DOUBLE columns and loaded_through left out, whatever the order of rows"),
    ("loaded_through", "BIGINT", "Load watermark: the newest load that it was brought up to"),
    ("newest_event_at", "TIMESTAMP", "Event watermark: UTC time of the newest event behind it"),
    ("as_of", "TIMESTAMP", "The data clock (UTC) that it stands at"),
    (
        "gate_status",
        "VARCHAR",
        "The gate result that it was published on: passed or accepted; none without a gate",
    ),
    ("published_at", "TIMESTAMP", "When its present content was published (UTC)"),
    ("run_id", "VARCHAR", "The run that published its present content"),
    ("is_stale", "BOOLEAN", "Whether a newer candidate failed, so that this is an older version"),
    ("stale_since", "TIMESTAMP", "When it first became stale (UTC)"),
    ("stale_why", "VARCHAR", "Why it is stale, naming the family at fault"),
    ("merged_groups", "BIGINT", "How many groups k-anonymity merged; NULL for a mart without it"),
)


# The columns of ops.watermarks and what they mean.
WATERMARKS = {
    "model": "The model",
    "loaded_through": "Load watermark: the newest load that it was brought up to",
    "newest_event_at": "Event watermark: UTC time of the newest event behind it",
    "as_of": "The data clock (UTC) that it stands at",
    "sources": "The sources that it reads",
    "lag_loads": "How many loads of its sources it is behind",
    "lag_hours": "How many hours of events it is behind",
}

# The columns of ops.pipeline_runs, from the run records of the operations database.
RUNS = (
    ("run_id", "VARCHAR", "The run"),
    ("command", "VARCHAR", "What was run: the command, or dagster"),
    ("started_at", "TIMESTAMP", "When it began (UTC)"),
    (
        "duration_ms",
        "BIGINT",
        "Milliseconds that it took; of the run that published this version, until it did; NULL if it was killed",
    ),
    ("events_processed", "BIGINT", "Events that it accepted"),
    ("events_per_second", "DOUBLE", "events_processed per second of duration_ms"),
    ("models_built", "BIGINT", "Models that were built"),
    ("gates_passed", "BIGINT", "Families whose gate passed or was accepted"),
    ("gates_failed", "BIGINT", "Families whose gate failed"),
    ("gate_results", "VARCHAR", "The gate's status by family, as JSON"),
    ("rows_published", "BIGINT", "Rows of the marts that it wrote anew in the published version"),
    ("incidents_created", "BIGINT", "Incidents opened by its failures, or by the evaluation of what it published"),
    ("incidents_resolved", "BIGINT", "Incidents resolved by its success, or by the evaluation of what it published"),
    (
        "mean_resolution_minutes",
        "DOUBLE",
        "Mean time from opened to resolved of incidents_resolved; NULL if there are none",
    ),
    ("outcome", "VARCHAR", "succeeded, failed (at least in part), aborted (killed or interrupted) or running"),
    ("cause", "VARCHAR", "What failed, NULL if nothing did"),
)


@dataclass(frozen=True)
class FamilyState:
    """How a family stands: published, stale (an older version is shown) or unpublished (nothing is shown)."""

    name: str
    status: str
    why: str | None = None
    since: str | None = None


@dataclass(frozen=True)
class Publication:
    """What a publish did. `version` is the current one afterwards; None if there is nothing to show at all."""

    version: int | None
    changed: bool
    families: dict[str, FamilyState]
    replaced: tuple[str, ...] = ()
    rows_written: int = 0
    pruned: tuple[int, ...] = ()

    @property
    def failed(self) -> list[FamilyState]:
        """The families that did not get published."""
        return [state for state in self.families.values() if state.status != "published"]


def publish(
    storage: Storage,
    manifest_path: Path | None = None,
    now: datetime | None = None,
    run_id: str | None = None,
    progress: Callable[[str], None] | None = None,
    *,
    fresh: bool = False,
) -> Publication:
    """Publish what passed, if readers would see a difference; then remove versions that are old enough.

    `now` is the recorded time of publication (UTC; the present by default); `run_id` the run that publishes (the
    build's id by default); `progress` is told the name of each mart that is written; `fresh` takes nothing over from
    the versions before, and removes them at once. Raises AnalyticsError, with
    nothing changed, when there is no finished build, when its record and the warehouse disagree, when another process
    is writing, or when there is no room.
    """
    with writer_lock(storage, "agent-analytics publish"):
        moment = (now or datetime.now(UTC)).astimezone(UTC)
        build = read_build(storage)
        project = manifest.read(manifest_path)
        versions.remove_leftovers(storage)
        linked = versions.linked(storage)
        folder, before = (None, {}) if fresh else versions.newest_readable(storage)
        with _warehouse(storage) as connection:
            candidate = _candidate(connection, project, build, before)
            candidate.verdicts = judge(project, build, storage, candidate.tables, candidate.watermarks)
            if folder:
                _attach_previous(connection, folder, candidate)
            after, marts = _next_manifest(connection, candidate, moment, run_id or build["build_id"])
            # Readers of a damaged version need another one, even if it holds nothing new.
            seen = folder != linked or _visible(after) != _visible(before)
            changed = bool(after["marts"] or before) and seen
            if changed:
                number = versions.next_number(storage)
                after |= {"version": number, "previous": before.get("version")}
                if linked and folder != linked and not fresh:
                    after["replaced"] = int(linked.name)
                goals_of = linked if linked and linked.is_dir() and not fresh else folder
                _write_version(connection, storage, folder, goals_of, after, marts, progress or _silent)
        if fresh and not changed:
            storage.published.unlink(missing_ok=True)
        pruned = versions.prune_all_others(storage) if fresh else versions.prune(storage, moment)
        if last_published(storage) != build["build_id"]:
            durable.write_json(storage.publish_record, {"build_id": build["build_id"]})
        return Publication(
            version=after["version"] if changed else before.get("version"),
            changed=changed,
            families={name: _state(name, entry) for name, entry in after["families"].items()},
            replaced=tuple(mart.entry["mart"] for mart in marts if mart.source) if changed else (),
            rows_written=_rows_written(marts) if changed else 0,
            pruned=tuple(pruned),
        )


def _attach_previous(connection: duckdb.DuckDBPyConnection, folder: Path, candidate: Candidate) -> None:
    """Without it marts are written whole, but those that keep rows of stale families can't be."""
    try:
        snapshot.attach_previous(connection, folder / versions.SNAPSHOT)
    except duckdb.Error:
        if any(verdict.stale_sources for verdict in candidate.verdicts.values()):
            raise


def last_published(storage: Storage) -> str | None:
    """The build that was published last, whether or not readers saw anything new and every family passed."""
    try:
        return str(json.loads(storage.publish_record.read_text(encoding="utf-8"))["build_id"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def read_build(storage: Storage) -> Json:
    """The record of the last build; AnalyticsError unless it finished."""
    try:
        build = json.loads(storage.build_record.read_text(encoding="utf-8"))
        if build["status"] == "finished" and isinstance(build["models"], dict) and build["build_id"]:
            return dict(build)
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise AnalyticsError(f"the last build did not finish ({storage.build_record}): run agent-analytics run")


# Looking at the candidates


@contextmanager
def _warehouse(storage: Storage) -> Iterator[duckdb.DuckDBPyConnection]:
    storage.work.mkdir(parents=True, exist_ok=True)
    connection = snapshot.connect(storage.work / "publish")
    try:
        snapshot.attach_warehouse(connection, storage.warehouse)
        yield connection
    finally:
        connection.close()


def _candidate(connection: duckdb.DuckDBPyConnection, project: Project, build: Json, before: Json) -> Candidate:
    tables = snapshot.tables(connection)
    _check_same_build(connection, tables, build)
    watermarks = {}
    if ("ops", "model_watermarks") in tables:
        rows = snapshot.records(connection, f"{snapshot.WAREHOUSE}.ops.model_watermarks")
        watermarks = {row["model"]: row for row in rows}
    if watermarks and ("ops", "watermarks") in tables:
        for row in snapshot.records(connection, f"{snapshot.WAREHOUSE}.ops.watermarks"):
            watermarks.get(row["model"], {})["newest_event_at"] = row.get("newest_event_at")
    return Candidate(project, build, tables, watermarks, before)


def _check_same_build(
    connection: duckdb.DuckDBPyConnection, tables: dict[Relation, snapshot.Table], build: Json
) -> None:
    """The gate's word is about one build: whoever wrote to the warehouse since has made it void."""
    if ("ops", "run") not in tables:
        return
    for row in snapshot.records(connection, f"{snapshot.WAREHOUSE}.ops.run"):
        if row.get("invocation_id") not in (None, build["build_id"]):
            raise AnalyticsError("another dbt run wrote to the warehouse after the last build: run agent-analytics run")


def _next_manifest(
    connection: duckdb.DuckDBPyConnection, candidate: Candidate, moment: datetime, run_id: str
) -> tuple[Json, list[Mart]]:
    def looked_at(own: duckdb.DuckDBPyConnection, named: tuple[Family, Model]) -> Mart:
        return fresh_mart(own, candidate, *named, moment, run_id)

    families: Json = {}
    marts: list[Mart] = []
    passed = [family for name, family in candidate.project.families.items() if candidate.verdicts[name].ok]
    named = [(family, model) for family in passed for model in family.models]
    with snapshot.beside(connection) as connections:
        fresh = {mart.entry["mart"]: mart for mart in side_by_side(connections, looked_at, named)}
    for name, family in candidate.project.families.items():
        verdict = candidate.verdicts[name]
        if verdict.ok:
            taken = [fresh[model.name] for model in family.models]
            families[name] = {"status": "published", "stale_since": None, "why": None}
        else:
            old = candidate.before.get("families", {}).get(name) or {}
            since = old.get("stale_since") or iso(moment)
            entries = [entry for entry in candidate.before.get("marts", ()) if entry["family"] == name]
            # A mart in `fresh` has moved to another family, and its file is the other's.
            taken = [stale_mart(entry, since, verdict.why) for entry in entries if entry["mart"] not in fresh]
            stale = {"status": "stale", "stale_since": since, "why": verdict.why}
            families[name] = stale if taken else {"status": "unpublished", "stale_since": None, "why": verdict.why}
        families[name] |= {
            "gate": verdict.gate,
            "reads": sorted(candidate.project.reads(name)),
            "marts": [mart.entry["mart"] for mart in taken],
        }
        marts.extend(taken)
    build = candidate.build
    return {
        "format": FORMAT,
        "version": None,
        "previous": None,
        "published_at": iso(moment),
        "run_id": run_id,
        "build_id": build["build_id"],
        "load_id": build.get("load_id"),
        "as_of": build.get("as_of"),
        "duckdb": duckdb.__version__,
        "families": families,
        "marts": [mart.entry for mart in marts],
        "watermarks": _readers_watermarks(connection, candidate),
    }, marts


def _readers_watermarks(connection: duckdb.DuckDBPyConnection, candidate: Candidate) -> list[Json]:
    """The rows of ops.watermarks, in a steady order and as JSON."""
    if ("ops", "watermarks") not in candidate.tables:
        return []
    rows = snapshot.records(connection, f"{snapshot.WAREHOUSE}.ops.watermarks")
    plain = [{name: text(value) for name, value in row.items()} for row in rows]
    return sorted(plain, key=lambda row: json.dumps(row, sort_keys=True))


def _visible(record: Json) -> Json:
    """What readers see of a version."""
    seen = {name: value for name, value in record.items() if name not in UNSEEN}
    return seen | {"marts": [{k: v for k, v in entry.items() if k != "state"} for entry in record.get("marts", ())]}


# Writing


def _write_version(
    connection: duckdb.DuckDBPyConnection,
    storage: Storage,
    folder: Path | None,
    goals_of: Path | None,
    after: Json,
    marts: list[Mart],
    progress: Callable[[str], None],
) -> None:
    """`folder` is the version that this one starts from, `goals_of` the one whose history of goals it carries on."""
    number = after["version"]
    part = versions.part_folder(storage, number)
    try:
        part.mkdir(parents=True)
        durable.point(f"publish:{part.name}")
        _write_snapshot(connection, storage, folder, part, after, marts, progress)
        goals.write(connection, part, goals_of, after)
        after["snapshot_bytes"] = (part / versions.SNAPSHOT).stat().st_size
        durable.write_json(part / versions.MANIFEST, after)
        for path in part.iterdir():
            durable.sync(path)
        durable.sync(part)
    except (OSError, duckdb.Error) as error:
        # Most likely the disk is full: what is half written shouldn't keep it so.
        shutil.rmtree(part, ignore_errors=True)
        raise AnalyticsError(f"version {number} can't be written: {_advised(error)}") from error
    target = storage.versions / str(number)
    durable.rename(part, target)
    durable.symlink(f"{storage.versions.name}/{number}", storage.published)


def _advised(error: Exception) -> str:
    """What the machine says, with the next step: a snapshot isn't mended by building the warehouse again."""
    line = snapshot.first_line(error)
    if versions.SNAPSHOT in line and next_step(line) == BUILD_AGAIN:
        return f"{line}: look after the disk, then run agent-analytics run again"
    return advised(line)


def _write_snapshot(
    connection: duckdb.DuckDBPyConnection,
    storage: Storage,
    folder: Path | None,
    part: Path,
    after: Json,
    marts: list[Mart],
    progress: Callable[[str], None],
) -> None:
    path = part / versions.SNAPSHOT
    kept = [mart for mart in marts if mart.source is None]
    keep = {mart.relation for mart in marts if mart.source is None or mart.first}
    before = versions.read_manifest(folder)["marts"] if folder else []
    if folder and keep:
        snapshot.copy_file(folder / versions.SNAPSHOT, path)
    snapshot.attach_snapshot(connection, path)
    gone = {(entry["schema"], entry["relation"]) for entry in before} - keep
    snapshot.drop(connection, sorted(gone) if keep else [])
    for mart in kept:
        if folder is not None:
            (part / mart.entry["file"]).hardlink_to(folder / mart.entry["file"])
            if mart.recomment:
                _comment(connection, mart)
    # The large ones first, so that both connections end at about the same time.
    written = sorted((mart for mart in marts if mart.source is not None), key=lambda mart: -mart.entry["rows"])
    # Here, since two connections that make the same schema at once conflict.
    for schema in sorted({mart.relation[0] for mart in written}):
        snapshot.create_schema(connection, schema)
    with snapshot.beside(connection) as connections:
        for name in side_by_side(connections, partial(_write_mart, part), written):
            progress(name)
    _write_ops(connection, after)
    _write_runs(connection, storage, part, after, _rows_written(marts))
    snapshot.drop_empty_schemas(connection)
    snapshot.detach_snapshot(connection, path)
    snapshot.compact(connection, path)


def _write_mart(part: Path, connection: duckdb.DuckDBPyConnection, mart: Mart) -> str:
    name: str = mart.entry["mart"]
    durable.point(f"mart:{name}")
    if mart.first:
        snapshot.replace_days(connection, mart.relation, str(mart.source), mart.columns, mart.key, mart.first)
    else:
        snapshot.write_table(connection, mart.relation, str(mart.source), mart.columns, mart.key)
    _comment(connection, mart)
    path = part / mart.entry["file"]
    snapshot.write_parquet(connection, mart.relation, path)
    durable.sync(path)
    return name


def _comment(connection: duckdb.DuckDBPyConnection, mart: Mart) -> None:
    fields = {column["name"]: column["description"] for column in mart.entry["fields"]}
    snapshot.comment(connection, mart.relation, mart.entry["description"], fields)


def _write_ops(connection: duckdb.DuckDBPyConnection, after: Json) -> None:
    """The tables that say what this version is: ops.publications and ops.watermarks."""
    rows = [[_timestamp(entry[name], kind) for name, kind, _ in PUBLICATIONS] for entry in after["marts"]]
    types = {name: kind for name, kind, _ in PUBLICATIONS}
    snapshot.write_rows(connection, ("ops", "publications"), types, rows)
    descriptions = {name: text for name, _, text in PUBLICATIONS}
    snapshot.comment(connection, ("ops", "publications"), "What is published, one row per mart", descriptions)
    snapshot.drop(connection, [("ops", "watermarks")])
    if after["watermarks"]:
        columns = snapshot.relation_columns(connection, f"{snapshot.WAREHOUSE}.ops.watermarks")
        snapshot.write_table(connection, ("ops", "watermarks"), f"{snapshot.WAREHOUSE}.ops.watermarks", columns, ())
        described = {column.name: WATERMARKS[column.name] for column in columns if column.name in WATERMARKS}
        snapshot.comment(connection, ("ops", "watermarks"), "How far each model is, one row per model", described)


def _rows_written(marts: list[Mart]) -> int:
    return sum(mart.entry["rows"] for mart in marts if mart.source is not None)


def _write_runs(
    connection: duckdb.DuckDBPyConnection, storage: Storage, part: Path, after: Json, rows_written: int
) -> None:
    """ops.pipeline_runs. Without the operations database it stays as it was: readers come first."""
    relation = ("ops", "pipeline_runs")
    types = {name: kind for name, kind, _ in RUNS}
    try:
        snapshot.write_json(connection, relation, types, _run_rows(storage, after, rows_written), part / "runs.json")
    except AnalyticsError:
        snapshot.write_json(connection, relation, types, None, part / "runs.json")
    descriptions = {name: text for name, _, text in RUNS}
    snapshot.comment(connection, relation, "Runs of the pipeline, one row each", descriptions)
    snapshot.write_parquet(connection, relation, part / "pipeline_runs.parquet")


def _run_rows(storage: Storage, after: Json, rows_written: int) -> list[Json]:
    from agent_analytics.operations import runs

    rows = runs.listed(storage)
    for row in rows:
        if row["run_id"] == after["run_id"] and row["outcome"] == runs.RUNNING:
            _foresee(row, after, rows_written)
        seconds = (row["duration_ms"] or 0) / 1000
        row["events_per_second"] = row["events_processed"] / seconds if seconds else None
        row["gates_passed"] = sum(status in PASSED for status in row["gates"].values())
        row["gates_failed"] = len(row["gates"]) - row["gates_passed"]
        row["gate_results"] = json.dumps(row["gates"], sort_keys=True)
        row["cause"] = "; ".join(row["causes"]) or None
    return [{name: text(row[name]) for name, _, _ in RUNS} for row in rows]


def _foresee(row: Json, after: Json, rows_written: int) -> None:
    """The run that is publishing hasn't ended: its row says what is known now, and the next version says the rest."""
    unpublished = [f"{name}: {entry['why']}" for name, entry in after["families"].items() if entry["why"]]
    now = datetime.now(UTC).replace(tzinfo=None)
    row |= {
        "outcome": "failed" if row["causes"] or unpublished else "succeeded",
        "causes": row["causes"] or unpublished,
        "duration_ms": round((now - row["started_at"]).total_seconds() * 1000),
        "rows_published": rows_written,
    }


# Small conversions


def _state(name: str, entry: Json) -> FamilyState:
    return FamilyState(name, entry["status"], entry["why"], entry["stale_since"])


def _timestamp(value: Any, kind: str) -> Any:
    if kind == "TIMESTAMP" and isinstance(value, str):
        return datetime.fromisoformat(value).astimezone(UTC).replace(tzinfo=None)
    return value


def _silent(_: str) -> None:
    return None
