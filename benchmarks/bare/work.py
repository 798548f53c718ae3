"""The same work as bare DuckDB SQL: what the pipeline's seconds are compared with.

The SQL is what a good engineer would write for this job and nothing else: types given, one pass where one does, small
price tables, touched partitions only. It doesn't validate, look for duplicates, survive a crash or notice
changed definitions. Its marts have the same rows as the pipeline's; `differences` says so. Each family has a module
with its EVENTS, STEPS and MARTS.

Run as a process of its own: `python -m benchmarks.bare '{"work": "full", ...}'`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import duckdb
import yaml

from agent_analytics.errors import AnalyticsError
from agent_analytics.storage import PROJECT_ROOT
from benchmarks.bare import (
    activation_funnel,
    billing,
    crc,
    customer_health,
    delivery,
    game,
    game_funnel,
    notebooks,
    patterns,
    platform_usage,
    provider_costs,
    revenue,
    swarm,
)  # fmt: skip
from benchmarks.bare.parts import Family, Mart, Step
from benchmarks.bare.reference import REFERENCE

#: In the order in which a family may read another's tables. Of funnels, which read two of them, each is one by itself.
FAMILIES: dict[str, Family] = {
    module.__name__.rpartition(".")[2]: Family(module.EVENTS, module.STEPS, module.MARTS)
    for module in (
        provider_costs, platform_usage, billing, revenue, customer_health, delivery, swarm, crc, notebooks, patterns,
        activation_funnel, game, game_funnel,
    )
}  # fmt: skip

ENVELOPE = {
    "event_id": "VARCHAR",
    "source": "VARCHAR",
    "event_type": "VARCHAR",
    "occurred_at": "TIMESTAMP",
    "tenant_id": "VARCHAR",
    "user_id": "VARCHAR",
    "session_id": "VARCHAR",
    "agent_id": "VARCHAR",
    "workflow_id": "VARCHAR",
    "correlation_id": "VARCHAR",
}
TYPES = {
    "string": "VARCHAR", "count": "BIGINT", "rating": "INTEGER", "number": "DOUBLE", "signed": "DOUBLE",
    "fraction": "DOUBLE", "money": "DECIMAL(18,6)", "bool": "BOOLEAN", "timestamp": "TIMESTAMP",
}  # fmt: skip


def family(names: Iterable[str]) -> Family:
    """What the named families consist of, as one."""
    chosen = [FAMILIES[name] for name in FAMILIES if name in set(names)]
    return Family(
        {name: sql for one in chosen for name, sql in one.events.items()},
        tuple(step for one in chosen for step in one.steps),
        tuple(mart for one in chosen for mart in one.marts),
    )


def ingest(landed: Sequence[Path], target: Path, sources: Sequence[str]) -> None:
    """The floor of an ingest: typed Parquet by source; nothing is checked and no copy is found."""
    with duckdb.connect() as connection:
        columns = ", ".join(f"{name}: '{kind}'" for name, kind in ENVELOPE.items())
        properties = ", ".join(f"{name} {kind}" for name, kind in _properties(sources).items())
        connection.execute(
            f"""
            copy (
                select * exclude (properties), unnest(properties)
                from read_json({_paths(landed)}, format = 'newline_delimited',
                    columns = {{{columns}, properties: 'STRUCT({properties})'}})
            ) to '{target}' (format parquet, compression zstd, compression_level 1, partition_by (source))"""
        )


def _properties(sources: Sequence[str]) -> dict[str, str]:
    """The properties of all events of the sources, typed."""
    contract = yaml.safe_load((PROJECT_ROOT / "contracts" / "events.yml").read_text(encoding="utf-8"))
    found: dict[str, str] = {}
    for source in sources:
        for properties in contract["sources"][source].values():
            for name, kind in (properties or {}).items():
                word = kind.removeprefix("optional ") if isinstance(kind, str) else "string"
                # Whole numbers in one source, any in another: DOUBLE takes both.
                found[name] = TYPES[word] if found.get(name) != "DOUBLE" else "DOUBLE"
    return found


def full(
    lake: dict[str, list[Path]], seeds: Path, database: Path, as_of: str, families: Sequence[str], keep: bool = False
) -> None:
    """The families' marts from the lake. With `keep` the database keeps what they are made of, as `tick` needs it."""
    made = family(families)
    with duckdb.connect(str(database)) as connection:
        _prepare(connection, lake, seeds, as_of)
        kind = "table" if keep else "temp table"
        for name, sql in made.events.items():
            connection.execute(f"create {kind} {name} as {_filled(sql, as_of, lake)}")
        for step in made.steps:
            connection.execute(f"create {kind} {step.name} as {_filled(step.sql, as_of)}")
        for mart in made.marts:
            connection.execute(f"create table {mart.name} as {_filled(mart.sql, as_of)}")
            _archive(connection, mart, database, as_of)
        if keep:
            connection.execute("create schema previous; create table previous.clock as from temp.clock")


