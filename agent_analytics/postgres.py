"""The published version in PostgreSQL, for teams: the same marts, who may see which rows, switched in one transaction.

Tables stay the same tables: their rows are deleted and inserted. So grants, policies and views that depend on them
survive, and readers, who see the rows of before until the commit, never wait. Only marts that changed are copied.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import psycopg
from psycopg.conninfo import conninfo_to_dict

from agent_analytics import durable, snapshot, versions
from agent_analytics.errors import AnalyticsError
from agent_analytics.snapshot import literal, quote
from agent_analytics.storage import Storage

Json = dict[str, Any]
Relation = tuple[str, str]

VIEWER, EDITOR, ADMIN, TENANT = "analytics_viewer", "analytics_editor", "analytics_admin", "analytics_tenant"

# What a version says about itself.
OPS = tuple(("ops", name) for name in ("pipeline_runs", "publications", "watermarks"))

PUBLISHING = 7_202_603

TYPES = {
    "VARCHAR": "text",
    "DATE": "date",
    "BOOLEAN": "boolean",
    "INTEGER": "integer",
    "BIGINT": "bigint",
    "HUGEINT": "numeric(38,0)",
    "DOUBLE": "double precision",
    "TIMESTAMP": "timestamp with time zone",
    "TIMESTAMP WITH TIME ZONE": "timestamp with time zone",
}

# For admins, who are no members of the tenants' roles: PostgreSQL looks through all roles that one is a member of, at
# the first question of a connection, in a time that grows with their square.
_TENANT_FUNCTION = """
create function ops.{verb}_tenant(tenant text, member name) returns void
    language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    its_role text := (select t.role from ops.tenant_roles t where t.tenant_id = tenant);
begin
    if its_role is null then
        raise exception 'no tenant % is published', quote_literal(tenant);
    end if;
    execute format('{verb} %I {preposition} %I', its_role, member);
end $$;
revoke execute on function ops.{verb}_tenant from public;
grant execute on function ops.{verb}_tenant to {admin};
"""

SETUP = f"""
create schema ops;
create table ops.copies (schema text, relation text, content text not null, version bigint not null,
                         primary key (schema, relation));
create table ops.tenant_roles (tenant_id text primary key, role text not null unique);
alter table ops.tenant_roles enable row level security;
create policy one_of_mine on ops.tenant_roles for select to {TENANT} using
    (role in (select r.rolname from pg_catalog.pg_roles r where pg_has_role(r.oid, 'usage')));
create policy all_rows on ops.tenant_roles for select to {VIEWER} using (true);
{_TENANT_FUNCTION.format(verb="grant", preposition="to", admin=ADMIN)}
{_TENANT_FUNCTION.format(verb="revoke", preposition="from", admin=ADMIN)}
create schema workspace;
grant {VIEWER} to {EDITOR};
grant {EDITOR} to {ADMIN};
grant usage on schema ops to {VIEWER}, {TENANT};
grant select on ops.tenant_roles to {VIEWER}, {TENANT};
grant usage on schema workspace to {VIEWER};
grant create on schema workspace to {EDITOR};
comment on schema workspace is 'For the views and tables of analysts; publishing never touches it';
comment on table ops.copies is 'What was copied, and of which published version';
comment on table ops.tenant_roles is 'The role of each tenant: whoever is a member of it sees the rows of that tenant';
"""


@dataclass(frozen=True)
class Copy:
    """What a publish to PostgreSQL did: the published version, and which marts were copied or withdrawn."""

    version: int
    copied: tuple[str, ...]
    withdrawn: tuple[str, ...]
    rows: int
    unchanged: int


@dataclass
class Server:
    """How PostgreSQL stands before a copy."""

    is_set_up: bool = False
    version: int | None = None
    copies: dict[Relation, str] = field(default_factory=dict)
    columns: dict[Relation, dict[str, str]] = field(default_factory=dict)
    shared: set[Relation] = field(default_factory=set)
    roles: set[str] = field(default_factory=set)
    tenants: dict[str, str] = field(default_factory=dict)


def address() -> str:
    """ANALYTICS_POSTGRES_URL; AnalyticsError if it isn't set."""
    url = os.environ.get("ANALYTICS_POSTGRES_URL", "").strip()
    if not url:
        raise AnalyticsError("ANALYTICS_POSTGRES_URL is not set: postgresql://user:password@host:5432/database")
    return url


