"""Build: dbt turns what is new in the lake into candidate marts.

Which models run is decided here, from the watermarks: those whose sources have newer loads, those whose boundary of the
data clock has passed, those that failed or never ran, and what depends on them; all of them when the project's files
changed. How much of itself each model recomputes is the model's own affair (macros/incremental/).
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb

from agent_analytics import durable, manifest
from agent_analytics.contract import load_contract
from agent_analytics.dbt_worker import DUE, Invocation, NodeResult, worker
from agent_analytics.errors import LOCKED, AnalyticsError, TransientError, advised, says_transient
from agent_analytics.ingest import prepare_lake
from agent_analytics.ledger import Ledger
from agent_analytics.locking import writer_lock
from agent_analytics.policy import Policy
from agent_analytics.storage import PROJECT_ROOT, Storage

Progress = Callable[[str, str], None]

# Seconds between looks whether another program still has the warehouse open.
PAUSES = (1, 2, 4)
ABSENT = re.compile(r"Table with name (\w+) does not exist!")
PROJECT_FILES = ("dbt_project.yml", "profiles.yml", "models", "macros", "seeds", "tests/data", "contracts")


@dataclass(frozen=True)
class BuildReport:
    """What a build did; the same as build.json.

    models: status by model (`success`, `error`, `skipped`, `unchanged`); families: whether each family's models and
    tests all came out well, and why not. What warned_tests found withholds nothing. Of what `select` asked for, nothing
    is called what `unmatched` names; it isn't remembered.
    """

    build_id: str
    load_id: int
    as_of: str | None
    started_at: str
    finished_at: str
    project: str
    models: dict[str, dict[str, Any]] = field(default_factory=dict)
    failed_tests: list[dict[str, Any]] = field(default_factory=list)
    warned_tests: list[dict[str, Any]] = field(default_factory=list)
    families: dict[str, dict[str, Any]] = field(default_factory=dict)
    status: str = "finished"
    unmatched: tuple[str, ...] = ()

    @property
    def built(self) -> list[str]:
        return [name for name, model in self.models.items() if model["status"] == "success"]

    @property
    def failures(self) -> list[str]:
        """One line for each reference table, model or test that failed, in this order; none for what was skipped."""
        models = [f"{name}: {m['message']}" for name, m in self.models.items() if m["status"] == "error"]
        seeds = [test for test in self.failed_tests if test["test"] in test["models"]]
        tests = [test for test in self.failed_tests if test not in seeds]
        return [*_told(seeds), *models, *_told(tests)]


def _told(tests: Iterable[Mapping[str, Any]]) -> list[str]:
    return [f"{test['test']}: {test['message']}" for test in tests]


@dataclass(frozen=True)
class Plan:
    """The models to run; None is all of them, seeds and their checks included."""

    models: frozenset[str] | None

    @property
    def empty(self) -> bool:
        return self.models is not None and not self.models


def build(
    storage: Storage,
    full_refresh: bool = False,
    select: str | None = None,
    start: str | None = None,
    end: str | None = None,
    tests: bool = False,
    progress: Progress | None = None,
    meanwhile: Callable[[], None] | None = None,
) -> BuildReport:
    """Bring the candidate marts up to the newest load; a run in which nothing is new starts no dbt.

    full_refresh builds every model from all loads; select (dbt's syntax) builds those models only; start and end (days,
    or hours such as `2026-03-01 05:00`, both included) recompute that range whatever is new; tests runs all dbt tests
    too; meanwhile is called once dbt is about to start, which it does in a process of its own. Raises AnalyticsError
    when dbt could not run at all; models and tests that failed are in the report.
    """
    with writer_lock(storage, "agent-analytics build"):
        prepare_lake(storage, load_contract())
        digest = project_digest()
        last = read_last_build(storage)
        plan = Plan(None)
        if not (full_refresh or select or start or tests):
            plan = plan_models(storage, digest, last)
            if plan.empty and last is not None:
                return last
        _wait_until_writable(storage.warehouse)
        failed_before, warned_before = _tests_before(storage, "failed_tests"), _tests_before(storage, "warned_tests")
        durable.write_json(
            storage.build_record, _running(digest) | {"failed_tests": failed_before, "warned_tests": warned_before}
        )
        options: dict[str, Any] = {"full_refresh": full_refresh, "start": start, "end": end}

        def dbt(plan: Plan, **more: Any) -> Invocation:
            arguments = dbt_arguments(storage, plan, **(options | more))
            environment = dbt_environment(storage) | {"DBT_PROJECT_DIGEST": digest}
            return worker().invoke(arguments, environment, digest, plan.models, progress)

        started = _now()
        if meanwhile:
            meanwhile()
        again = [test["test"] for test in (*failed_before, *warned_before)]
        invocations = [dbt(plan, select=select, tests=tests, again=again)]
        if select and not invocations[0].nodes and not invocations[0].error:
            raise AnalyticsError(f"--select {select}: nothing in the project is called that")
        if not invocations[0].nodes and invocations[0].error:
            kind = TransientError if says_transient(invocations[0].error) else AnalyticsError
            raise kind(advised(f"dbt could not run: {invocations[0].error}"))
        if held_back := models_held_back(invocations[0]):
            more = dbt(Plan(held_back), full_refresh=True)
            invocations += [more] if more.nodes else []
        whole = invocations[0].success and not select
        report = _report(storage, invocations, started, digest if whole else None, last, failed_before, warned_before)
        durable.write_json(storage.build_record, vars(report))
        return replace(report, unmatched=invocations[0].unmatched) if select else report


# What to run


def project_digest() -> str:
    """A digest of all that decides what dbt does: files, and the days that hourly marts hold."""
    digest = hashlib.sha256(f"{Policy.from_env().hourly_days} days".encode())
    for path in sorted(_project_files()):
        digest.update(str(path.relative_to(PROJECT_ROOT)).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _project_files() -> Iterable[Path]:
    for name in PROJECT_FILES:
        path = PROJECT_ROOT / name
        files = [path] if path.is_file() else path.rglob("*")
        # Whoever imports a model that is written in Python leaves its bytecode beside it.
        yield from (file for file in files if file.is_file() and file.suffix != ".pyc")


def plan_models(storage: Storage, digest: str, last: BuildReport | None) -> Plan:
    """The models that have something to do (promise 6); all of them in a new warehouse or a changed project."""
    if last is None or last.project != digest or not storage.warehouse.exists() or not manifest.is_of(digest):
        return Plan(None)
    try:
        models = manifest.model_nodes()
    except AnalyticsError:  # absent or half written: dbt writes it anew
        return Plan(None)
    watermarks = _watermarks(storage)
    if any(found["newest_invocation"] != last.build_id for found in watermarks.values()):
        return Plan(None)  # somebody ran dbt by hand since: the gate will want a build of ours
    ledger = Ledger(storage)
    if any(found["loaded_through"] > ledger.last_load_id() for found in watermarks.values()):
        return Plan(None)  # another ledger
    as_of = _timestamp(ledger.as_of())
    newest = newest_load_by_source(ledger)
    children = _children(models)
    due = {
        node["name"]
        for node in models.values()
        if node["config"]["materialized"] != "view"
        and _is_due(node, watermarks.get(node["name"]), last.models.get(node["name"]), newest, as_of)
    }
    pending = list(due)
    while pending:
        for child in children.get(pending.pop(), ()):
            if child not in due:
                due.add(child)
                pending.append(child)
    return Plan(frozenset(due))


def newest_load_by_source(ledger: Ledger) -> dict[str, int]:
    """Per source, the newest load that changes what is read of it: by its own events, or by taking others back."""
    newest: dict[str, int] = {}
    sources: dict[int, set[str]] = {}
    for entry in ledger.entries():
        sources[entry.load_id] = {file.source for file in entry.lake}
        if entry.retracts is not None:
            sources[entry.load_id] |= sources.get(entry.retracts, set())
        for source in sources[entry.load_id]:
            newest[source] = entry.load_id
    return newest


def _is_due(
    node: dict[str, Any],
    watermark: dict[str, Any] | None,
    last: dict[str, Any] | None,
    newest: Mapping[str, int],
    as_of: datetime | None,
) -> bool:
    if watermark is None or last is None or last["status"] not in ("success", "unchanged"):
        return True
    if watermark["fingerprint"] == manifest.HELD_BACK:
        return True
    if any(newest.get(source, 0) > watermark["loaded_through"] for source in watermark["sources"]):
        return True
    boundary = (node["config"].get("meta") or {}).get("boundary")
    return boundary is not None and boundary_passed(boundary, watermark["as_of"], as_of)


def boundary_passed(boundary: str, before: datetime | None, after: datetime | None) -> bool:
    """Whether the data clock has passed the boundary that a model hangs on: instant, hour, day, local_day or month.

    local_day is a day in the time zone of some tenant of the reference table, or in UTC. Raises AnalyticsError for
    another word.
    """
    if before == after:
        return False
    if before is None or after is None or boundary == "instant":
        return True
    if boundary == "local_day":
        zones = _tenant_zones()
        return [_local_day(before, zone) for zone in zones] != [_local_day(after, zone) for zone in zones]
    formats = {"hour": "%Y-%m-%d %H", "day": "%Y-%m-%d", "month": "%Y-%m"}
    if boundary not in formats:
        raise AnalyticsError(
            f"meta.boundary: unknown boundary {boundary!r}; one of instant, hour, day, local_day, month"
        )
    return before.strftime(formats[boundary]) != after.strftime(formats[boundary])


def _tenant_zones() -> list[ZoneInfo]:
    with open(PROJECT_ROOT / "seeds" / "tenants.csv", encoding="utf-8", newline="") as rows:
        return [ZoneInfo(name) for name in sorted({row["timezone"] for row in csv.DictReader(rows)} | {"UTC"})]


def _local_day(moment: datetime, zone: ZoneInfo) -> date:
    return moment.replace(tzinfo=UTC).astimezone(zone).date()


def _children(models: Mapping[str, dict[str, Any]]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for node in models.values():
        for parent in node["depends_on"]["nodes"]:
            if parent in models:
                found.setdefault(models[parent]["name"], set()).add(node["name"])
    return found


def _wait_until_writable(warehouse: Path) -> None:
    """Let another program that has the warehouse open close it within a few seconds.

    dbt would wait for each of its connections, some twenty times as long in all. Raises TransientError, which names
    the program's process.
    """
    for pause in (*PAUSES, 0):
        try:
            if warehouse.exists():
                duckdb.connect(str(warehouse)).close()
            return
        except duckdb.IOException as error:
            if LOCKED not in str(error):
                return  # dbt says what is wrong
            if not pause:
                raise TransientError(advised(f"{warehouse} cannot be opened: {error}")) from None
        time.sleep(pause)


def _watermarks(storage: Storage) -> dict[str, dict[str, Any]]:
    """By model, its watermark, if its table is that which the watermark is of, and the newest dbt invocation of all."""
    try:
        with duckdb.connect(str(storage.warehouse), read_only=True) as warehouse:
            rows = warehouse.execute(
                "select w.model, w.loaded_through, w.as_of, w.sources, w.changed_by, w.fingerprint, r.invocation_id"
                " from ops.model_watermarks as w cross join ops.run as r"
                " inner join duckdb_tables() as t on w.model = t.table_name and w.token = t.comment"
            ).fetchall()
    except duckdb.CatalogException:
        return {}
    except duckdb.Error as error:
        raise AnalyticsError(advised(f"{storage.warehouse} cannot be opened: {error}")) from None
    names = ("loaded_through", "as_of", "sources", "changed_by", "fingerprint", "newest_invocation")
    return {row[0]: dict(zip(names, row[1:], strict=True)) for row in rows}


def models_held_back(invocation: Invocation) -> frozenset[str]:
    """The models of families that are always published (promise 7) which dbt skipped because another family failed.

    They are built whole from what the failed models' tables hold since their last build; publish shows the rows of
    those families as they were published last. Events are missing above an incremental one: its watermark doesn't count
    (`record_watermark`), so that the next run builds it whole again. A model one of whose own reference tables failed
    its checks is left alone.
    """
    nodes = {key: node for key, node in manifest.nodes().items() if key in invocation.nodes}
    failed = [key for key in nodes if invocation.nodes[key].status in ("error", "fail")]
    if not failed:
        return frozenset()
    refused = {
        table for key in failed if nodes[key]["resource_type"] != "model" for table in (key, *_tested(nodes[key]))
    }
    members = {
        name for family in manifest.read().families.values() if family.always_published for name in family.members
    }
    return frozenset(
        node["name"]
        for key, node in nodes.items()
        if invocation.nodes[key].status == "skipped"
        and node["name"] in members
        and not refused.intersection(node["depends_on"]["nodes"])
    )


# How to run it


def dbt_arguments(
    storage: Storage,
    plan: Plan,
    full_refresh: bool = False,
    select: str | None = None,
    start: str | None = None,
    end: str | None = None,
    tests: bool = False,
    again: Sequence[str] = (),
) -> list[str]:
    """The dbt command for a build. A tick runs no tests but those of changed seeds, since the gate checks the rest, and
    those that failed before (`again`).

    What dbt would write beside the tables, the manifest foremost, is there since the project was last parsed.
    """
    arguments = ["--quiet", "--no-use-colors", "--log-path", str(storage.root / "logs"), "--log-level-file", "info"]
    arguments += ["--log-level", "none", "--no-write-json", "build", "--target", "prod"]
    if select:
        arguments += ["--select", *select.split(), "--exclude-resource-type", "unit_test"]
    elif plan.models is not None:
        arguments += ["--select", f"tag:{DUE}", *again, "--indirect-selection", "empty"]
    elif not tests:
        arguments += ["--select", "tag:reference", "resource_type:model", *again, "--indirect-selection", "empty"]
    if full_refresh:
        arguments.append("--full-refresh")
    if start:
        dates = {"backfill_from": start, "backfill_to": end or start}
        arguments += ["--vars", json.dumps(dates)]
    return arguments


def dbt_environment(storage: Storage) -> dict[str, str]:
    """What dbt must know: the storage root and the policy."""
    (storage.archive / "marts").mkdir(parents=True, exist_ok=True)
    return {
        "ANALYTICS_STORAGE": str(storage.root),
        "ANALYTICS_HOURLY_DAYS": str(Policy.from_env().hourly_days),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    }


# What came of it


def read_last_build(storage: Storage) -> BuildReport | None:
    """The last finished build; None if there is none, or it did not finish."""
    try:
        record = json.loads(storage.build_record.read_text(encoding="utf-8"))
        return BuildReport(**record) if record["status"] == "finished" else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _tests_before(storage: Storage, kind: str) -> list[dict[str, Any]]:
    """The tests that have failed and not passed since, as the last build says, even one that was killed."""
    try:
        return [dict(test) for test in json.loads(storage.build_record.read_text(encoding="utf-8"))[kind]]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _running(digest: str) -> dict[str, Any]:
    return {"build_id": None, "status": "running", "pid": os.getpid(), "started_at": _now(), "project": digest}


def _report(
    storage: Storage,
    invocations: Sequence[Invocation],
    started: str,
    digest: str | None,
    last: BuildReport | None,
    failed_before: Sequence[dict[str, Any]],
    warned_before: Sequence[dict[str, Any]],
) -> BuildReport:
    """What the invocations of one build did. Of a node that ran in several the last result counts; the build has the
    id of the last one, which is what the warehouse names. A test that failed before has failed until it passes."""
    nodes = manifest.nodes()
    watermarks = _watermarks(storage)
    ended = {key: result for invocation in invocations for key, result in invocation.nodes.items() if key in nodes}
    results = {nodes[key]["name"]: result for key, result in ended.items()}
    ids = {invocation.invocation_id for invocation in invocations}
    models = {
        node["name"]: _model_status(node["name"], results.get(node["name"]), watermarks, ids, last)
        for node in nodes.values()
        if node["resource_type"] == "model"
    }
    models |= {name: _skipped(model, models) for name, model in models.items()}
    known = {node["name"] for node in nodes.values()}
    # dbt skips a test of a model that isn't built; that says nothing.
    ran = {name for name, result in results.items() if result.status != "skipped"}

    def complaints(statuses: Iterable[str], before: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        found = [
            _failed_test(storage, nodes[key], nodes, result)
            for key, result in ended.items()
            if nodes[key]["resource_type"] in ("test", "unit_test", "seed") and result.status in statuses
        ]
        return found + [test for test in before if test["test"] in known and test["test"] not in ran]

    failed_tests = complaints(("fail", "error"), failed_before)
    ledger = Ledger(storage)
    return BuildReport(
        build_id=invocations[-1].invocation_id or started,
        load_id=ledger.last_load_id(),
        as_of=ledger.as_of(),
        started_at=started,
        finished_at=_now(),
        project=digest or "",
        models=models,
        failed_tests=failed_tests,
        warned_tests=complaints(("warn",), warned_before),
        families=_families(manifest.project(nodes), models, failed_tests),
    )


def _model_status(
    name: str,
    result: NodeResult | None,
    watermarks: Mapping[str, dict[str, Any]],
    ids: set[str | None],
    last: BuildReport | None,
) -> dict[str, Any]:
    if result is None:
        before = last.models.get(name) if last else None
        if before and before["status"] in ("error", "skipped"):
            return before
        return {"status": "unchanged", "rows_changed": False, "seconds": 0.0, "message": None}
    changed = name in watermarks and watermarks[name]["changed_by"] in ids
    message = None if result.status == "success" else advised(result.message or "")
    return {"status": result.status, "rows_changed": changed, "seconds": result.seconds, "message": message}


def _skipped(model: dict[str, Any], models: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """A model that is built although another failed can't be as long as that one has never been built."""
    absent = ABSENT.search(model["message"] or "") if model["status"] == "error" else None
    if absent and absent[1] in models and models[absent[1]]["status"] in ("error", "skipped"):
        return model | {"status": "skipped", "message": f"{absent[1]} isn't there yet"}
    return model


