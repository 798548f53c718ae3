"""The gate lets nothing through that it has not looked at, and looks at nothing twice without need."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest
from gate_warehouse import FAMILIES, create, next_build, tables, write_build
from planted import one_row
from planted.delivery import FAULTS as DELIVERY_FAULTS
from planted.swarm import FAULTS as SWARM_FAULTS

import expectations
from agent_analytics import gate as gates
from agent_analytics.errors import AnalyticsError
from agent_analytics.gate import GateResult, accept, gate, import_great_expectations
from agent_analytics.storage import Storage

FREQUENCY = "delivery.deployment_frequency_daily"
PERFORMANCE = "delivery.delivery_performance_monthly"
SWARM = "swarm.agent_efficiency_daily"
FAULTS = DELIVERY_FAULTS | SWARM_FAULTS


@pytest.fixture(scope="session")
def gated(tmp_path_factory: pytest.TempPathFactory) -> Storage:
    """Build b1, gated and passed; never changed."""
    import_great_expectations()
    storage = create(tmp_path_factory.mktemp("gate") / "storage")
    gate(storage, FAMILIES)
    return storage


@pytest.fixture
def storage(gated: Storage, tmp_path: Path) -> Storage:
    """A copy of build b1 as gated, to be spoilt."""
    return Storage(Path(shutil.copytree(gated.root, tmp_path / "storage")))


def built_whole(mart: str) -> str:
    """After this no row of the mart counts as looked at before."""
    return f"update ops.model_watermarks set fingerprint = 'another' where model = '{mart}'"


def query(storage: Storage, sql: str) -> None:
    with duckdb.connect(str(storage.warehouse)) as connection:
        connection.execute(sql)


def gate_file(storage: Storage, family: str) -> dict[str, object]:
    found = json.loads((storage.gates / f"{family}.json").read_text())
    assert isinstance(found, dict)
    return found


# What decides


def test_a_good_build_passes_with_every_expectation_evaluated(gated: Storage) -> None:
    for family in FAMILIES:
        found = gates.read(gated, family)
        assert found is not None
        assert (found.status, found.build_id, found.why, found.warnings) == ("passed", "b1", None, [])
        assert found.evaluated == found.expected == len(expectations.load(family).expectations)


@pytest.mark.parametrize("name", [f"{PERFORMANCE}.rates", f"{FREQUENCY}.dense", f"{SWARM}.counts"])
def test_a_critical_failure_fails_its_family(storage: Storage, name: str) -> None:
    family, mart, expectation = name.split(".")
    next_build(storage, "b2", mart, sql=f"{FAULTS[name]}; {built_whole(mart)}")
    found = gate(storage, FAMILIES)
    assert {name for name, result in found.items() if not result.ok} == {family}
    assert expectation in {each.expectation for each in found[family].failures if each.mart == mart}


def test_a_warehouse_without_a_single_event_passes(storage: Storage) -> None:
    with duckdb.connect(str(storage.warehouse)) as connection:
        for schema, table in tables(connection):
            connection.execute(f"delete from {schema}.{table}")
        connection.execute("update ops.run set as_of = null")
    assert {result.status for result in gate(storage, FAMILIES).values()} == {"passed"}


# What a failure says


def test_why_names_mart_columns_expectation_rows_and_an_example(storage: Storage) -> None:
    query(storage, f"update {SWARM} set escalations = -7 where rowid < 2")
    found = gate(storage, ["swarm"])["swarm"]
    assert found.why is not None
    assert found.why.startswith("agent_efficiency_daily (assignments, resolutions,")
    assert "counts fails on 2 rows, e.g. tenant_id=t" in found.why
    assert "escalations=-7" in found.why
    assert "\n" not in found.why
    assert (storage.data_docs / "validations/swarm/agent_efficiency_daily.html").exists()
    assert "counts fails on 2 rows" in (storage.data_docs / "index.html").read_text()


def test_a_warning_is_reported_and_does_not_block(storage: Storage) -> None:
    query(storage, one_row(PERFORMANCE, "median_lead_time_hours = -1"))
    said: list[str] = []
    found = gate(storage, ["delivery"], progress=said.append)["delivery"]
    assert found.status == "passed"
    assert [each.expectation for each in found.warnings] == ["lead_time"]
    assert "1 warned: delivery_performance_monthly (median_lead_time_hours): lead_time fails on 1 row" in said[0]
    page = (storage.data_docs / "index.html").read_text()
    assert "<td>warning: delivery_performance_monthly (median_lead_time_hours)" in page


def test_the_gate_file_is_bound_to_the_build(gated: Storage) -> None:
    found = gate_file(gated, "swarm")
    assert {"family", "build_id", "status", "evaluated", "expected", "results", "why", "accepted"} <= found.keys()
    assert (found["family"], found["build_id"], found["accepted"]) == ("swarm", "b1", None)


def test_a_page_is_written_when_its_outcomes_change_or_it_is_lost(storage: Storage) -> None:
    page = storage.data_docs / "validations/swarm/agent_efficiency_daily.html"
    shown = page.read_text()
    next_build(storage, "b2", "agent_efficiency_daily", load_id=2)
    gate(storage, ["swarm"])
    assert page.read_text() == shown
    page.unlink()
    next_build(storage, "b3", "agent_efficiency_daily", load_id=3)
    gate(storage, ["swarm"])
    assert page.read_text() != shown, "its run time is another"
    shown = page.read_text()
    spoil = one_row(SWARM, "escalations = -1, loaded_through = 4")
    next_build(storage, "b4", "agent_efficiency_daily", sql=spoil, load_id=4)
    gate(storage, ["swarm"])
    said = [text.replace("Failed Only", "") for text in (shown, page.read_text())]
    assert ["Failed" in text for text in said] == [False, True]


def test_nothing_is_written_but_gate_files_and_data_docs(storage: Storage) -> None:
    before = storage.warehouse.stat()
    shutil.rmtree(storage.gates)
    shutil.rmtree(storage.data_docs)
    gate(storage, FAMILIES)
    assert {path.name for path in storage.root.iterdir()} == {
        ".lock",
        "build.json",
        "data_docs",
        "gates",
        "warehouse.duckdb",
    }
    assert storage.warehouse.stat().st_mtime_ns == before.st_mtime_ns


# Failing closed


def test_a_missing_mart_fails(storage: Storage) -> None:
    query(storage, f"drop table {SWARM}")
    found = gate(storage, ["swarm"])["swarm"]
    assert (found.status, found.evaluated) == ("failed", 0)
    assert found.why is not None
    assert "swarm.agent_efficiency_daily is not in the warehouse" in found.why


def test_missing_staging_leaves_expectations_unevaluated(storage: Storage) -> None:
    query(storage, "drop table staging.stg_swarm__policy_checks")
    found = gate(storage, ["swarm"])["swarm"]
    assert found.status == "failed"
    assert 0 < found.evaluated < found.expected
    assert found.why is not None
    assert "could not be evaluated" in found.why


def test_a_missing_column_fails(storage: Storage) -> None:
    query(storage, f"alter table {SWARM} drop column is_outlier")
    found = gate(storage, ["swarm"])["swarm"]
    assert found.status == "failed"
    assert found.evaluated < found.expected


def test_a_mart_without_expectations_fails(storage: Storage) -> None:
    query(storage, "create table swarm.newcomer as select 1 as n")
    query(storage, "insert into ops.model_definitions values ('newcomer', 'swarm')")
    found = gate(storage, ["swarm"])["swarm"]
    assert found.status == "failed"
    assert found.why is not None
    assert "expectations/swarm.py does not name it" in found.why


def test_the_table_of_a_mart_that_is_gone_from_the_project_is_nobodys(storage: Storage) -> None:
    query(storage, "create table swarm.taken_out as select 1 as n")
    found = gate(storage, ["swarm"])["swarm"]
    assert (found.status, found.evaluated) == ("passed", found.expected)


def test_a_family_without_a_suite_fails(storage: Storage) -> None:
    write_build(storage, "b1", [], families={"newcomers": {"ok": True, "why": None}})
    found = gate(storage)["newcomers"]
    assert (found.status, found.evaluated) == ("failed", 0)
    assert found.expected > 0
    assert found.why is not None
    assert "write expectations/newcomers.py" in found.why


def test_what_is_published_along_and_belongs_to_no_family_is_not_gated(storage: Storage) -> None:
    along = {"ok": True, "why": None, "gated": False}
    write_build(storage, "b1", [], families={"intermediate": along, "newcomers": {"ok": True, "why": None}})
    found = gate(storage)
    assert "intermediate" not in found
    assert found["newcomers"].status == "failed"


def test_a_crash_fails_its_family_and_leaves_the_others_alone(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    validator = import_great_expectations().Validator
    run = validator.run

    def crash(self: object, family: str, due: object) -> object:
        if family == "delivery":
            raise RuntimeError("out of luck")
        return run(self, family, due)

    monkeypatch.setattr(validator, "run", crash)
    shutil.rmtree(storage.gates)
    found = gate(storage, ["delivery", "swarm"])
    assert (found["delivery"].status, found["swarm"].status) == ("failed", "passed")
    assert found["delivery"].why == "the gate could not validate delivery: out of luck"
    assert gate_file(storage, "delivery")["status"] == "failed"


def test_an_incomplete_result_is_not_taken_for_known(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(storage.gates)
    with monkeypatch.context() as patch:
        no_validation(patch)
        assert gate(storage, ["swarm"])["swarm"].status == "failed"
    assert gate(storage, ["swarm"])["swarm"].status == "passed"


def test_a_partial_result_fails(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    validator = import_great_expectations().Validator
    run = validator.run

    def forget(self: object, family: str, due: object) -> object:
        found = run(self, family, due)
        for outcomes, _ in found.values():
            outcomes.pop("unique_key", None)
        return found

    monkeypatch.setattr(validator, "run", forget)
    shutil.rmtree(storage.gates)
    found = gate(storage, ["swarm"])["swarm"]
    assert (found.status, found.evaluated) == ("failed", found.expected - 1)
    assert found.why is not None
    assert "unique_key could not be evaluated" in found.why


@pytest.mark.parametrize("record", [None, "", "{}", '{"build_id": "b1", "status": "running", "models": {}}'])
def test_without_a_finished_build_there_is_nothing_to_gate(storage: Storage, record: str | None) -> None:
    storage.build_record.unlink()
    if record is not None:
        storage.build_record.write_text(record)
    with pytest.raises(AnalyticsError, match="the last build did not finish"):
        gate(storage)


def test_a_warehouse_of_another_build_is_refused(storage: Storage) -> None:
    query(storage, "update ops.run set invocation_id = 'by hand'")
    with pytest.raises(AnalyticsError, match="not written by the last build"):
        gate(storage)


def test_an_absent_warehouse_is_refused(storage: Storage) -> None:
    storage.warehouse.unlink()
    with pytest.raises(AnalyticsError, match=r"warehouse\.duckdb is absent"):
        gate(storage)


# Carried over


def no_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> object:
        raise AssertionError("validated again")

    monkeypatch.setattr(import_great_expectations().Validator, "run", refuse)


def test_an_unchanged_family_is_carried_over_for_the_new_build(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_validation(monkeypatch)
    for build in ("b2", "b3"):
        next_build(storage, build)
        found = gate(storage, ["swarm"])["swarm"]
        assert (found.status, found.build_id, found.carried) == ("passed", build, True)
        assert {each.carried_from for each in found.results} == {"b1"}


def test_only_what_the_moved_clock_decides_is_validated_again(storage: Storage) -> None:
    next_build(storage, "b2", sql="update ops.run set as_of = as_of + interval 1 hour", load_id=2)
    found = gate(storage, ["swarm"])["swarm"]
    again = {each.expectation for each in found.results if each.carried_from is None}
    assert again == {"date_fresh", "assignments_usual_volume"}


def test_the_same_build_is_gated_once_and_nothing_is_written_again(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate(storage, ["swarm"])
    no_validation(monkeypatch)
    written = {
        path: path.stat().st_mtime_ns for path in storage.root.rglob("*") if path.is_file() and path != storage.lock
    }
    found = gate(storage, ["swarm"])["swarm"]
    assert (found.status, found.carried) == ("passed", False)
    assert written == {
        path: path.stat().st_mtime_ns for path in storage.root.rglob("*") if path.is_file() and path != storage.lock
    }


def test_a_warehouse_written_to_by_hand_is_validated_again(storage: Storage) -> None:
    gate(storage, ["swarm"])
    query(storage, one_row(SWARM, "escalations = -1"))
    assert gate(storage, ["swarm"])["swarm"].status == "failed"


@pytest.mark.parametrize(
    "change",
    [
        pytest.param("update ops.model_watermarks set changed_by = 'b2'", id="rows changed"),
        pytest.param("update ops.model_watermarks set fingerprint = 'g'", id="definition changed"),
        pytest.param("delete from ops.model_watermarks", id="watermark lost"),
        pytest.param(f"comment on table {SWARM} is null", id="table replaced by hand"),
        pytest.param(f"delete from {SWARM} where rowid = 5", id="row removed by hand"),
        pytest.param("delete from staging.stg_swarm__assignments where rowid = 0", id="staging changed"),
    ],
)
def test_nothing_is_carried_over_without_proof(storage: Storage, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    no_validation(monkeypatch)
    next_build(storage, "b2", sql=change)
    found = gate(storage, ["swarm"])["swarm"]
    assert found.status == "failed"
    assert found.why is not None
    assert "validated again" in found.why


def test_a_change_in_a_build_that_was_never_gated_is_not_forgotten(storage: Storage) -> None:
    next_build(
        storage, "b2", "agent_efficiency_daily", sql=one_row(SWARM, "escalations = -1, loaded_through = 2"), load_id=2
    )
    next_build(storage, "b3")
    assert gate(storage, ["swarm"])["swarm"].status == "failed"


def test_a_failure_is_not_carried_over(storage: Storage) -> None:
    query(storage, one_row(SWARM, "escalations = -1"))
    gate(storage, ["swarm"])
    query(storage, one_row(SWARM, "escalations = 1"))
    next_build(storage, "b2")
    assert gate(storage, ["swarm"])["swarm"].status == "passed"


def test_an_edited_suite_is_validated_again(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    stricter = expectations.suite(
        "swarm",
        expectations.mart(
            "agent_efficiency_daily",
            key=["tenant_id", "swarm_id", "date"],
            fed_by="staging.stg_swarm__assignments",
            expect=[expectations.holds("never", "false")],
        ),
    )
    monkeypatch.setattr(expectations, "load", lambda family: stricter)
    next_build(storage, "b2")
    assert gate(storage, ["swarm"])["swarm"].status == "failed"


# Rows looked at


def scope(result: GateResult, expectation: str) -> str:
    (found,) = {each.scope for each in result.results if each.expectation == expectation}
    return found


@pytest.fixture
def narrowing(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> Storage:
    """Gated by a suite whose rows change with loads of their own only."""
    found = expectations.load("swarm")
    suite = replace(found, marts=tuple(replace(mart, rebuilt=False) for mart in found.marts))
    monkeypatch.setattr(expectations, "load", lambda family: suite)
    next_build(storage, "narrowing")
    assert gate(storage, ["swarm"])["swarm"].status == "passed"
    return storage


def test_row_checks_look_at_what_new_loads_touched_and_keys_at_everything(narrowing: Storage) -> None:
    storage = narrowing
    next_build(
        storage, "b2", "agent_efficiency_daily", sql=f"update {SWARM} set loaded_through = 2 where rowid = 3", load_id=2
    )
    found = gate(storage, ["swarm"])["swarm"]
    assert scope(found, "counts") == "rows of loads after 1"
    assert scope(found, "unique_key") == scope(found, "all_assignments") == "all rows"

    next_build(
        storage, "b3", "agent_efficiency_daily", sql=one_row(SWARM, "escalations = -1, loaded_through = 3"), load_id=3
    )
    found = gate(storage, ["swarm"])["swarm"]
    assert scope(found, "counts") == "rows of loads after 2"
    assert [each.expectation for each in found.failures] == ["counts"]

    next_build(storage, "b4", "agent_efficiency_daily", load_id=4)
    found = gate(storage, ["swarm"])["swarm"]
    assert scope(found, "counts") == "all rows", "rows that were found bad are looked at until they are good"
    assert [each.expectation for each in found.failures] == ["counts"]


def test_a_load_that_a_mart_reads_later_than_the_build_is_looked_at_then(narrowing: Storage) -> None:
    """The mart wasn't selected, or was skipped, by the build that went through load 2; nor was it by its gate."""
    storage = narrowing
    next_build(storage, "b2", load_id=2)
    assert gate(storage, ["swarm"])["swarm"].status == "passed"
    next_build(
        storage, "b3", "agent_efficiency_daily", sql=one_row(SWARM, "escalations = -1, loaded_through = 2"), load_id=2
    )
    found = gate(storage, ["swarm"])["swarm"]
    assert scope(found, "counts") == "rows of loads after 1"
    assert [each.expectation for each in found.failures] == ["counts"]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param("update ops.model_watermarks set fingerprint = 'g'", id="definition changed"),
        pytest.param("update reference.tenants set timezone = 'Asia/Tokyo'", id="reference table changed"),
        pytest.param(
            "insert into ops.loads select 2, 'retraction', clock, clock, 1 from ops.loads", id="load retracted"
        ),
        pytest.param("update ops.run set as_of = as_of + interval 1 day", id="first load of a day"),
    ],
)
def test_old_rows_are_looked_at_again_when_they_may_have_changed(narrowing: Storage, change: str) -> None:
    storage = narrowing
    next_build(
        storage, "b2", "agent_efficiency_daily", sql=f"{change}; {one_row(SWARM, 'escalations = -1')}", load_id=2
    )
    found = gate(storage, ["swarm"])["swarm"]
    assert scope(found, "counts") == "all rows"
    assert found.status == "failed"


