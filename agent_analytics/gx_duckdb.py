"""Great Expectations on the warehouse: importing this module imports Great Expectations, which takes 6 seconds.

Great Expectations has no DuckDB data source. Through plain SQLAlchemy nearly every expectation fails: it fetches after
its transaction was rolled back, when DuckDB has dropped the result. Hence a dialect that leaves transactions alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import great_expectations as gx
from duckdb_engine import ConnectionWrapper, Dialect
from great_expectations.core.expectation_suite import ExpectationSuite
from great_expectations.core.expectation_validation_result import ExpectationSuiteValidationResult
from great_expectations.data_context.types.base import (
    DataContextConfig,
    InMemoryStoreBackendDefaults,
    ProgressBarsConfig,
)
from great_expectations.expectations.core import (
    ExpectColumnValuesToBeInSet,
    ExpectColumnValuesToBeUnique,
    ExpectCompoundColumnsToBeUnique,
    UnexpectedRowsExpectation,
)
from great_expectations.expectations.expectation import Expectation as GxExpectation
from great_expectations.expectations.row_conditions import Column
from great_expectations.render.renderer import ValidationResultsPageRenderer
from great_expectations.render.view import DefaultJinjaPageView
from sqlalchemy import StaticPool
from sqlalchemy.dialects import registry

from agent_analytics.gate_evidence import Outcome, Validation
from expectations import AcceptedValues, Expectation, Mart, Query, RowCheck, UniqueKey

SAMPLE_ROWS = 3


class DuckDBAsItStands(Dialect):  # type: ignore[misc]
    """DuckDB whose transactions are somebody else's affair: see the module's text."""

    supports_statement_cache = False

    def do_begin(self, connection: Any) -> None: ...

    def do_commit(self, connection: Any) -> None: ...

    def do_rollback(self, connection: Any) -> None: ...


registry.register("duckdb.gx", __name__, "DuckDBAsItStands")


class BorrowedConnection(ConnectionWrapper):  # type: ignore[misc]
    """A connection that its owner closes."""

    def close(self) -> None: ...


class ExpectNoRows(UnexpectedRowsExpectation):  # type: ignore[misc]
    """UnexpectedRowsExpectation whose result holds the first unexpected rows whatever the result format."""

    def _validate(self, metrics: dict[str, Any], *_: Any, **__: Any) -> dict[str, Any]:
        count = metrics["unexpected_rows_query.row_count"]
        rows = metrics["unexpected_rows_query.table"][:SAMPLE_ROWS]
        details = {"unexpected_rows": [{name: _shown(value) for name, value in row.items()} for row in rows]}
        return {"success": count == 0, "result": {"observed_value": count, "details": details}}


class Validator:
    """One Great Expectations context over one connection to the warehouse.

    The warehouse is a file, opened read-only, or a connection that is open: what is validated then is what that
    connection sees, in the middle of its transaction too.
    """

    def __init__(self, warehouse: Path | duckdb.DuckDBPyConnection) -> None:
        self._context = gx.get_context(
            mode="ephemeral",
            project_config=DataContextConfig(
                store_backend_defaults=InMemoryStoreBackendDefaults(init_temp_docs_sites=False),
                progress_bars=ProgressBarsConfig(globally=False),
                analytics_enabled=False,
            ),
        )
        self._warehouse = self._context.data_sources.add_sql("warehouse", create_temp_table=False, **_engine(warehouse))
        # It compiles its templates once: rendering a page takes 5 ms then, not 80.
        self._view: Any = DefaultJinjaPageView()

    def close(self) -> None:
        # DuckDB keeps the file locked, and its old content cached, while a connection is open; there are two engines,
        # one that tests the connection and one that validates.
        self._warehouse.get_engine().dispose()
        self._warehouse.get_execution_engine().engine.dispose()

    def run(
        self, family: str, validations: Sequence[Validation]
    ) -> dict[str, tuple[dict[str, Outcome], Callable[[], str]]]:
        """Run the family's checkpoint: by validation, the outcome of each expectation, and its page of Data Docs."""
        definitions = [self._define(validation) for validation in validations]
        checkpoint = self._context.checkpoints.add(gx.Checkpoint(name=family, validation_definitions=definitions))
        results = list(checkpoint.run().run_results.values())
        return {result.suite_name: (_outcomes(result), partial(self._page, result)) for result in results}

    def _page(self, result: ExpectationSuiteValidationResult) -> str:
        """The result's page of Data Docs, which lies two folders below the index."""
        html: str = self._view.render(ValidationResultsPageRenderer().render(result))
        depth = result.suite_name.count(".") + 4
        return html.replace(f'href="{"../" * depth}index.html"', 'href="../../index.html"')

    def _define(self, validation: Validation) -> gx.ValidationDefinition:
        asset = self._warehouse.add_query_asset(
            validation.name, f"select * from {validation.family}.{validation.mart.name}"
        )
        suite = ExpectationSuite(
            validation.name,
            expectations=[
                _expectation(expectation, validation.mart, validation.since.get(expectation.name))
                for expectation in validation.expectations
            ],
        )
        definition = gx.ValidationDefinition(
            name=validation.name,
            data=asset.add_batch_definition_whole_table("all"),
            suite=self._context.suites.add(suite),
        )
        return self._context.validation_definitions.add(definition)