def _failed_test(
    storage: Storage, test: dict[str, Any], nodes: Mapping[str, dict[str, Any]], result: NodeResult
) -> dict[str, Any]:
    tested = [nodes[key] for key in _tested(test) if key in nodes] or [test]
    rows = _failing_rows(storage, result.compiled) if result.status in ("fail", "warn") else ""
    return {
        "test": test["name"],
        "models": [node["name"] for node in tested],
        "message": f"{tested[0]['original_file_path']}: {rows or advised(result.message or '')}",
    }


def _tested(test: dict[str, Any]) -> list[str]:
    """The unique ids of what a test is about."""
    return [test["attached_node"]] if test.get("attached_node") else test["depends_on"].get("nodes", [])


def _failing_rows(storage: Storage, query: str | None) -> str:
    """The first rows that a test complains of, as `column=value` text."""
    if not query:
        return ""
    try:
        with duckdb.connect(str(storage.warehouse), read_only=True) as warehouse:
            found = warehouse.execute(query)
            names = [column[0] for column in found.description or ()]
            rows = found.fetchmany(3)
    except duckdb.Error:
        return ""
    return "; ".join(", ".join(f"{n}={v}" for n, v in zip(names, row, strict=True) if v is not None) for row in rows)


def _families(
    project: manifest.Project, models: Mapping[str, dict[str, Any]], failed_tests: list[dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    found = {}
    for family in project.families.values():
        causes = [
            f"{m} {models[m]['status']}" for m in sorted(family.members) if models[m]["status"] in ("error", "skipped")
        ]
        causes += [f"test {t['test']} failed" for t in failed_tests if family.members & set(t["models"])]
        found[family.name] = {"ok": not causes, "why": "; ".join(causes) or None, "gated": family.gated}
    return found


def _timestamp(text: str | None) -> datetime | None:
    """The ledger's text as the naive UTC datetime that the warehouse holds."""
    return None if text is None else datetime.fromisoformat(text).astimezone(UTC).replace(tzinfo=None)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