def tick(lake: dict[str, list[Path]], seeds: Path, database: Path, as_of: str, families: Sequence[str]) -> None:
    """What new lake files change in a database that `full` with `keep` made: touched partitions are recomputed."""
    made = family(families)
    with duckdb.connect(str(database)) as connection:
        _prepare(connection, lake, seeds, as_of)
        connection.execute("begin")
        for name, sql in made.events.items():
            connection.execute(f"create temp table new_{name} as {_filled(sql, as_of, lake)}")
            connection.execute(f"insert into {name} from new_{name}")
        parts: list[Step | Mart] = [*made.steps, *made.marts]
        # What belonged to a touched partition before counts as well as what belongs to it now.
        for part in parts:
            if part.partition:
                found = f"select distinct * from ({_filled(part.touched, as_of)})"
                connection.execute(f"create temp table touched_{part.name} as {found}")
        for part in parts:
            if not part.partition:
                connection.execute(f"create or replace table {part.name} as {_filled(part.sql, as_of)}")
                continue
            found = f"select distinct * from ({_filled(part.touched, as_of)})"
            connection.execute(f"insert into touched_{part.name} {found}")
            _recompute(connection, part, as_of)
        for mart in made.marts:
            _archive(connection, mart, database, as_of)
        connection.execute("create or replace table previous.clock as from temp.clock")
        connection.execute("commit")


def _recompute(connection: duckdb.DuckDBPyConnection, part: Step | Mart, as_of: str) -> None:
    """Replace the rows of the touched partitions."""
    same = " and ".join(f"m.{column} = t.{column}" for column in part.partition)
    only = f"semi join touched_{part.name} using ({', '.join(part.partition)})"
    connection.execute(f"delete from {part.name} as m using touched_{part.name} as t where {same}")
    connection.execute(f"insert into {part.name} by name {_filled(part.sql, as_of, only=only)}")


def _archive(connection: duckdb.DuckDBPyConnection, mart: Mart, database: Path, as_of: str) -> None:
    """Move the rows of days that an hourly mart doesn't hold to a Parquet file a day."""
    if mart.held_days:
        older = f"hour < {_moment(as_of)}::date - {mart.held_days}"
        folder = _archived(database, mart)
        folder.parent.mkdir(exist_ok=True)
        connection.execute(f"""
            copy (select *, hour::date::varchar as day from {mart.name} where {older})
            to '{folder}' (format parquet, compression zstd, partition_by (day), overwrite_or_ignore)""")
        connection.execute(f"delete from {mart.name} where {older}")


def _archived(database: Path, mart: Mart) -> Path:
    return database.with_name("bare-archive") / mart.name


def publish(database: Path, target: Path, families: Sequence[str]) -> None:
    """The marts as a database of their own, sorted by key, and as Parquet files."""
    target.mkdir(parents=True)
    with duckdb.connect() as connection:
        connection.execute(f"attach '{database}' as made (read_only)")
        connection.execute(f"attach '{target / 'analytics.duckdb'}' as published")
        for mart in family(families).marts:
            connection.execute(
                f"create table published.{mart.name} as from made.{mart.name} order by {', '.join(mart.key)}"
            )
            connection.execute(
                f"copy published.{mart.name} to '{target / mart.name}.parquet' (format parquet, compression zstd)"
            )


