"""The gate: Great Expectations decides, family by family, whether this build's marts may be published.

The suites are in `expectations/`. One checkpoint per family validates each of its marts in the warehouse, opened
read-only; the outcome is `gates/<family>.json`, bound to the build by its id, and a page per mart in Data Docs. What
is not a complete and good result is a failure: an exception, a missing table, a missing suite, a mart without
expectations, an expectation that could not be evaluated.

What is known is not validated again. Gating the same build a second time returns the first result, as long as the
warehouse's file and the suite are as they were. For another build, results are carried over where there is proof that
they would be the same: the evidence kept with each result, a digest of the expectations and of the state (watermark
token, fingerprint, last change, number of rows) of every relation that they read, and of the data clock where they read
it. Without evidence for one of the relations nothing is carried over, nor is a failure.
"""

from __future__ import annotations

import html
import importlib
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import duckdb

import expectations
from agent_analytics import durable
from agent_analytics.errors import AnalyticsError, advised
from agent_analytics.gate_evidence import (
    Outcome,
    Validation,
    Warehouse,
    can_be_narrowed,
    digest,
    open_warehouse,
    survey,
    validations,
)
from agent_analytics.locking import writer_lock
from agent_analytics.storage import Storage
from expectations import Suite

if TYPE_CHECKING:
    from agent_analytics.gx_duckdb import Validator

Json = dict[str, Any]

PASSED, FAILED, ACCEPTED = "passed", "failed", "accepted"
ALL_ROWS = "all rows"


@dataclass(frozen=True)
class ExpectationResult:
    """The outcome of one expectation.

    scope: `all rows`, or `rows of loads after <n>` for a row check whose older rows were checked before.
    carried_from: the build for which it was evaluated, if not for this one. evidence: see the module's text.
    """

    expectation: str
    mart: str
    columns: list[str]
    severity: str
    success: bool
    observed: str
    unexpected: int
    sample: list[Any]
    evaluated: bool = True
    scope: str = ALL_ROWS
    carried_from: str | None = None
    evidence: str | None = None

    @property
    def blocks(self) -> bool:
        return not self.success and self.severity == expectations.CRITICAL

    @property
    def told(self) -> str:
        """One line: the mart, the columns, the expectation, how many rows, the first of them."""
        where = f"{self.mart} ({', '.join(self.columns)})" if self.columns else self.mart
        if not self.evaluated:
            return f"{where}: {self.expectation} could not be evaluated: {self.observed}"
        rows = f"{self.unexpected} row{'' if self.unexpected == 1 else 's'}"
        example = f", e.g. {_one_line(self.sample[0])}" if self.sample else ""
        return f"{where}: {self.expectation} fails on {rows}{example}"


@dataclass(frozen=True)
class GateResult:
    """What `gates/<family>.json` holds.

    load_id: the load through which the build went; loaded_through: by mart, the load up to which it had read; state: by
    mart, what must be the same for rows of these loads to be unchanged (rows found good then need not be looked at
    again); proof: a digest of the build, the warehouse's file and the suite that this is the result of. why: one line,
    None if passed.
    """

    family: str
    build_id: str
    status: str
    evaluated: int
    expected: int
    results: list[ExpectationResult] = field(default_factory=list)
    why: str | None = None
    accepted: Json | None = None
    load_id: int | None = None
    loaded_through: dict[str, int | None] = field(default_factory=dict)
    state: dict[str, str | None] = field(default_factory=dict)
    proof: str | None = None

    @property
    def ok(self) -> bool:
        return self.status in (PASSED, ACCEPTED)

    @property
    def failures(self) -> list[ExpectationResult]:
        """Failed expectations of severity critical."""
        return [result for result in self.results if result.blocks]

    @property
    def warnings(self) -> list[ExpectationResult]:
        """Failed expectations that don't block."""
        return [result for result in self.results if not result.success and not result.blocks]

    @property
    def carried(self) -> bool:
        """Whether nothing had to be validated for this build."""
        return bool(self.results) and all(result.carried_from for result in self.results)