def test_rows_that_change_without_news_are_all_looked_at(storage: Storage) -> None:
    next_build(storage, "b2", "agent_efficiency_daily", sql=one_row(SWARM, "escalations = -1"), load_id=2)
    found = gate(storage, ["swarm"])["swarm"]
    assert scope(found, "counts") == "all rows"
    assert [each.expectation for each in found.failures] == ["counts"]


# Accepting


@pytest.fixture
def failed(storage: Storage) -> Storage:
    query(storage, one_row(SWARM, "escalations = -1"))
    assert gate(storage, ["swarm"])["swarm"].status == "failed"
    return storage


def test_an_operator_accepts_a_failed_result_with_a_reason(failed: Storage) -> None:
    found = accept(failed, "swarm", "  known, a fix is on its way ", "ada")
    assert (found.status, found.ok) == ("accepted", True)
    kept = gate_file(failed, "swarm")
    assert kept["status"] == "accepted"
    assert isinstance(kept["accepted"], dict)
    assert (kept["accepted"]["reason"], kept["accepted"]["actor"]) == ("known, a fix is on its way", "ada")


@pytest.mark.parametrize("reason", ["", "  "])
def test_accepting_needs_a_reason(failed: Storage, reason: str) -> None:
    with pytest.raises(AnalyticsError, match="needs a reason"):
        accept(failed, "swarm", reason, "ada")