def differences(warehouse: Path, database: Path, families: Sequence[str]) -> dict[str, int]:
    """Per mart, the rows that the pipeline's warehouse and the bare database don't have in common.

    What was archived counts as well, and all columns but loaded_through; DOUBLEs may differ by 1e-9, relative or
    absolute. Raises AnalyticsError where a mart has a column that the bare SQL doesn't make.
    """
    found: dict[str, int] = {}
    with duckdb.connect() as connection:
        connection.execute(f"attach '{warehouse}' as pipeline (read_only)")
        connection.execute(f"attach '{database}' as bare (read_only)")
        for mart in family(families).marts:
            columns = connection.execute(f"describe pipeline.{mart.family}.{mart.name}").fetchall()
            known = {name for name, *_ in connection.execute(f"describe bare.{mart.name}").fetchall()}
            missing = sorted({name for name, *_ in columns} - known - {"loaded_through"})
            if missing:
                raise AnalyticsError(f"benchmark: the bare SQL of {mart.name} has no {', '.join(missing)}")
            theirs, ours = f"pipeline.{mart.family}.{mart.name}", f"bare.{mart.name}"
            if mart.held_days:
                theirs = _with_files(theirs, (warehouse.parent / "archive" / "marts").glob(f"{mart.name}-*.parquet"))
                ours = _with_files(ours, _archived(database, mart).glob("*/*.parquet"))
            same = [_same(name, kind) for name, kind, *_ in columns if name not in (*mart.key, "loaded_through")]
            keys = " and ".join(f"p.{name} is not distinct from b.{name}" for name in mart.key)
            rows = connection.execute(
                f"select count(*) from {theirs} as p full join {ours} as b on {keys}"
                f" where p.{mart.key[0]} is null or b.{mart.key[0]} is null or not ({' and '.join(same)})"
            ).fetchall()
            found[mart.name] = int(rows[0][0])
    return found


def _with_files(table: str, files: Iterable[Path]) -> str:
    found = list(files)
    rows = f"union all by name from read_parquet({_paths(found)}, hive_partitioning = false)" if found else ""
    return f"(from {table} {rows})"


def _same(name: str, kind: str) -> str:
    one, other = f"p.{name}", f"b.{name}"
    if kind != "DOUBLE":
        return f"{one} is not distinct from {other}"
    close = f"abs({one} - {other}) <= 1e-9 * greatest(1, abs({one}))"
    return f"coalesce({close}, coalesce({one}, {other}) is null)"


def _prepare(connection: duckdb.DuckDBPyConnection, lake: dict[str, list[Path]], seeds: Path, as_of: str) -> None:
    connection.execute("set TimeZone = 'UTC'")
    connection.execute("set preserve_insertion_order = false")
    paths = _paths(path for of_source in lake.values() for path in of_source)
    first, last = connection.execute(
        f"select min(occurred_at), max(occurred_at) from read_parquet({paths})"
    ).fetchall()[0]
    connection.execute(
        REFERENCE.format(seeds=seeds, first_day=f"'{first}'", last_day=f"'{last}'", as_of=_moment(as_of))
    )


def _filled(sql: str, as_of: str, lake: dict[str, list[Path]] | None = None, only: str = "") -> str:
    # Not str.format: the SQL has braces of its own.
    for source, paths in (lake or {}).items():
        sql = sql.replace(f"{{{source}}}", f"read_parquet({_paths(paths)})")
    return sql.replace("{as_of}", _moment(as_of)).replace("{only}", only)


def _moment(as_of: str) -> str:
    return f"timestamp '{as_of}'"


def _paths(paths: Iterable[Path]) -> str:
    return "[" + ", ".join(f"'{path}'" for path in paths) + "]"


def main(request: dict[str, Any]) -> None:
    """One piece of work, its paths as text."""
    work: dict[str, Callable[[], None]] = {
        "ingest": lambda: ingest(
            [Path(path) for path in request["landed"]], Path(request["target"]), request["sources"]
        ),
        "full": lambda: full(**_lake_arguments(request), keep=request["keep"]),
        "tick": lambda: tick(**_lake_arguments(request)),
        "publish": lambda: publish(Path(request["database"]), Path(request["target"]), request["families"]),
    }
    work[request["work"]]()


def _lake_arguments(request: dict[str, Any]) -> dict[str, Any]:
    return {
        "lake": {source: [Path(path) for path in paths] for source, paths in request["lake"].items()},
        "seeds": PROJECT_ROOT / "seeds",
        "database": Path(request["database"]),
        "as_of": request["as_of"],
        "families": request["families"],
    }