def publish(storage: Storage, url: str, progress: Callable[[str], None] = lambda _: None) -> Copy:
    """Bring PostgreSQL up to the current published version, in one transaction; nothing is changed if it fails.

    Raises AnalyticsError, in one line and without the password, when nothing is published, the server can't be reached
    or refuses, or a table that is no copy stands in the way.
    """
    versions.require_current(storage)
    with _clear_errors(url), _session(url) as session:
        # Once more, under the lock: whoever waited for it must not bring back what was replaced meanwhile.
        folder = versions.require_current(storage)
        record = versions.read_manifest(folder)
        server = _look(session)
        marts = {(entry["schema"], entry["relation"]): entry for entry in record["marts"]}
        _refuse_strangers(server, marts)
        stale = {
            relation: entry
            for relation, entry in marts.items()
            if relation not in server.columns or server.copies.get(relation) != _content(entry)
        }
        gone = sorted(relation for relation in server.copies if relation not in marts)
        if stale or gone or server.version != record["version"]:
            with _attached(folder, url) as connection:
                _copy(connection, server, record, stale, gone, progress)
            # The copy is committed: a vacuum that fails is left to PostgreSQL's own.
            for relation in stale:
                with suppress(psycopg.Error):
                    session.execute(f"vacuum (analyze) {_name(relation)}".encode())
    return Copy(
        version=record["version"],
        copied=tuple(entry["mart"] for entry in stale.values()),
        withdrawn=tuple(name for _, name in gone),
        rows=sum(entry["rows"] for entry in stale.values()),
        unchanged=len(marts) - len(stale),
    )


# Looking


def _look(session: psycopg.Connection[Any]) -> Server:
    server = Server(roles={name for (name,) in session.execute("select rolname from pg_roles")})
    for schema, relation, column, kind in session.execute(
        "select n.nspname, c.relname, a.attname, format_type(a.atttypid, a.atttypmod) from pg_class c"
        " join pg_namespace n on n.oid = c.relnamespace"
        " join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped"
        " where c.relkind in ('r', 'p', 'v', 'm', 'f') and n.nspname not in ('pg_catalog', 'information_schema')"
    ):
        server.columns.setdefault((schema, relation), {})[column] = kind
    server.is_set_up = ("ops", "copies") in server.columns
    if server.is_set_up:
        for schema, relation, content, version in session.execute("select * from ops.copies"):
            server.copies[schema, relation] = content
            server.version = version
        server.tenants = dict(session.execute("select tenant_id, role from ops.tenant_roles").fetchall())
    server.shared = set(session.execute("select schemaname, tablename from pg_policies where policyname = 'own_rows'"))
    return server


def _refuse_strangers(server: Server, marts: dict[Relation, Json]) -> None:
    ours = {*server.copies, *(OPS if server.is_set_up else ())}
    for relation in (*marts, *OPS):
        if relation in server.columns and relation not in ours:
            raise AnalyticsError(f"{'.'.join(relation)} is in PostgreSQL and is not a copy: rename it or drop it")


def _content(entry: Json) -> str:
    """What a copy shows of a mart: its rows and its descriptions."""
    shown = [entry["state"]["digest"], entry["rows"], entry["description"], entry["fields"]]
    return hashlib.sha256(json.dumps(shown).encode()).hexdigest()[:32]


# Copying


def _copy(
    connection: duckdb.DuckDBPyConnection,
    server: Server,
    record: Json,
    stale: dict[Relation, Json],
    gone: list[Relation],
    progress: Callable[[str], None],
) -> None:
    ops = {relation: _fields(connection, relation) for relation in _ops_tables(connection)}
    wanted = {relation: entry["fields"] for relation, entry in stale.items()} | ops
    connection.execute("begin")
    run = _Runner(connection)
    run("set local lock_timeout = '60s'")
    run(*(f"create role {role}" for role in (VIEWER, EDITOR, ADMIN, TENANT) if role not in server.roles))
    if not server.is_set_up:
        run(SETUP)
        run(*(f"grant {role} to {ADMIN} with admin option" for role in (VIEWER, EDITOR, TENANT)))
    for relation, fields in wanted.items():
        run(*_shape(server, relation, fields))
    run(*(f"drop table {_name(relation)}" for relation in gone))
    # DuckDB keeps what it has seen of the catalog.
    connection.execute("call pg_clear_cache()")
    for relation, fields in wanted.items():
        progress(relation[1])
        durable.point(f"postgres:{relation[1]}")
        names = ", ".join(quote(column["name"]) for column in fields)
        connection.execute(
            f"insert into server.{_name(relation)} ({names}) select {names} from {snapshot.SNAPSHOT}.{_name(relation)}"
        )
        if relation not in server.columns:
            run(*_indexes(relation, fields))
        run(*_comments(connection, relation))
    run(*_tenants(connection, server, record))
    rows = ", ".join(
        f"({literal(entry['schema'])}, {literal(entry['relation'])}, {literal(_content(entry))}, {record['version']})"
        for entry in record["marts"]
    )
    run("delete from ops.copies", f"insert into ops.copies values {rows}" if rows else "")
    durable.point("postgres:commit")
    connection.execute("commit")