def _engine(warehouse: Path | duckdb.DuckDBPyConnection) -> dict[str, Any]:
    if isinstance(warehouse, Path):
        return {"connection_string": f"duckdb+gx:///{warehouse}?access_mode=read_only"}
    return {
        "connection_string": "duckdb+gx://",
        "kwargs": {"poolclass": StaticPool, "creator": lambda: BorrowedConnection(warehouse)},
    }


def _expectation(expectation: Expectation, mart: Mart, since: int | None) -> GxExpectation:
    said: dict[str, Any] = {
        "description": expectation.says,
        "severity": expectation.severity,
        "meta": {"expectation": expectation.name},
    }
    match expectation:
        case UniqueKey(columns=(column,)):
            return ExpectColumnValuesToBeUnique(column=column, **said)
        case UniqueKey(columns=columns):
            return ExpectCompoundColumnsToBeUnique(column_list=list(columns), **said)
        case AcceptedValues(columns=(column,), values=values):
            touched: dict[str, Any] = {} if since is None else {"row_condition": Column("loaded_through") > since}
            return ExpectColumnValuesToBeInSet(column=column, value_set=list(values), **(touched | said))
        case RowCheck(columns=columns, broken=broken):
            shown = ", ".join(dict.fromkeys((*mart.key, *columns)))
            touched_too = "" if since is None else f" and loaded_through > {since}"
            return _no_rows(f"select {shown} from mart where ({broken}){touched_too}", said)
        case Query(unexpected=unexpected):
            return _no_rows(unexpected, said)
    raise TypeError(f"{mart.name}: {expectation.name} is of an unknown kind: {type(expectation).__name__}")


def _no_rows(query: str, said: dict[str, Any]) -> GxExpectation:
    literal = query.strip().replace("{", "{{").replace("}", "}}")
    # The query may have common table expressions of its own, hence the brackets.
    return ExpectNoRows(unexpected_rows_query=f"with mart as (select * from {{batch}}) from ({literal})", **said)


def _outcomes(result: Any) -> dict[str, Outcome]:
    return {each.expectation_config.meta["expectation"]: _outcome(each) for each in result.results}


def _outcome(result: Any) -> Outcome:
    raised = _exception(result.exception_info or {})
    if raised is not None or not result.result:
        return Outcome(False, 0, [], raised or "Great Expectations returned no result")
    found = result.result
    if "details" in found:
        unexpected = int(found["observed_value"])
        sample = found["details"]["unexpected_rows"]
    else:
        # None over no rows at all.
        unexpected = int(found["unexpected_count"] or 0)
        sample = [_shown(value) for value in found.get("partial_unexpected_list", [])[:SAMPLE_ROWS]]
    # numpy's booleans are no booleans to json.
    return Outcome(bool(result.success), unexpected, sample)


def _exception(info: dict[str, Any]) -> str | None:
    """The first line of what an expectation raised; the information is flat, or by metric."""
    entries = [info] if "raised_exception" in info else list(info.values())
    for entry in entries:
        if entry["raised_exception"]:
            return str(entry["exception_message"]).strip().splitlines()[0][:300]
    return None


def _shown(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _shown(inner) for name, inner in value.items()}
    return value if value is None or isinstance(value, bool | int | str) else str(value)