def test_only_a_failure_can_be_accepted(storage: Storage) -> None:
    with pytest.raises(AnalyticsError, match="has passed: there is nothing to accept"):
        accept(storage, "swarm", "why not", "ada")


def test_only_a_result_of_the_present_build_can_be_accepted(failed: Storage) -> None:
    next_build(failed, "b2")
    with pytest.raises(AnalyticsError, match="not gated for the present build"):
        accept(failed, "swarm", "looks fine", "ada")
    with pytest.raises(AnalyticsError, match="no family is called nobody: there are"):
        accept(failed, "nobody", "looks fine", "ada")


def test_a_result_that_is_not_complete_can_not_be_accepted(storage: Storage) -> None:
    query(storage, f"drop table {SWARM}")
    gate(storage, ["swarm"])
    with pytest.raises(AnalyticsError, match="evaluated 0 of 14 expectations"):
        accept(storage, "swarm", "who needs it", "ada")


def test_an_acceptance_holds_while_the_result_stays_the_very_same(failed: Storage) -> None:
    accept(failed, "swarm", "known", "ada")
    next_build(failed, "b2")
    found = gate(failed, ["swarm"])["swarm"]
    assert (found.status, found.build_id) == ("accepted", "b2")
    assert found.accepted is not None
    assert found.accepted["build_id"] == "b1"

    next_build(failed, "b3", "agent_efficiency_daily", load_id=3)
    assert gate(failed, ["swarm"])["swarm"].status == "failed", "the rows changed: somebody has to look again"


def test_an_acceptance_does_not_cover_another_failure(failed: Storage) -> None:
    accept(failed, "swarm", "known", "ada")
    query(failed, one_row(SWARM, "is_outlier = null"))
    assert gate(failed, ["swarm"])["swarm"].status == "failed"


# The suites


def test_an_entry_can_not_be_named_twice() -> None:
    with pytest.raises(AnalyticsError, match="mart m has two entries called counts"):
        expectations.mart("m", key=["a"], fed_by="s.t", expect=[expectations.counts("b"), expectations.counts("c")])


def test_every_expectation_says_a_sentence() -> None:
    for family in expectations.families():
        for _, expectation in expectations.load(family).expectations:
            assert expectation.says.endswith("."), expectation.name
