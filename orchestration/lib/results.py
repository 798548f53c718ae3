"""The reports of the pipeline's functions in Dagster's words: metadata, checks, Markdown tables. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from dagster import (
    AssetCheckResult,
    AssetCheckSeverity,
    AssetKey,
    MetadataValue,
    TableColumnDep,
    TableColumnLineage,
)

from agent_analytics.gate import ACCEPTED, ExpectationResult, GateResult
from agent_analytics.ingest import IngestReport
from agent_analytics.ledger import Entry
from agent_analytics.postgres import Copy
from agent_analytics.publish import FamilyState
from orchestration.lib.facts import Facts
from orchestration.lib.project import gate_check_key, incident_check_key, published_check_key

Metadata = dict[str, Any]

BUILT = ("success", "unchanged")
SHOWN = 50
LOADS = 20
BAR = 30


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> MetadataValue[Any]:
    """A Markdown table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return MetadataValue.md("\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines))


def _cell(value: Any) -> str:
    return " ".join(str("" if value is None else value).split()).replace("|", "\\|")


def bar(value: float, most: float) -> str:
    """A bar for a cell of a table, `most` being the longest."""
    return "█" * round(BAR * value / most) if most else ""


def source_metadata(source: str, entry: Entry | None, before: Sequence[Entry] = ()) -> Metadata:
    """What a load brought of one source, beside what earlier ones did; entry is None when nothing was loaded."""
    files = [file for file in entry.lake if file.source == source] if entry else []
    newest = max((file.newest_occurred_at for file in files), default=None)
    return {
        "rows": sum(file.rows for file in files),
        **({"load_id": entry.load_id} if entry else {}),
        **({"newest_event_at": _moment(datetime.fromisoformat(newest))} if newest else {}),
        **({"loads": _loads(source, before)} if before else {}),
    }


def _loads(source: str, entries: Sequence[Entry]) -> MetadataValue[Any]:
    """The rows that loads brought of a source, the newest first, and the lines of the loads as a whole."""
    columns = ("load", "began", "rows", "", "accepted", "duplicates", "rejected")
    rows = {entry.load_id: sum(file.rows for file in entry.lake if file.source == source) for entry in entries}
    most = max(rows.values(), default=0)
    lines = []
    for entry in reversed(entries):
        counts = [sum(getattr(file, name) for file in entry.files) for name in columns[-3:]]
        number = rows[entry.load_id]
        began = datetime.fromisoformat(entry.started_at).strftime("%d\u00a0%b\u00a0%H:%M")
        lines.append((entry.load_id, began, number, bar(number, most), *counts))
    return table(columns, lines)


def ingest_summary(report: IngestReport) -> Metadata:
    """The load in numbers of lines."""
    counts: Metadata = {name: getattr(report, name) for name in ("lines", "accepted", "duplicates", "rejected")}
    most = max(report.rejects.values(), default=0)
    reasons = sorted(report.rejects.items(), key=lambda item: (-item[1], item[0]))
    rows = [(reason, number, bar(number, most)) for reason, number in reasons]
    rejects = {"rejects": table(("reason", "lines", ""), rows)} if rows else {}
    return counts | {"files": len(report.files)} | rejects


def ingest_problems(report: IngestReport) -> list[str]:
    """One line per landed file that was not loaded."""
    changed = "its content changed after it was loaded; land it under a new name"
    problems = {**dict.fromkeys(report.refused, changed), **report.failed}
    return [f"landing/{name}: {why}" for name, why in problems.items()]


def model_metadata(
    outcome: Mapping[str, Any], facts: Facts | None, columns: Mapping[str, Sequence[tuple[AssetKey, str]]] | None = None
) -> Metadata:
    """What a build did with a model, how its table stands, and what its columns are made of, if that is known."""
    found: Metadata = {
        "status": outcome["status"],
        "rows_changed": outcome["rows_changed"],
        "seconds": outcome["seconds"],
    }
    if facts:
        values = {name: getattr(facts, name) for name in ("loaded_through", "lag_loads", "lag_hours")}
        found["dagster/row_count"] = facts.rows
        found |= {name: value for name, value in values.items() if value is not None}
        if facts.newest_event_at:
            found["newest_event_at"] = _moment(facts.newest_event_at)
    if columns:
        deps = {name: [TableColumnDep(*each) for each in made_of] for name, made_of in columns.items()}
        found["dagster/column_lineage"] = MetadataValue.column_lineage(TableColumnLineage(deps))
        shown = [(name, ", ".join(f"{key.path[-1]}.{of}" for key, of in made)) for name, made in columns.items()]
        found["columns"] = table(("column", "is made of"), shown)
    return found


def unchanged(outcome: Mapping[str, Any]) -> dict[str, Any]:
    """The outcome of a model in a run that had nothing to build."""
    return {**outcome, "status": "unchanged", "rows_changed": False, "seconds": 0.0}


def gate_metadata(result: GateResult) -> Metadata:
    """A gate in numbers."""
    return {
        "status": result.status,
        "evaluated": result.evaluated,
        "expected": result.expected,
        "build_id": result.build_id,
        "carried_over": result.carried,
        **({"why": result.why} if result.why else {}),
        **({"marts": _by_mart(result.results)} if result.results else {}),
    }


def _by_mart(results: Sequence[ExpectationResult]) -> MetadataValue[Any]:
    """How many expectations of each mart hold, and which don't."""
    lines = []
    for mart in dict.fromkeys(each.mart for each in results):
        of_mart = [each for each in results if each.mart == mart]
        bad = [each for each in of_mart if not each.success or not each.evaluated]
        blocking = ", ".join(each.expectation for each in bad if each.blocks or not each.evaluated)
        warning = ", ".join(each.expectation for each in bad if each.evaluated and not each.blocks)
        lines.append((mart, f"{len(of_mart) - len(bad)} of {len(of_mart)}", blocking, warning))
    return table(("mart", "hold", "failed", "warned"), lines)


def gate_check(result: GateResult) -> AssetCheckResult:
    """The check on a family's gate: an error blocks the family, a warning doesn't, an accepted failure is a warning."""
    bad = [each for each in result.results if not each.success or not each.evaluated]
    found = gate_metadata(result)
    if bad:
        columns = ("mart", "expectation", "severity", "rows", "observed", "sample")
        found["failing"] = table(columns, [_failing(each) for each in bad[:SHOWN]])
    if result.accepted:
        found["accepted"] = ", ".join(str(result.accepted.get(name)) for name in ("reason", "actor", "at"))
    return AssetCheckResult(
        asset_key=gate_check_key(result.family).asset_key,
        check_name=gate_check_key(result.family).name,
        passed=result.ok and result.status != ACCEPTED and not bad,
        severity=AssetCheckSeverity.WARN if result.ok else AssetCheckSeverity.ERROR,
        description=result.why,
        metadata=found,
    )


def _failing(result: ExpectationResult) -> tuple[Any, ...]:
    sample = result.sample[0] if result.sample else ""
    observed = result.observed if result.evaluated else f"not evaluated: {result.observed}"
    return result.mart, result.expectation, result.severity, result.unexpected, observed, sample


def published_check(state: FamilyState) -> AssetCheckResult:
    """The check on a publication: whether readers see the newest candidate, and why not."""
    return AssetCheckResult(
        asset_key=published_check_key(state.name).asset_key,
        check_name=published_check_key(state.name).name,
        passed=state.status == "published",
        severity=AssetCheckSeverity.ERROR,
        description=state.why,
        metadata={"status": state.status, **({"since": state.since} if state.since else {})},
    )


def incident_check(family: str, incidents: Sequence[Mapping[str, Any]]) -> AssetCheckResult:
    """The check on a family that shows its open critical incidents."""
    found = [each for each in incidents if each["family"] == family and each["severity"] == "critical"]
    columns = ("id", "title", "status", "value", "cause", "opened_at")
    shown = {"incidents": table(columns, [[each[name] for name in columns] for each in found[:SHOWN]])} if found else {}
    return AssetCheckResult(
        asset_key=incident_check_key(family).asset_key,
        check_name=incident_check_key(family).name,
        passed=not found,
        severity=AssetCheckSeverity.ERROR,
        description="; ".join(f"incident {each['id']}: {each['title']}" for each in found[:SHOWN]) or None,
        metadata={"open": len(found), **shown},
    )


def published_metadata(family: str, record: Mapping[str, Any], replaced: Sequence[str]) -> Metadata:
    """What readers see of a family in the version that the record (its manifest.json) describes."""
    marts = [mart for mart in record.get("marts", ()) if mart["family"] == family]
    written = [mart["mart"] for mart in marts if mart["mart"] in replaced]
    columns = ("mart", "rows", "loaded_through", "newest_event_at", "published_at")
    return {
        "version": record.get("version"),
        "rows": sum(mart["rows"] for mart in marts),
        "marts": table(columns, [[mart[name] for name in columns] for mart in marts]),
        "written": ", ".join(written) or "nothing: readers see no difference",
    }


def copy_metadata(copy: Copy) -> Metadata:
    """What a copy to PostgreSQL brought there."""
    return {"version": copy.version, "marts_copied": len(copy.copied), "rows_copied": copy.rows}


def _moment(moment: datetime) -> MetadataValue[Any]:
    return MetadataValue.timestamp(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
