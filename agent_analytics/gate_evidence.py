"""What a gate has to validate: how the warehouse's relations stand, and what that proves about earlier results."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from agent_analytics.errors import AnalyticsError, advised
from expectations import Expectation, Mart, RowCheck, Suite

Relation = tuple[str, str]


@dataclass(frozen=True)
class Validation:
    """One suite of Great Expectations on one mart: what is validated or carried over as a whole, and has one page in
    Data Docs. A mart has two where some expectations read the data clock, which moves while the mart stands still.

    since: by expectation, the load up to which the rows were checked before.
    """

    family: str
    mart: Mart
    expectations: tuple[Expectation, ...]
    clock: bool = False
    since: dict[str, int] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.family}.{self.mart.name}" + ("-clock" if self.clock else "")


@dataclass(frozen=True)
class Outcome:
    """What Great Expectations said of one expectation. raised: why it could not be evaluated."""

    success: bool
    unexpected: int
    sample: list[Any]
    raised: str | None = None


def validations(suite: Suite) -> list[Validation]:
    """The family's validations: per mart what its rows decide, and what the data clock decides too."""
    found = []
    for mart in suite.marts:
        for clock in (False, True):
            chosen = tuple(each for each in mart.expectations if each.reads_clock is clock)
            if chosen:
                found.append(Validation(suite.family, mart, chosen, clock))
    return found


@dataclass(frozen=True)
class Warehouse:
    """What the gate has to know of a warehouse before it validates anything.

    columns: by relation, be it one that the project no longer has. models: those that it has.
    states: by relation, what changes whenever its rows do; only of relations whose watermark is that very table's.
    definitions: the same for a table that is continued incrementally; changes when it is built whole.
    loaded_through: by relation, the load up to which it has read.
    foundation: what must be the same for an untouched row to be unchanged, besides its model's definition.
    file: size and time of change of the database's files.
    """

    columns: dict[Relation, frozenset[str]]
    models: frozenset[Relation]
    states: dict[Relation, str]
    definitions: dict[Relation, str]
    loaded_through: dict[Relation, int]
    foundation: str
    as_of: str
    load_id: int
    file: str

    def evidence(self, validation: Validation) -> str | None:
        """Equal evidence, equal outcome. None if one of the relations that it reads has no state."""
        read = {(validation.family, validation.mart.name)}
        for expectation in validation.expectations:
            read |= expectation.reads & self.columns.keys()
        read.discard(("ops", "run"))
        if not read <= self.states.keys():
            return None
        states = [self.states[relation] for relation in sorted(read)]
        return digest(repr(validation.expectations), states, self.as_of if validation.clock else None)

    def row_state(self, family: str, mart: Mart) -> str | None:
        """While this stays the same, so do rows that no new load touched. None if that can't be said of the mart."""
        relation = family, mart.name
        tells = relation in self.definitions and "loaded_through" in self.columns.get(relation, ())
        return digest(self.definitions[relation], self.foundation, repr(mart)) if tells and not mart.rebuilt else None


def can_be_narrowed(expectation: Expectation) -> bool:
    """Whether the expectation looks at each row by itself, so that rows found good need not be looked at again."""
    return isinstance(expectation, RowCheck)


def open_warehouse(path: Path) -> duckdb.DuckDBPyConnection:
    """The warehouse, read-only. Raises AnalyticsError if it is absent or locked."""
    if not path.exists():
        raise AnalyticsError(f"{path} is absent: run agent-analytics build")
    try:
        return duckdb.connect(str(path), read_only=True)
    except (duckdb.IOException, duckdb.SerializationException) as error:
        raise AnalyticsError(advised(f"{path} can't be opened: {str(error).splitlines()[0]}")) from None