class _Lazily(MetaPathFinder):
    """Modules that Great Expectations imports, a third of its time, and that nothing here uses: charts, and tests of
    distributions. They load when they are used, as if imported then."""

    NAMES = ("altair", "scipy.stats")

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
        found = PathFinder.find_spec(fullname, path, target) if fullname in self.NAMES else None
        if found and found.loader:
            found.loader = LazyLoader(found.loader)
        return found


def import_great_expectations() -> ModuleType:
    """Import Great Expectations (4 seconds); may be called in a thread while something else goes on."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    finder = _Lazily()
    sys.meta_path.insert(0, finder)
    try:
        return importlib.import_module("agent_analytics.gx_duckdb")
    finally:
        sys.meta_path.remove(finder)


def gate(
    storage: Storage,
    families: Sequence[str] | None = None,
    progress: Callable[[str], None] | None = None,
) -> dict[str, GateResult]:
    """Validate the families (all that the build or a suite knows, if None) and write their gate files and Data Docs.

    `progress` is told one line per family that is gated. A family that fails is a result, not an exception. Raises
    AnalyticsError when there is no finished build, when the warehouse is not that build's, or when another process is
    writing.
    """
    with writer_lock(storage, "agent-analytics gate"):
        build = _finished_build(storage)
        with open_warehouse(storage.warehouse) as connection:
            started = _Pass(storage, build, connection)
            built = build.get("families", {})
            known = {*expectations.families(), *(name for name in built if built[name].get("gated", True))}
            before = {family: read(storage, family) for family in sorted(known if families is None else families)}
            results = {family: result for family, result in before.items() if result and started.has_result(result)}
            for family in sorted(before.keys() - results.keys()):
                results[family] = _gated(started, family, before[family])
                (progress or _silent)(_told(results[family]))
        if results != before:
            _write_index(storage)
        return {family: results[family] for family in before}


def accept(storage: Storage, family: str, reason: str, actor: str) -> GateResult:
    """Let the present failed result of a family through, for a stated reason.

    Raises AnalyticsError unless the family's gate file is of the present build, completely evaluated, and failed.
    """
    if not reason.strip():
        raise AnalyticsError(f"accepting the gate of {family} needs a reason: --reason '...'")
    if family not in expectations.families():
        raise AnalyticsError(f"no family is called {family}: there are {', '.join(expectations.families())}")
    with writer_lock(storage, "agent-analytics gate --accept"):
        build = _finished_build(storage)
        found = read(storage, family)
        if found is None or found.build_id != build["build_id"]:
            raise AnalyticsError(f"{family} was not gated for the present build: run agent-analytics gate")
        if found.status != FAILED:
            raise AnalyticsError(f"the gate of {family} has {found.status}: there is nothing to accept")
        if found.evaluated != found.expected:
            raise AnalyticsError(
                f"the gate of {family} evaluated {found.evaluated} of {found.expected} expectations, so there is no "
                f"result to accept: {found.why}"
            )
        taken = replace(
            found,
            status=ACCEPTED,
            accepted={
                "reason": reason.strip(),
                "actor": actor,
                "at": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
                "build_id": found.build_id,
            },
        )
        _write(storage, taken)
        _write_index(storage)
        return taken


def read(storage: Storage, family: str) -> GateResult | None:
    """The family's last gate result, of whatever build; None if there is none, or none that can be read."""
    try:
        found = json.loads((storage.gates / f"{family}.json").read_text(encoding="utf-8"))
        found["results"] = [ExpectationResult(**result) for result in found["results"]]
        result = GateResult(**found)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return result if result.family == family else None


def _write(storage: Storage, result: GateResult) -> None:
    durable.write_json(storage.gates / f"{result.family}.json", asdict(result))


def _silent(_: str) -> None: ...


# What is to be gated


