"""Which families may be published: what the build, the warehouse, the gate and the families that they read say."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from agent_analytics import manifest, snapshot
from agent_analytics.manifest import STALE_ROWS_BY, Family, Project
from agent_analytics.storage import Storage

Json = dict[str, Any]
Relation = tuple[str, str]

BUILT = ("success", "unchanged")
PASSED = ("passed", "accepted")
GATE = ": agent-analytics gate"


@dataclass(frozen=True)
class Verdict:
    """Whether a family's candidate may be published, and on what gate status.

    stale_sources: the families that it reads and that may not, if it is published all the same.
    """

    ok: bool
    gate: str
    why: str | None = None
    stale_sources: tuple[str, ...] = ()


def judge(
    project: Project,
    build: Json,
    storage: Storage,
    tables: dict[Relation, snapshot.Table],
    watermarks: dict[str, Json],
) -> dict[str, Verdict]:
    """Which families may be published. `tables` and `watermarks` (by model) are those of the warehouse."""
    own = {name: _own_verdict(family, build, storage, tables, watermarks) for name, family in project.families.items()}
    verdicts = {name: _with_sources(name, own, project) for name in project.families}
    return {name: _shown_all_the_same(name, verdicts, own, project, tables) for name in project.families}


def _with_sources(name: str, own: dict[str, Verdict], project: Project) -> Verdict:
    failed = sorted(source for source in project.reads(name) if not own[source].ok)
    if not own[name].ok or not failed:
        return own[name]
    return Verdict(False, own[name].gate, f"reads {failed[0]}, which failed: {own[failed[0]].why}")


def _shown_all_the_same(
    name: str,
    verdicts: dict[str, Verdict],
    own: dict[str, Verdict],
    project: Project,
    tables: dict[Relation, snapshot.Table],
) -> Verdict:
    """The verdict on a family whose marts tell each row's source family: only the rows of stale ones stay behind."""
    if not own[name].ok or verdicts[name].ok or not _rows_tell_their_source(project.families[name], tables):
        return verdicts[name]
    stale = tuple(sorted(source for source in project.reads(name) if not verdicts[source].ok))
    return Verdict(True, own[name].gate, stale_sources=stale)


def _rows_tell_their_source(family: Family, tables: dict[Relation, snapshot.Table]) -> bool:
    for model in family.models:
        columns = {column.name for column in tables[model.schema, model.relation].columns}
        if not {model.meta.get(STALE_ROWS_BY), "is_stale"} <= columns:
            return False
    return True


def _own_verdict(
    family: Family,
    build: Json,
    storage: Storage,
    tables: dict[Relation, snapshot.Table],
    watermarks: dict[str, Json],
) -> Verdict:
    gate, gate_why = judge_gate(storage, family.name, build["build_id"]) if family.gated else ("none", None)
    why = _build_failure(family, build) or _absence(family, tables) or _held_back(family, watermarks) or gate_why
    return Verdict(why is None, gate, why)


def _held_back(family: Family, watermarks: dict[str, Json]) -> str | None:
    """A mart with half of what landed: somebody built it without the models above it (`record_watermark`)."""
    for model in family.models:
        if (watermarks.get(model.name) or {}).get("fingerprint") == manifest.HELD_BACK and not family.always_published:
            return f"{model.name} was built without models above it that have loads to read: run agent-analytics run"
    return None


def _build_failure(family: Family, build: Json) -> str | None:
    for model in family.models:
        outcome = build["models"].get(model.name)
        if outcome is None:
            if model.name in family.members:
                return f"{model.name} was not built"
        elif outcome.get("status") not in BUILT:
            return _described(f"{model.name}: {outcome.get('status')}", outcome.get("message"))
    for name in sorted(family.members):
        outcome = build["models"].get(name) or {}
        if outcome.get("status", "success") not in BUILT:
            return _described(f"{name}: {outcome['status']}", outcome.get("message"))
    for test in build.get("failed_tests") or ():
        if family.members & set(test.get("models") or ()):
            return _described(f"test {test.get('test')} failed", test.get("message"))
    outcome = (build.get("families") or {}).get(family.name) or {}
    return None if outcome.get("ok", True) is True else _described("the build failed", outcome.get("why"))


def _described(what: str, message: str | None) -> str:
    first = (message or "").strip().splitlines()[:1]
    return f"{what} ({first[0][:200]})" if first else what


def _absence(family: Family, tables: dict[Relation, snapshot.Table]) -> str | None:
    missing = [model.name for model in family.models if (model.schema, model.relation) not in tables]
    return f"{missing[0]} is not in the warehouse" if missing else None


def judge_gate(storage: Storage, family: str, build_id: str) -> tuple[str, str | None]:
    """The status in a family's gate file, and why it doesn't let the family through (None if it does).

    Anything but a complete result for this very build is a failure.
    """
    path = storage.gates / f"{family}.json"
    try:
        gate = json.loads(path.read_text(encoding="utf-8"))
        status, expected = gate["status"], gate["expected"]
        if gate["family"] != family:
            return "missing", f"the gate file is that of {gate['family']}"
        if gate["build_id"] != build_id:
            return "missing", f"the gate did not run on this build{GATE}"
        if type(expected) is not int or expected < 1 or gate["evaluated"] != expected:
            return "failed", f"the gate evaluated {gate['evaluated']} of {expected} expectations"
        if status not in PASSED:
            return "failed", _described("the gate failed", gate.get("why"))
        if status == "passed" and any(_is_critical_failure(result) for result in gate.get("results") or ()):
            return "failed", "the gate file says passed, yet a critical expectation failed"
    except FileNotFoundError:
        return "missing", f"the gate did not run{GATE}"
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return "missing", "the gate file can't be read"
    return status, None


def _is_critical_failure(result: Json) -> bool:
    return result.get("severity") == "critical" and result.get("success") is not True