def survey(connection: duckdb.DuckDBPyConnection, path: Path, build_id: str) -> Warehouse:
    """Look at the warehouse, opened from `path`. Raises AnalyticsError if it is not that build's."""
    columns: dict[Relation, set[str]] = {}
    for schema, table, column in connection.execute(
        "select schema_name, table_name, column_name from duckdb_columns() where not internal"
    ).fetchall():
        columns.setdefault((schema, table), set()).add(column)
    load_id, as_of = _run(connection, columns, build_id)
    states, definitions, loaded_through = _states(connection, columns)
    reference = {relation: _content(connection, relation) for relation in columns if relation[0] == "reference"}
    return Warehouse(
        columns={relation: frozenset(names) for relation, names in columns.items()},
        models=_models(connection, columns),
        states=states | reference,
        definitions=definitions,
        loaded_through=loaded_through,
        # A row may change while its newest event stays the same: because a reference table changed, or because an
        # entity left it. So row checks look at the whole mart when reference tables change, and once in every day of
        # the data clock.
        foundation=digest(as_of[:10], sorted(reference.items()), _retractions(connection, columns)),
        as_of=as_of,
        load_id=load_id,
        file=_file(path),
    )


def _file(path: Path) -> str:
    found = [each for each in (path, path.with_name(f"{path.name}.wal")) if each.exists()]
    return digest([(each.name, each.stat().st_size, each.stat().st_mtime_ns) for each in found])


def _run(connection: duckdb.DuckDBPyConnection, columns: Iterable[Relation], build_id: str) -> tuple[int, str]:
    run = None
    if ("ops", "run") in columns:
        run = connection.execute("select invocation_id, load_id, cast(as_of as varchar) from ops.run").fetchone()
    if run is None or run[0] != build_id:
        raise AnalyticsError("the warehouse was not written by the last build: run agent-analytics build")
    return int(run[1] or 0), str(run[2])


def _models(connection: duckdb.DuckDBPyConnection, columns: Iterable[Relation]) -> frozenset[Relation]:
    if ("ops", "model_definitions") not in columns:
        return frozenset(columns)
    return frozenset(connection.execute("select schema_name, model from ops.model_definitions").fetchall())


def _states(
    connection: duckdb.DuckDBPyConnection, columns: Iterable[Relation]
) -> tuple[dict[Relation, str], dict[Relation, str], dict[Relation, int]]:
    """States, definitions and loads of the relations whose comment is the token of their model's watermark."""
    if ("ops", "model_watermarks") not in columns:
        return {}, {}, {}
    rows = connection.execute(
        """
        select t.schema_name, t.table_name, w.token, w.fingerprint, w.changed_by, w.loaded_through
        from duckdb_tables() as t
        inner join ops.model_watermarks as w on t.table_name = w.model and t.comment = w.token
        """
    ).fetchall()
    states, definitions, loaded_through = {}, {}, {}
    for schema, table, token, fingerprint, changed_by, load_id in rows:
        # Counting a table is immediate, and shows rows added or removed by hand.
        count = connection.execute(f'select count(*) from "{schema}"."{table}"').fetchall()
        states[schema, table] = digest(token, fingerprint, changed_by, count)
        definitions[schema, table] = digest(token, fingerprint)
        loaded_through[schema, table] = int(load_id)
    return states, definitions, loaded_through


def _content(connection: duckdb.DuckDBPyConnection, relation: Relation) -> str:
    schema, table = relation
    query = f'select count(*), bit_xor(hash(t)), sum(hash(t)) from "{schema}"."{table}" as t'
    return digest(connection.execute(query).fetchall())


def _retractions(connection: duckdb.DuckDBPyConnection, columns: Iterable[Relation]) -> int:
    if ("ops", "loads") not in columns:
        return 0
    return int(connection.execute("select count(*) from ops.loads where kind = 'retraction'").fetchall()[0][0])


def digest(*parts: Any) -> str:
    """A short fingerprint of values whose `repr` or JSON says all about them."""
    return hashlib.sha256(json.dumps(parts, default=repr).encode()).hexdigest()[:20]
