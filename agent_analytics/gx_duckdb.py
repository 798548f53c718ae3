"""Great Expectations on the warehouse: importing this module imports Great Expectations, which takes 4 seconds.

Great Expectations has no DuckDB data source. Through plain SQLAlchemy its fetches come after its transaction was rolled
back, when DuckDB has dropped the result. Hence a dialect that leaves transactions alone.

Much of what it does by itself takes longer than the questions that are put to DuckDB, some 800 in a tick. Hence
one kind of expectation whose one metric is one statement, and objects that are made for one run and never stored.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import duckdb
import great_expectations as gx
from duckdb_engine import ConnectionWrapper, Dialect
from great_expectations.core.expectation_suite import ExpectationSuite
from great_expectations.core.expectation_validation_result import ExpectationSuiteValidationResult
from great_expectations.core.freshness_diagnostics import CheckpointFreshnessDiagnostics
from great_expectations.core.id_dict import IDDict
from great_expectations.core.run_identifier import RunIdentifier
from great_expectations.data_context.types.base import (
    DataContextConfig,
    InMemoryStoreBackendDefaults,
    ProgressBarsConfig,
)
from great_expectations.execution_engine import SqlAlchemyExecutionEngine
from great_expectations.expectations.expectation import BatchExpectation
from great_expectations.expectations.metrics.metric_provider import MetricProvider, metric_value
from great_expectations.render.renderer import ValidationResultsPageRenderer
from great_expectations.render.view import DefaultJinjaPageView
from great_expectations.validator.metric_configuration import MetricConfiguration
from great_expectations.validator.validator import ValidationDependencies
from sqlalchemy import StaticPool
from sqlalchemy.dialects import registry

from agent_analytics.gate_evidence import Outcome, Validation
from expectations import Expectation, Query, RowCheck

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


class UnexpectedRows(MetricProvider):  # type: ignore[misc]
    """How many rows a query returns, and the first of them."""

    metric_name = "agent_analytics.unexpected_rows"
    domain_keys = ("batch_id",)
    value_keys = ("query",)

    @metric_value(engine=SqlAlchemyExecutionEngine)  # type: ignore[untyped-decorator]
    def _sqlalchemy(
        cls, execution_engine: SqlAlchemyExecutionEngine, metric_value_kwargs: dict[str, str], **_: Any
    ) -> tuple[int, list[dict[str, Any]]]:
        query = f"select count(*) over () as of_rows, * from ({metric_value_kwargs['query']}) limit {SAMPLE_ROWS}"
        with execution_engine.get_connection() as connection:
            found = [dict(row) for row in connection.exec_driver_sql(query).mappings()]
        count = [row.pop("of_rows") for row in found]
        return (count[0] if count else 0), found


class ExpectNoRows(BatchExpectation):  # type: ignore[misc]
    """The query returns no row."""

    query: str

    def get_validation_dependencies(self, *_: Any, **__: Any) -> ValidationDependencies:
        metric = MetricConfiguration(
            UnexpectedRows.metric_name, IDDict(batch_id=self.batch_id), IDDict(query=self.query)
        )
        return ValidationDependencies({metric.metric_name: metric}, {"result_format": "BASIC"})

    def _validate(self, metrics: dict[str, Any], *_: Any, **__: Any) -> dict[str, Any]:
        count, rows = metrics[UnexpectedRows.metric_name]
        details = {"unexpected_rows": [{name: _shown(value) for name, value in row.items()} for row in rows]}
        return {"success": count == 0, "result": {"observed_value": count, "details": details}}


class OneValidation(gx.ValidationDefinition):  # type: ignore[misc]
    """A validation definition whose result is returned, not stored."""

    def run(self, *, run_id: RunIdentifier, result_format: Any, **_: Any) -> ExpectationSuiteValidationResult:
        result = self.data.get_batch().validate(self.suite, result_format=result_format)
        result.meta |= {"run_id": run_id, "validation_time": run_id.run_time}
        return result


class OneCheckpoint(gx.Checkpoint):  # type: ignore[misc]
    """A checkpoint of what was made a moment ago. Great Expectations would compare it with what its stores hold, by
    making each suite anew from JSON ten times."""

    def is_fresh(self) -> CheckpointFreshnessDiagnostics:
        return CheckpointFreshnessDiagnostics(errors=[])


class Validator:
    """One Great Expectations context over an open connection to the warehouse.

    What is validated is what that connection sees, in the middle of its transaction too.
    """

    def __init__(self, warehouse: duckdb.DuckDBPyConnection) -> None:
        context = gx.get_context(
            mode="ephemeral",
            project_config=DataContextConfig(
                store_backend_defaults=InMemoryStoreBackendDefaults(init_temp_docs_sites=False),
                progress_bars=ProgressBarsConfig(globally=False),
                analytics_enabled=False,
            ),
        )
        source = context.data_sources.add_sql(
            "warehouse",
            connection_string="duckdb+gx://",
            create_temp_table=False,
            kwargs={"poolclass": StaticPool, "creator": lambda: BorrowedConnection(warehouse)},
        )
        # What the suites' queries read: they name their marts themselves.
        tables = source.add_query_asset("tables", "select schema_name, table_name from duckdb_tables()")
        self._tables = tables.add_batch_definition_whole_table("all")
        # It compiles its templates once: rendering a page takes 5 ms then, not 80.
        self._view: Any = DefaultJinjaPageView()

    def run(
        self, family: str, validations: Sequence[Validation]
    ) -> dict[str, tuple[dict[str, Outcome], Callable[[], str]]]:
        """Run the family's checkpoint: by validation, the outcome of each expectation, and its page of Data Docs."""
        definitions = [OneValidation(name=each.name, data=self._tables, suite=_suite(each)) for each in validations]
        checkpoint = OneCheckpoint(name=family, validation_definitions=definitions)
        results = list(checkpoint.run().run_results.values())
        return {result.suite_name: (_outcomes(result), partial(self._page, result)) for result in results}

    def _page(self, result: ExpectationSuiteValidationResult) -> str:
        """The result's page of Data Docs, which lies two folders below the index."""
        html: str = self._view.render(ValidationResultsPageRenderer().render(result))
        depth = result.suite_name.count(".") + 4
        return html.replace(f'href="{"../" * depth}index.html"', 'href="../../index.html"')


