"""The gate lets nothing through that it has not looked at, and each expectation of each suite catches its fault."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import duckdb
import pytest
from gate_warehouse import create, next_build, tables, write_build

import expectations
from agent_analytics import gate as gates
from agent_analytics.errors import AnalyticsError
from agent_analytics.gate import GateResult, accept, gate, import_great_expectations
from agent_analytics.gate_evidence import Outcome, Validation
from agent_analytics.storage import Storage
from expectations import Expectation, Mart

HOURLY = "provider_costs.execution_rollup_hourly"
DAILY = "provider_costs.execution_rollup_daily"
CALLS = "provider_costs.provider_calls_daily"
SAVINGS = "provider_costs.routing_savings_daily"
SPEND = "provider_costs.spend_monthly"
ADVICE = "provider_costs.routing_recommendations"
FREQUENCY = "delivery.deployment_frequency_daily"
PERFORMANCE = "delivery.delivery_performance_monthly"
SWARM = "swarm.agent_efficiency_daily"

CLOCK_MOVES = "update ops.run set as_of = as_of + interval 100 day"


def keys(mart: str, key: str) -> dict[str, str]:
    """Faults of the expectations that every mart has."""
    return {
        f"{mart}.unique_key": f"insert into {mart} from {mart} limit 1",
        f"{mart}.key_not_null": f"update {mart} set {key} = null where rowid = 0",
        f"{mart}.not_empty": f"delete from {mart}",
    }


def one_row(mart: str, change: str) -> str:
    return f"update {mart} set {change} where rowid = 0"


def rollup(mart: str) -> dict[str, str]:
    return {
        **keys(mart, "provider"),
        f"{mart}.counts": one_row(mart, "total_tokens = -1"),
        f"{mart}.amounts": one_row(mart, "total_cost_usd = null"),
        f"{mart}.success_rate_is_a_ratio": one_row(mart, "success_rate = 0.123"),
        f"{mart}.outcomes_add_up": one_row(mart, "failed_executions = failed_executions + 1"),
        f"{mart}.measures": one_row(mart, "avg_queue_ms = cast('nan' as double)"),
        f"{mart}.percentiles": one_row(mart, "p95_duration_ms = p99_duration_ms + 1"),
        f"{mart}.all_executions": f"delete from {mart} where rowid = 0",
        f"{mart}.all_successes": one_row(mart, "successful_executions = successful_executions + 1"),
        f"{mart}.all_timeouts": one_row(mart, "timed_out_executions = timed_out_executions + 1"),
        f"{mart}.all_tokens": one_row(mart, "total_tokens = total_tokens + 1"),
    }


FAULTS = {
    **rollup(HOURLY),
    f"{HOURLY}.hour_begins": one_row(HOURLY, "hour = hour + interval 1 minute"),
    f"{HOURLY}.hour_fresh": CLOCK_MOVES,
    **rollup(DAILY),
    f"{DAILY}.same_cost_as_hourly": one_row(DAILY, "total_cost_usd = total_cost_usd + 0.000001"),
    f"{DAILY}.total_executions_usual_volume": f"delete from {DAILY} where date = date '2026-02-08'",
    **keys(CALLS, "model"),
    f"{CALLS}.counts": one_row(CALLS, "unpriced_calls = null"),
    f"{CALLS}.amounts": one_row(CALLS, "cost_usd = -0.01"),
    f"{CALLS}.parts_of_calls": one_row(CALLS, "unpriced_calls = calls + 1"),
    f"{CALLS}.days_with_events": one_row(CALLS, "calls = 0, rate_limited = 0, errors = 0"),
    f"{CALLS}.measures": one_row(CALLS, "avg_latency_ms = -1"),
    f"{CALLS}.percentiles": one_row(CALLS, "p50_latency_ms = p95_latency_ms + 1"),
    f"{CALLS}.all_calls": one_row(CALLS, "calls = calls + 1"),
    f"{CALLS}.all_failed_calls": one_row(CALLS, "failed_calls = failed_calls + 1"),
    f"{CALLS}.all_rate_limits": one_row(CALLS, "rate_limited = rate_limited + 1"),
    f"{CALLS}.all_errors": "delete from staging.stg_provider__errors where rowid = 0",
    f"{CALLS}.all_tokens_in": one_row(CALLS, "tokens_in = tokens_in + 1"),
    f"{CALLS}.all_tokens_out": one_row(CALLS, "tokens_out = 0"),
    f"{CALLS}.date_fresh": CLOCK_MOVES,
    f"{CALLS}.calls_usual_volume": f"update {CALLS} set calls = calls * 5 where date = date '2026-02-08'",
    **keys(SAVINGS, "task_type"),
    f"{SAVINGS}.counts": one_row(SAVINGS, "executions = -1"),
    f"{SAVINGS}.amounts": one_row(SAVINGS, "alternative_cost_usd = null"),
    f"{SAVINGS}.savings_are_the_difference": one_row(SAVINGS, "savings_usd = savings_usd + 1"),
    f"{SAVINGS}.savings_pct_is_a_ratio": one_row(SAVINGS, "savings_pct = null"),
    f"{SAVINGS}.same_executions_as_rollup": one_row(SAVINGS, "date = date + 1"),
    **keys(SPEND, "month"),
    f"{SPEND}.counts": one_row(SPEND, "executions = null"),
    f"{SPEND}.amounts": one_row(SPEND, "spend_usd = -1"),
    f"{SPEND}.measures": one_row(SPEND, "projected_spend_usd = -1"),
    f"{SPEND}.budget_status_accepted": one_row(SPEND, "budget_status = 'fine'"),
    f"{SPEND}.status_fits_budget": f"update {SPEND} set budget_status = 'ok' where budget_usd is null",
    f"{SPEND}.month_begins": one_row(SPEND, "month = month + 1"),
    f"{SPEND}.same_spend_as_calls": one_row(SPEND, "spend_usd = spend_usd + 0.01"),
    f"{SPEND}.same_executions_as_rollup": one_row(SPEND, "executions = executions + 1"),
    **keys(ADVICE, "task_type"),
    f"{ADVICE}.rates": one_row(ADVICE, "current_success_rate = 1.1"),
    f"{ADVICE}.measures": one_row(ADVICE, "recommended_cost_per_success_usd = -1"),
    f"{ADVICE}.both_providers_named": one_row(ADVICE, "recommended_provider = null"),
    f"{ADVICE}.staying_saves_nothing": one_row(ADVICE, "recommended_provider = current_provider"),
    f"{ADVICE}.providers_were_used": one_row(ADVICE, "recommended_provider = 'unheard of'"),
    **keys(FREQUENCY, "service"),
    f"{FREQUENCY}.counts": one_row(FREQUENCY, "deployments_30d = null"),
    f"{FREQUENCY}.windows_nest": one_row(FREQUENCY, "deployments_7d = deployments_30d + 1"),
    f"{FREQUENCY}.moving_average": one_row(FREQUENCY, "moving_average_7d = null"),
    f"{FREQUENCY}.trend_accepted": one_row(FREQUENCY, "trend = 'sideways'"),
    f"{FREQUENCY}.trend_follows_delta": one_row(FREQUENCY, "delta_7d = -5"),
    f"{FREQUENCY}.all_deployments": one_row(FREQUENCY, "deployments = deployments + 1"),
    f"{FREQUENCY}.dense": f"delete from {FREQUENCY} where date = date '2026-02-10' and service = 's0'",
    f"{FREQUENCY}.deployments_usual_volume": f"delete from {FREQUENCY} where date = date '2026-02-09'",
    **keys(PERFORMANCE, "month"),
    f"{PERFORMANCE}.counts": one_row(PERFORMANCE, "deployments = null"),
    f"{PERFORMANCE}.months_with_deployments": one_row(PERFORMANCE, "deployments = 0"),
    f"{PERFORMANCE}.lead_time": one_row(PERFORMANCE, "median_lead_time_hours = -1"),
    f"{PERFORMANCE}.time_to_restore": one_row(PERFORMANCE, "median_hours_to_restore = -1"),
    f"{PERFORMANCE}.rates": one_row(PERFORMANCE, "change_failure_rate = 2"),
    f"{PERFORMANCE}.dora_band_accepted": one_row(PERFORMANCE, "dora_band = 'superb'"),
    f"{PERFORMANCE}.month_begins": one_row(PERFORMANCE, "month = month + 1"),
    f"{PERFORMANCE}.same_deployments_as_daily": one_row(PERFORMANCE, "deployments = deployments + 1"),
    f"{PERFORMANCE}.month_fresh": CLOCK_MOVES,
    **keys(SWARM, "swarm_id"),
    f"{SWARM}.counts": one_row(SWARM, "escalations = -1"),
    f"{SWARM}.successes_are_resolutions": one_row(SWARM, "successful_resolutions = resolutions + 1"),
    f"{SWARM}.efficiency_ratio_is_a_ratio": one_row(SWARM, "efficiency_ratio = null"),
    f"{SWARM}.measures": one_row(SWARM, "mttr_minutes = -1"),
    f"{SWARM}.known_where_resolved": one_row(SWARM, "mttr_minutes = null"),
    f"{SWARM}.governance_score_from_checks": one_row(SWARM, "governance_score = 1.5, policy_checks = 2"),
    f"{SWARM}.outlier_known": one_row(SWARM, "is_outlier = null"),
    f"{SWARM}.all_assignments": one_row(SWARM, "assignments = assignments + 1"),
    f"{SWARM}.all_policy_checks": one_row(SWARM, "policy_checks = policy_checks + 1"),
    f"{SWARM}.date_fresh": CLOCK_MOVES,
    f"{SWARM}.assignments_usual_volume": f"update {SWARM} set assignments = 0 where date = date '2026-02-09'",
}

EXPECTATIONS = [
    f"{family}.{mart.name}.{expectation.name}"
    for family in expectations.families()
    for mart, expectation in expectations.load(family).expectations
]


@pytest.fixture(scope="session")
def gated(tmp_path_factory: pytest.TempPathFactory) -> Storage:
    """Build b1, gated and passed; never changed."""
    import_great_expectations()
    storage = create(tmp_path_factory.mktemp("gate") / "storage")
    gate(storage)
    return storage


@pytest.fixture
def storage(gated: Storage, tmp_path: Path) -> Storage:
    """A copy of build b1 as gated, to be spoilt."""
    return Storage(Path(shutil.copytree(gated.root, tmp_path / "storage")))


@pytest.fixture
def spoilt(gated: Storage, tmp_path: Path) -> Storage:
    """The warehouse alone, to be spoilt."""
    copy = Storage(tmp_path)
    shutil.copy(gated.warehouse, copy.warehouse)
    return copy


def outcome(storage: Storage, family: str, mart: Mart, expectation: Expectation) -> Outcome:
    """What Great Expectations says of one expectation."""
    validation = Validation(family, mart, (expectation,))
    validator = import_great_expectations().Validator(storage.warehouse)
    try:
        outcomes, _ = validator.run(family, [validation])[validation.name]
    finally:
        validator.close()
    found = outcomes[expectation.name]
    assert isinstance(found, Outcome)
    return found


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


# Every expectation


def test_a_good_build_passes_with_every_expectation_evaluated(gated: Storage) -> None:
    for family in expectations.families():
        found = gates.read(gated, family)
        assert found is not None
        assert (found.status, found.build_id, found.why, found.warnings) == ("passed", "b1", None, [])
        assert found.evaluated == found.expected == len(expectations.load(family).expectations)


def test_every_fault_is_that_of_an_expectation() -> None:
    assert sorted(FAULTS) == sorted(EXPECTATIONS)


@pytest.mark.parametrize("name", EXPECTATIONS)
def test_each_expectation_catches_its_fault(spoilt: Storage, name: str) -> None:
    assert name in FAULTS, f"plant a fault that {name} catches"
    family, mart_name, expectation_name = name.split(".")
    (pair,) = [
        (mart, expectation)
        for mart, expectation in expectations.load(family).expectations
        if (mart.name, expectation.name) == (mart_name, expectation_name)
    ]
    query(spoilt, FAULTS[name])

    found = outcome(spoilt, family, *pair)

    assert (found.success, found.raised) == (False, None)
    assert found.unexpected > 0


@pytest.mark.parametrize("name", [f"{SPEND}.same_executions_as_rollup", f"{FREQUENCY}.dense", f"{SWARM}.counts"])
def test_a_critical_failure_fails_its_family(storage: Storage, name: str) -> None:
    family, mart, expectation = name.split(".")
    next_build(storage, "b2", mart, sql=f"{FAULTS[name]}; {built_whole(mart)}")
    found = gate(storage)
    assert {name for name, result in found.items() if not result.ok} == {family}
    assert expectation in {each.expectation for each in found[family].failures if each.mart == mart}


def test_a_warehouse_without_a_single_event_passes(storage: Storage) -> None:
    with duckdb.connect(str(storage.warehouse)) as connection:
        for schema, table in tables(connection):
            connection.execute(f"delete from {schema}.{table}")
        connection.execute("update ops.run set as_of = null")
    assert {result.status for result in gate(storage).values()} == {"passed"}


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


def test_the_gate_file_is_bound_to_the_build(gated: Storage) -> None:
    found = gate_file(gated, "swarm")
    assert {"family", "build_id", "status", "evaluated", "expected", "results", "why", "accepted"} <= found.keys()
    assert (found["family"], found["build_id"], found["accepted"]) == ("swarm", "b1", None)


def test_nothing_is_written_but_gate_files_and_data_docs(storage: Storage) -> None:
    before = storage.warehouse.stat()
    shutil.rmtree(storage.gates)
    shutil.rmtree(storage.data_docs)
    gate(storage)
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
    found = gate(storage, ["swarm"])["swarm"]
    assert found.status == "failed"
    assert found.why is not None
    assert "expectations/swarm.py does not name it" in found.why


def test_a_family_without_a_suite_fails(storage: Storage) -> None:
    write_build(storage, "b1", [], families={"newcomers": {"ok": True, "why": None}})
    found = gate(storage)["newcomers"]
    assert (found.status, found.evaluated) == ("failed", 0)
    assert found.expected > 0
    assert found.why is not None
    assert "write expectations/newcomers.py" in found.why


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


def test_row_checks_look_at_what_new_loads_touched_and_keys_at_everything(storage: Storage) -> None:
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
def test_old_rows_are_looked_at_again_when_they_may_have_changed(storage: Storage, change: str) -> None:
    next_build(
        storage, "b2", "agent_efficiency_daily", sql=f"{change}; {one_row(SWARM, 'escalations = -1')}", load_id=2
    )
    found = gate(storage, ["swarm"])["swarm"]
    assert scope(found, "counts") == "all rows"
    assert found.status == "failed"


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
    with pytest.raises(AnalyticsError, match="not gated for the present build"):
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