def _finished_build(storage: Storage) -> Json:
    try:
        build = json.loads(storage.build_record.read_text(encoding="utf-8"))
        if build["status"] == "finished" and build["build_id"] and isinstance(build["models"], dict):
            return dict(build)
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise AnalyticsError(f"the last build did not finish ({storage.build_record}): run agent-analytics build")


# One family


class _Pass:
    """What families gated together share: the build, its warehouse, and the validator, made by the first family that
    has something to validate."""

    def __init__(self, storage: Storage, build: Json, connection: duckdb.DuckDBPyConnection) -> None:
        self.storage = storage
        self.build_id: str = build["build_id"]
        self.models: Json = build["models"]
        self.warehouse: Warehouse = survey(connection, storage.warehouse, self.build_id)
        self._connection = connection

    def proof(self, family: str) -> str:
        return digest(self.build_id, self.warehouse.file, repr(expectations.load(family)))

    def has_result(self, result: GateResult) -> bool:
        """Whether this is a complete result for this very build, warehouse and suite."""
        try:
            return result.evaluated == result.expected and result.proof == self.proof(result.family)
        except Exception:
            return False

    @cached_property
    def validator(self) -> Validator:
        found: Validator = import_great_expectations().Validator(self._connection)
        return found


def _gated(started: _Pass, family: str, before: GateResult | None) -> GateResult:
    try:
        result = _still_accepted(_validated(started, expectations.load(family), before), before)
    except Exception as error:
        result = GateResult(
            family=family,
            build_id=started.build_id,
            status=FAILED,
            evaluated=0,
            expected=_expected(family),
            why=advised(f"the gate could not validate {family}: {_one_line(error)}"),
            load_id=started.warehouse.load_id,
        )
    _write(started.storage, result)
    return result


def _expected(family: str) -> int:
    """At least one: nothing evaluated must never be everything."""
    try:
        return max(1, len(expectations.load(family).expectations))
    except Exception:
        return 1


def _validated(started: _Pass, suite: Suite, before: GateResult | None) -> GateResult:
    warehouse = started.warehouse
    state = {mart.name: warehouse.row_state(suite.family, mart) for mart in suite.marts}
    results: dict[str, list[ExpectationResult]] = {}
    due: list[Validation] = []
    for validation in validations(suite):
        carried = _carried(started, validation, before)
        if carried:
            results[validation.name] = carried
        else:
            due.append(replace(validation, since=_checked_before(started, validation, state, before)))
    outcomes = _run(started, suite.family, due)
    results |= {validation.name: _results(validation, outcomes.get(validation.name), warehouse) for validation in due}
    listed = [result for found in results.values() for result in found] + _uncovered(warehouse, suite)
    return _concluded(
        GateResult(
            family=suite.family,
            build_id=started.build_id,
            status=FAILED,
            evaluated=sum(result.evaluated for result in listed),
            expected=max(1, len(listed)),
            results=listed,
            load_id=warehouse.load_id,
            # Not the build's: a mart that wasn't built along reads the newest load only later.
            loaded_through={mart.name: warehouse.loaded_through.get((suite.family, mart.name)) for mart in suite.marts},
            state=state,
            proof=started.proof(suite.family),
        )
    )


def _concluded(result: GateResult) -> GateResult:
    """The result with its status, and why: what could not be evaluated comes first."""
    bad = sorted(
        (each for each in result.results if each.blocks or not each.evaluated), key=lambda each: each.evaluated
    )
    if not result.results:
        return replace(result, why=f"the suite of {result.family} expects nothing")
    if not bad:
        return replace(result, status=PASSED)
    more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
    return replace(result, why=bad[0].told + more)


def _still_accepted(result: GateResult, before: GateResult | None) -> GateResult:
    """An acceptance is for one result; it holds on while a later build finds that very result, on unchanged rows."""
    if result.status != FAILED or before is None or before.status != ACCEPTED or result.evaluated != result.expected:
        return result
    known = {(each.mart, each.expectation, each.unexpected, each.evidence) for each in before.failures}
    same = all(
        each.evidence and (each.mart, each.expectation, each.unexpected, each.evidence) in known
        for each in result.failures
    )
    return replace(result, status=ACCEPTED, accepted=before.accepted) if same else result