def _suite(validation: Validation) -> ExpectationSuite:
    expectations = [
        ExpectNoRows(
            query=_query(validation, expectation),
            description=expectation.says,
            severity=expectation.severity,
            meta={"expectation": expectation.name},
        )
        for expectation in validation.expectations
    ]
    return ExpectationSuite(validation.name, expectations=expectations)


def _query(validation: Validation, expectation: Expectation) -> str:
    """The query that finds what the expectation forbids."""
    mart, relation = validation.mart, f"{validation.family}.{validation.mart.name}"
    match expectation:
        case RowCheck(columns=columns, broken=broken):
            shown = ", ".join(dict.fromkeys((*mart.key, *columns)))
            since = validation.since.get(expectation.name)
            touched = "" if since is None else f" and loaded_through > {since}"
            return f"select {shown} from {relation} as mart where ({broken}){touched}"
        case Query(unexpected=unexpected):
            # The query may have common table expressions of its own, hence the brackets.
            return f"with mart as (from {relation}) from ({unexpected})"
    raise TypeError(f"{mart.name}: {expectation.name} is of an unknown kind: {type(expectation).__name__}")


def _outcomes(result: ExpectationSuiteValidationResult) -> dict[str, Outcome]:
    return {each.expectation_config.meta["expectation"]: _outcome(each) for each in result.results}


def _outcome(result: Any) -> Outcome:
    raised = _exception(result.exception_info or {})
    if raised is not None or not result.result:
        return Outcome(False, 0, [], raised or "Great Expectations returned no result")
    return Outcome(result.success, result.result["observed_value"], result.result["details"]["unexpected_rows"])


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