class _Runner:
    """Runs statements in PostgreSQL, inside of DuckDB's transaction there."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def __call__(self, *statements: str) -> None:
        if text := ";\n".join(statement for statement in statements if statement):
            self._connection.execute(f"call postgres_execute('server', {literal(text)})")


def _shape(server: Server, relation: Relation, fields: list[Json]) -> Iterator[str]:
    """Statements after which the table is there, empty, with these columns, and known to those who may read it."""
    name, wanted = _name(relation), {column["name"]: _type(column["type"]) for column in fields}
    found, shared = server.columns.get(relation), relation in server.shared
    if found is None:
        columns = ", ".join(f"{quote(column)} {kind}" for column, kind in wanted.items())
        yield f"create schema if not exists {quote(relation[0])}"
        yield f"create table {name} ({columns})"
        yield f"alter table {name} enable row level security"
        yield f"create policy all_rows on {name} for select to {VIEWER} using (true)"
        yield f"grant usage on schema {quote(relation[0])} to {VIEWER}"
        yield f"grant select on {name} to {VIEWER}"
    else:
        yield f"delete from {name}"
        if shared and found.get("tenant_id") != wanted.get("tenant_id"):
            # PostgreSQL refuses to change a column that a policy needs.
            yield f"drop policy own_rows on {name}"
            yield f"revoke select on {name} from {TENANT}"
            shared = False
        yield from (
            f"alter table {name} alter {quote(column)} type {kind} using null"
            for column, kind in wanted.items()
            if column in found and found[column] != kind
        )
        yield from (f"alter table {name} drop {quote(column)}" for column in found if column not in wanted)
        yield from (
            f"alter table {name} add {quote(column)} {kind}" for column, kind in wanted.items() if column not in found
        )
    if "tenant_id" in wanted and not shared:
        yield (
            f"create policy own_rows on {name} for select to {TENANT}"
            " using (tenant_id::text in (select t.tenant_id from ops.tenant_roles t))"
        )
        yield f"grant usage on schema {quote(relation[0])} to {TENANT}"
        yield f"grant select on {name} to {TENANT}"


def _indexes(relation: Relation, fields: list[Json]) -> Iterator[str]:
    """One index: by tenant and time, which is how dashboards ask."""
    names = [column["name"] for column in fields]
    times = [column["name"] for column in fields if column["type"] in ("DATE", "TIMESTAMP")]
    key = [*(["tenant_id"] if "tenant_id" in names else []), *times[:1]]
    if key:
        yield f"create index on {_name(relation)} ({', '.join(map(quote, key))})"


def _comments(connection: duckdb.DuckDBPyConnection, relation: Relation) -> Iterator[str]:
    """The comments of the snapshot."""
    where = f"database_name = '{snapshot.SNAPSHOT}' and (schema_name, table_name) = (?, ?)"
    [(text,)] = connection.execute(f"select comment from duckdb_tables() where {where}", relation).fetchall()
    columns = f"select column_name, comment from duckdb_columns() where {where} order by column_index"
    yield f"comment on table {_name(relation)} is {literal(text or '')}"
    for column, text in connection.execute(columns, relation).fetchall():
        yield f"comment on column {_name(relation)}.{quote(column)} is {literal(text or '')}"


def _tenants(connection: duckdb.DuckDBPyConnection, server: Server, record: Json) -> Iterator[str]:
    """A role for each tenant that is published and has none."""
    marts = [
        f"select tenant_id::varchar as tenant_id from {snapshot.SNAPSHOT}.{_name((entry['schema'], entry['relation']))}"
        for entry in record["marts"]
        if any(column["name"] == "tenant_id" for column in entry["fields"])
    ]
    if not marts:
        return
    found = connection.execute(f"select distinct tenant_id from ({' union all '.join(marts)}) order by 1").fetchall()
    for (tenant,) in found:
        if not tenant or "\0" in tenant or server.tenants.get(tenant) in server.roles:
            continue
        role = tenant_role(tenant)
        if role not in server.roles:
            yield f"create role {quote(role)}"
        yield f"insert into ops.tenant_roles values ({literal(tenant)}, {literal(role)}) on conflict do nothing"
        yield f"grant {TENANT} to {quote(role)}"


def tenant_role(tenant: str) -> str:
    """The name of a tenant's role; of a long id, its MD5."""
    name = f"tenant_{tenant}"
    return name if len(name.encode()) <= 63 else f"tenant_{hashlib.md5(tenant.encode()).hexdigest()}"