def _told(result: GateResult) -> str:
    counted = f"{result.evaluated} of {result.expected} expectations"
    carried = ", nothing changed" if result.carried else ""
    warned = f", {len(result.warnings)} warned: {result.warnings[0].told}" if result.warnings else ""
    return f"{result.family}: {result.status} ({counted}{carried}{warned}){f': {result.why}' if result.why else ''}"


# What is carried over


def _earlier(validation: Validation, before: GateResult | None) -> dict[str, ExpectationResult]:
    """The results of the validation's expectations in an earlier gate file, by expectation."""
    names = {expectation.name for expectation in validation.expectations}
    found = before.results if before else []
    return {each.expectation: each for each in found if each.mart == validation.mart.name and each.expectation in names}


def _carried(started: _Pass, validation: Validation, before: GateResult | None) -> list[ExpectationResult]:
    """The validation's results of the build before, if they must be this build's too; else nothing."""
    evidence = started.warehouse.evidence(validation)
    if before is None or before.build_id == started.build_id or evidence is None:
        return []
    if started.models.get(validation.mart.name, {}).get("rows_changed") is not False:
        return []
    earlier = _earlier(validation, before)
    if len(earlier) != len(validation.expectations):
        return []
    if not all(each.evaluated and not each.blocks and each.evidence == evidence for each in earlier.values()):
        return []
    return [replace(each, carried_from=each.carried_from or before.build_id) for each in earlier.values()]


def _checked_before(
    started: _Pass, validation: Validation, state: dict[str, str | None], before: GateResult | None
) -> dict[str, int]:
    """The load up to which rows were found good, by expectation; nothing where every row must be looked at."""
    name = validation.mart.name
    if before is None or before.build_id == started.build_id:
        return {}
    loaded_through = before.loaded_through.get(name)
    if loaded_through is None or state[name] is None or before.state.get(name) != state[name]:
        return {}
    earlier = _earlier(validation, before)
    return {
        expectation.name: loaded_through
        for expectation in validation.expectations
        if can_be_narrowed(expectation) and expectation.name in earlier and earlier[expectation.name].success
    }


# What is validated


def _run(started: _Pass, family: str, due: Sequence[Validation]) -> dict[str, dict[str, Outcome]]:
    """By validation and expectation, the outcomes of the family's checkpoint. A mart that is absent has none."""
    present = [each for each in due if (family, each.mart.name) in started.warehouse.columns]
    if not present:
        return {}
    found = started.validator.run(family, present)
    outcomes = {}
    for validation in present:
        if validation.name in found:
            outcomes[validation.name], rendered = found[validation.name]
            _write_page(started.storage, validation, outcomes[validation.name], rendered)
    return outcomes


def _results(
    validation: Validation, outcomes: dict[str, Outcome] | None, warehouse: Warehouse
) -> list[ExpectationResult]:
    absent = Outcome(False, 0, [], f"{validation.family}.{validation.mart.name} is not in the warehouse")
    silent = Outcome(False, 0, [], "Great Expectations gave no result")
    evidence = warehouse.evidence(validation)
    results = []
    for expectation in validation.expectations:
        outcome = absent if outcomes is None else outcomes.get(expectation.name, silent)
        since = validation.since.get(expectation.name)
        results.append(
            ExpectationResult(
                expectation=expectation.name,
                mart=validation.mart.name,
                columns=list(expectation.columns),
                severity=expectation.severity,
                success=outcome.success and outcome.raised is None,
                observed=outcome.raised or f"{outcome.unexpected} unexpected",
                unexpected=outcome.unexpected,
                sample=outcome.sample,
                evaluated=outcome.raised is None,
                scope=ALL_ROWS if since is None else f"rows of loads after {since}",
                evidence=evidence,
            )
        )
    return results


