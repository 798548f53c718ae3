"""What a failed step files: one finding per family (or for the step itself), with its root cause and the evidence."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from agent_analytics import manifest
from agent_analytics.cron import next_time
from agent_analytics.errors import refusal
from agent_analytics.gate import GateResult
from agent_analytics.ingest import IngestReport
from agent_analytics.operations.database import naive_utc
from agent_analytics.operations.incidents import PIPELINE, Finding
from agent_analytics.publish import Publication
from agent_analytics.transform import BuildReport

Json = dict[str, Any]

INGEST, QUARANTINE, BUILD, GATE, PUBLISH, RUN = (
    f"pipeline:{step}" for step in ("ingest", "quarantine", "build", "gate", "publish", "run")
)
# Steps whose report says what is wrong, so that one without an exception needn't be good.
REPORTING = (INGEST, BUILD, GATE, PUBLISH)
# So much evidence is kept: the rest is in the report, the gate files and the quarantine.
SHOWN = 20
EXAMPLES = 3

TICK_CRON = "*/15 * * * *"


def of_ingest(report: IngestReport) -> list[Finding]:
    """Files that are not loaded: changed after they were loaded, or not to be read."""
    files = [{"file": name, "why": "its content changed after it was loaded"} for name in sorted(report.refused)]
    files += [{"file": name, "why": why} for name, why in sorted(report.failed.items())]
    if not files:
        return []
    action = "mend the file and land it under a new name, or remove it from landing"
    return [_of_step(INGEST, f"{_count(files, 'landed file')} not loaded", "warning", _listed(files), [action], files)]


def of_quarantine(report: IngestReport) -> list[Finding]:
    """Files of which no line could be accepted."""
    files = [
        {"file": file.path, "why": ", ".join(f"{reason} {count}" for reason, count in sorted(file.rejects.items()))}
        for file in report.files
        if file.rejected and file.rejected == file.lines
    ]
    if not files:
        return []
    actions = ["look at quarantine/, mend the producer or the contract, then run agent-analytics replay"]
    title = f"{_count(files, 'landed file')} rejected, every line"
    return [_of_step(QUARANTINE, title, "warning", _listed(files), actions, files)]


def of_build(report: BuildReport) -> list[Finding]:
    """Models and tests that failed, by family; what belongs to none is the step's own."""
    if not report.failures:
        return []
    families = {name: family.members for name, family in manifest.read().families.items()}
    evidence: dict[str, list[Json]] = {}
    for name, model in report.models.items():
        if model["status"] == "error":
            entry = {"model": name, "why": model["message"]}
            evidence.setdefault(_family_of({name}, families), []).append(entry)
    for test in report.failed_tests:
        entry = {"model": ", ".join(test["models"]), "test": test["test"], "why": test["message"]}
        evidence.setdefault(_family_of(set(test["models"]), families), []).append(entry)
    action = "mend the model or its data; the next run builds it again"
    return [
        _of_family(BUILD, family, "the build of {} failed", _listed(found), [action], found)
        for family, found in sorted(evidence.items())
    ]


def of_gate(results: Mapping[str, GateResult]) -> list[Finding]:
    """Families that the gate withholds: which expectation of which mart, how many rows, the first of them."""
    found = []
    for family, result in sorted(results.items()):
        if result.ok:
            continue
        bad = [each for each in result.results if each.blocks or not each.evaluated]
        evidence = [
            {
                "mart": each.mart,
                "expectation": each.expectation,
                "rows": each.unexpected,
                "observed": each.observed,
                "examples": [str(row) for row in each.sample[:EXAMPLES]],
            }
            for each in bad
        ]
        actions = [f"agent-analytics gate --accept {family} --reason '...' lets it through as it is"]
        found.append(_of_family(GATE, family, "the gate of {} failed", str(result.why), actions, evidence))
    return found


def of_publish(publication: Publication, known: Collection[str]) -> list[Finding]:
    """Families that are not published for a reason of their own: neither a finding of another step, nor of a family
    that they read."""
    return [
        _of_family(PUBLISH, state.name, "{} is not published", str(state.why), [], [])
        for state in publication.failed
        if state.name not in known and not str(state.why).startswith("reads ")
    ]


def of_error(step: str, error: BaseException, title: str | None = None) -> Finding:
    """A step that could not be done at all."""
    told = refusal(error) if isinstance(error, Exception) else None
    lines = str(told or error).strip().splitlines() or [type(error).__name__]
    return _of_step(f"pipeline:{step}", title or f"{step} failed", "critical", lines[0], [], [])


def of_killed(command: str, started_at: datetime) -> Finding:
    """A run whose process ended without a word."""
    cause = f"the run of {started_at:%Y-%m-%d %H:%M:%S} UTC ended without a word: killed, or the machine went down"
    actions = ["nothing is lost: the next run goes on where it was"]
    return _of_step(RUN, f"{command} was killed", "critical", cause, actions, [])


def next_run_at(now: datetime | None = None) -> datetime | None:
    """When the incremental schedule runs next (UTC, no zone), by ANALYTICS_TICK_CRON; None if schedules are off."""
    if os.environ.get("ANALYTICS_SCHEDULES") == "off":
        return None
    return next_time(os.environ.get("ANALYTICS_TICK_CRON") or TICK_CRON, naive_utc(now or datetime.now(UTC)))


def _of_step(
    threshold_id: str, title: str, severity: str, cause: str, actions: list[str], evidence: list[Json]
) -> Finding:
    return Finding(
        PIPELINE,
        threshold_id,
        "step",
        "",
        "",
        title,
        severity,
        cause=cause,
        suggested_actions=actions,
        details=evidence[:SHOWN],
        next_run_at=next_run_at(),
    )


def _of_family(
    threshold_id: str, family: str, title: str, cause: str, actions: list[str], evidence: list[Json]
) -> Finding:
    return Finding(
        PIPELINE,
        threshold_id,
        "family" if family else "step",
        family,
        "",
        title.format(family or "shared models"),
        "critical",
        family=family or None,
        cause=cause,
        suggested_actions=actions,
        details=evidence[:SHOWN],
        next_run_at=next_run_at(),
    )


def _family_of(models: set[str], families: Mapping[str, frozenset[str]]) -> str:
    return next((name for name, members in sorted(families.items()) if members & models), "")


def _count(files: list[Json], noun: str) -> str:
    return f"1 {noun} is" if len(files) == 1 else f"{len(files)} {noun}s are"


def _listed(evidence: list[Json]) -> str:
    """The first of it, in one line."""
    first = "; ".join(
        f"{entry.get('file') or entry.get('test') or entry['model']}: {entry['why']}" for entry in evidence[:3]
    )
    return first + (f"; and {len(evidence) - 3} more" if len(evidence) > 3 else "")