def _ops_tables(connection: duckdb.DuckDBPyConnection) -> list[Relation]:
    rows = connection.execute(
        f"select schema_name, table_name from duckdb_tables() where database_name = '{snapshot.SNAPSHOT}'"
    ).fetchall()
    return [relation for relation in OPS if relation in rows]


def _fields(connection: duckdb.DuckDBPyConnection, relation: Relation) -> list[Json]:
    columns = snapshot.relation_columns(connection, f"{snapshot.SNAPSHOT}.{_name(relation)}")
    return [{"name": column.name, "type": column.type} for column in columns]


def _type(kind: str) -> str:
    return TYPES.get(kind) or (kind.replace("DECIMAL", "numeric") if kind.startswith("DECIMAL") else "text")


def _name(relation: Relation) -> str:
    return f"{quote(relation[0])}.{quote(relation[1])}"


# Connections


@contextmanager
def _session(url: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection of our own, under a lock that lets one publish to this database at a time."""
    with psycopg.connect(url, autocommit=True, connect_timeout=10) as session:
        session.execute("select pg_advisory_lock(%s)", [PUBLISHING])
        yield session


@contextmanager
def _attached(folder: Path, url: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB with the version attached as `snapshot` and PostgreSQL as `server`."""
    connection = duckdb.connect(config={"autoinstall_known_extensions": "false"})
    try:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(f"load {literal(_extension())}")
        # PostgreSQL's text can't hold the character 0.
        connection.execute("set pg_null_byte_replacement = '\ufffd'")
        connection.execute(f"attach {literal(folder / versions.SNAPSHOT)} as {snapshot.SNAPSHOT} (read_only)")
        connection.execute(f"attach {literal(url)} as server (type postgres)")
        yield connection
    finally:
        connection.close()


def _extension() -> Path:
    """DuckDB's extension for PostgreSQL, out of its wheel: nothing is downloaded."""
    name = "postgres_scanner"
    found = importlib.util.find_spec(f"duckdb_extension_{name}")
    for folder in (found.submodule_search_locations or []) if found else []:
        path = Path(folder) / "extensions" / f"v{duckdb.__version__}" / f"{name}.duckdb_extension"
        if path.is_file():
            return path
    raise AnalyticsError(f"duckdb-extension-postgres-scanner {duckdb.__version__} is not installed: run make setup")


@contextmanager
def _clear_errors(url: str) -> Iterator[None]:
    password = _password(url)
    try:
        yield
    except (duckdb.Error, psycopg.Error) as error:
        text = (str(error).strip() or type(error).__name__).replace(url, "ANALYTICS_POSTGRES_URL")
        said = re.findall(r"(?:ERROR|FATAL):\s+(.+)", text) or text.splitlines()[:1]
        detail = re.findall(r"DETAIL:\s+(.+)", text)
        message = ": ".join([said[-1], *detail[:1]])
        if password:
            message = message.replace(password, "***")
        raise AnalyticsError(f"PostgreSQL: {message}: nothing was changed there") from None


def _password(url: str) -> str:
    """The password in an address. One that can't be read isn't shown: any part of it may be the password."""
    with suppress(psycopg.Error):
        parts = {name: str(value) for name, value in conninfo_to_dict(url).items()}
        # An @ or a / in a password makes the rest of it a host, or what comes before a port.
        if "@" not in parts.get("host", "") and re.fullmatch(r"[\d,]*", parts.get("port", "")):
            return parts.get("password", "")
    raise AnalyticsError(
        "ANALYTICS_POSTGRES_URL is not an address such as postgresql://user:password@host:5432/database"
        " (in a password, @ is written %40 and / is written %2F)"
    )