def _uncovered(warehouse: Warehouse, suite: Suite) -> list[ExpectationResult]:
    """Marts of the family that no expectation looks at. Its schema may hold tables of marts that it had once."""
    covered = {mart.name for mart in suite.marts}
    return [
        ExpectationResult(
            expectation="has_expectations",
            mart=table,
            columns=[],
            severity=expectations.CRITICAL,
            success=False,
            observed=f"expectations/{suite.family}.py does not name it",
            unexpected=0,
            sample=[],
            evaluated=False,
        )
        for schema, table in sorted(warehouse.models)
        if schema == suite.family and table not in covered
    ]


# Data Docs


def _page(validation_name: str) -> Path:
    family, mart = validation_name.split(".", 1)
    return Path("validations", family, f"{mart}.html")


def _write_page(
    storage: Storage, validation: Validation, outcomes: dict[str, Outcome], rendered: Callable[[], str]
) -> None:
    """Write a validation's page, unless the one that is there shows these very outcomes: its run time then tells since
    when they are so."""
    path = storage.data_docs / _page(validation.name)
    shows = f"<!-- {digest(repr(validation.expectations), repr(outcomes))} -->"
    if not path.exists() or not path.read_text(encoding="utf-8").endswith(shows):
        _write_html(path, rendered() + shows)


def _write_index(storage: Storage) -> None:
    """The front page: every family's gate, its marts and their pages; unlike the pages it needs no network."""
    found = [read(storage, path.stem) for path in sorted(storage.gates.glob("*.json"))]
    families = "\n".join(_index_entry(storage, result) for result in found if result is not None)
    _write_html(storage.data_docs / "index.html", INDEX.replace("FAMILIES", families))


def _write_html(path: Path, content: str) -> None:
    """Whole or not at all, but not through `durable`: pages are only looked at, and made again when they are lost."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_text(content, encoding="utf-8")
    part.replace(path)


def _index_entry(storage: Storage, result: GateResult) -> str:
    rows = []
    for mart in dict.fromkeys(each.mart for each in result.results):
        own = [each for each in result.results if each.mart == mart]
        pages = [_page(f"{result.family}.{mart}{suffix}") for suffix in ("", "-clock")]
        links = " ".join(
            f'<a href="{page}">{"data clock" if page.stem.endswith("-clock") else "rows"}</a>'
            for page in pages
            if (storage.data_docs / page).exists()
        )
        failed = "; ".join(_shown_outcome(each) for each in own if not each.success) or "all hold"
        rows.append(
            f"<tr><td>{html.escape(mart)}</td><td>{len(own)}</td><td>{html.escape(failed)}</td><td>{links}</td></tr>"
        )
    why = f"<p>{html.escape(result.why)}</p>" if result.why else ""
    return (
        f'<h2 id="{result.family}">{result.family} <span class="{result.status}">{result.status}</span></h2>{why}'
        f"<p>build {html.escape(result.build_id)}, {result.evaluated} of {result.expected} expectations evaluated</p>"
        f"<table><tr><th>mart</th><th>expectations</th><th>outcome</th><th>pages</th></tr>{''.join(rows)}</table>"
    )


def _shown_outcome(result: ExpectationResult) -> str:
    return result.told if result.blocks or not result.evaluated else f"warning: {result.told}"


INDEX = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>agent-analytics: gates</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { border-bottom: 1px solid #ddd; padding: .3rem .6rem; text-align: left; vertical-align: top; }
.passed { color: #0a7d33; } .failed { color: #b3261e; } .accepted { color: #8a5a00; }
</style>
<h1>Gates</h1>
FAMILIES
</html>
"""


def _one_line(value: Any) -> str:
    if isinstance(value, BaseException):
        value = str(value) or type(value).__name__
    if isinstance(value, dict):
        value = ", ".join(f"{name}={inner}" for name, inner in value.items())
    return " ".join(str(value).split())[:300]
