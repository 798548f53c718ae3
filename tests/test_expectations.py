"""Each expectation of each suite holds in a good warehouse, and catches the fault that is planted for it."""

from __future__ import annotations

import importlib
import pkgutil
import shutil
from collections.abc import Iterator

import duckdb
import planted
import pytest
from harness import World

import expectations
from agent_analytics import gate as gates
from agent_analytics.gate import import_great_expectations
from agent_analytics.gate_evidence import Outcome, Validation

pytestmark = pytest.mark.slow

FAULTS: dict[str, str] = {
    name: fault
    for family in pkgutil.iter_modules(planted.__path__)
    for name, fault in importlib.import_module(f"planted.{family.name}").FAULTS.items()
}
EXPECTATIONS = {
    f"{family}.{mart.name}.{expectation.name}": Validation(family, mart, (expectation,))
    for family in expectations.families()
    for mart, expectation in expectations.load(family).expectations
}


def expectation_of(fault: str) -> str:
    return fault.partition("/")[0]


@pytest.fixture(scope="module")
def warehouse(realistic: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """The one connection to a copy of the warehouse of simulated events."""
    path = shutil.copy(realistic.storage.warehouse, tmp_path_factory.mktemp("planted"))
    with duckdb.connect(path) as connection:
        yield connection


@pytest.fixture
def transaction(warehouse: duckdb.DuckDBPyConnection) -> Iterator[duckdb.DuckDBPyConnection]:
    """The warehouse, to be spoilt: whatever is done to it is taken back."""
    warehouse.begin()
    yield warehouse
    warehouse.rollback()


@pytest.mark.parametrize("family", expectations.families())
def test_a_good_build_passes_with_every_expectation_evaluated(realistic: World, family: str) -> None:
    found = gates.read(realistic.storage, family)
    assert found is not None
    assert (found.status, found.why, [warning.told for warning in found.warnings]) == ("passed", None, [])
    assert found.evaluated == found.expected == len(expectations.load(family).expectations)


def test_every_expectation_has_a_fault_and_every_fault_an_expectation() -> None:
    assert {expectation_of(name) for name in FAULTS} == EXPECTATIONS.keys()


@pytest.mark.parametrize("name", sorted(name for name in FAULTS if expectation_of(name) in EXPECTATIONS))
def test_each_expectation_catches_its_fault(name: str, transaction: duckdb.DuckDBPyConnection) -> None:
    transaction.execute(FAULTS[name])
    found = outcome(transaction, EXPECTATIONS[expectation_of(name)])
    assert (found.success, found.raised) == (False, None)
    assert found.unexpected > 0


def test_a_difference_names_the_totals_that_differ() -> None:
    totals = {"sum(n) filter (where kind = 'k')": "count(*)", "sum(cost)": "sum(cost)"}
    query = expectations.each_reconciles("all", totals, "events", by=["tenant"], below="100").sql
    with duckdb.connect() as connection:
        connection.execute("""
            create table mart as from (values
                ('same', 'k', 2, 1.5), ('other', 'k', 3, 1.5), ('mart only', 'k', 1, null), ('too much', 'k', 1, 200)
            ) as t(tenant, kind, n, cost);
            create table events as from (values
                ('same', 1.0), ('same', 0.5), ('other', 1.5), ('source only', 7), ('source only', null), ('too much', 3)
            ) as t(tenant, cost)
        """)
        found = dict(connection.execute(query).fetchall())
    count = "sum(n) filter (where kind = 'k') is"
    assert found == {
        "other": f"{count} 3, of its source 1",
        "mart only": f"{count} 1, of its source 0",
        "source only": f"{count} 0, of its source 2; sum(cost) is 0.0, of its source 7.0",
    }


def outcome(warehouse: duckdb.DuckDBPyConnection, validation: Validation) -> Outcome:
    """What Great Expectations says of the validation's one expectation."""
    outcomes, _ = import_great_expectations().Validator(warehouse).run(validation.family, [validation])[validation.name]
    found = outcomes[validation.expectations[0].name]
    assert isinstance(found, Outcome)
    return found
