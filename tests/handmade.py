"""A storage root made by hand: what build and gate would leave behind, without dbt and Great Expectations."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import duckdb
from killed import killed_at

from agent_analytics import durable
from agent_analytics.publish import Publication, publish
from agent_analytics.storage import Storage

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


@dataclass
class Handmade:
    """Three families: `costs`; `delivery`, which reads costs; `goals_of`, which reads delivery; and `swarm` by itself.

    Each has one mart, costs two. `clock` is the time that publish is told.
    """

    root: Path
    clock: datetime = NOON
    builds: int = 0
    descriptions: dict[str, str] = field(default_factory=dict)

    @property
    def storage(self) -> Storage:
        return Storage(self.root)

    @property
    def manifest_path(self) -> Path:
        return self.root / "dbt_manifest.json"

    @property
    def build_id(self) -> str:
        return f"build-{self.builds}"

    MARTS: ClassVar = {
        "costs": ["spend", "budgets"],
        "delivery": ["deployments"],
        "goals_of": ["targets"],
        "swarm": ["efficiency"],
    }
    REFS: ClassVar = {
        "deployments": ["spend"],
        "targets": ["int_shared"],
        "int_shared": ["deployments"],
        "spend": ["stg_events"],
    }

    def marts(self) -> list[str]:
        return [mart for marts in self.MARTS.values() for mart in marts]

    def build(self, changed: dict[str, str] | None = None, **outcomes: str) -> Handmade:
        """A finished build, all gates passed. `changed`: mart -> select; `outcomes`: mart -> status."""
        self.builds += 1
        self.write_manifest()
        changed = changed if changed is not None else {}
        if self.builds == 1:
            changed = {mart: self.rows(mart) for mart in self.marts()} | changed
        self.warehouse(changed)
        models = {
            mart: {
                "status": outcomes.get(mart, "success" if mart in changed else "unchanged"),
                "rows_changed": mart in changed,
                "seconds": 0.1,
                "message": "Runtime Error\n  by hand" if outcomes.get(mart) == "error" else None,
            }
            for mart in self.marts()
        }
        self.write_build(models=models)
        for family in self.MARTS:
            self.gate(family)
        return self

    @staticmethod
    def rows(mart: str, count: int = 5, double: str = "i / 3.0") -> str:
        return (
            f"select 't' || i as tenant_id, date '2026-01-01' + i::int as date, '{mart}' as label, i as messages,"
            f" (i * 1.5)::decimal(18,6) as cost_usd, ({double})::double as rate, 1::bigint as loaded_through"
            f" from range({count}) as r(i)"
        )

    def warehouse(self, selects: dict[str, str]) -> None:
        """Write marts, their watermarks, a staging and an intermediate table, in one build's name."""
        with duckdb.connect(str(self.storage.warehouse)) as connection:
            connection.execute("create schema if not exists ops")
            connection.execute(
                "create table if not exists ops.model_watermarks (model varchar, token varchar, loaded_through bigint,"
                " as_of timestamp, changed_by varchar, fingerprint varchar)"
            )
            connection.execute(
                "create or replace view ops.watermarks as select model, loaded_through,"
                " timestamp '2026-01-01 23:00' as newest_event_at, 0 as lag_loads, 0.0 as lag_hours,"
                " 'provider' as sources"
                " from ops.model_watermarks"
            )
            connection.execute(f"create or replace table ops.run as select '{self.build_id}' as invocation_id")
            for hidden in ("staging", "intermediate"):
                connection.execute(f"create schema if not exists {hidden}")
                connection.execute(f"create or replace table {hidden}.secret as select 42 as user_id")
            for family, marts in self.MARTS.items():
                connection.execute(f"create schema if not exists {family}")
                for mart in set(marts) & set(selects):
                    token = f"{mart}-{self.builds}"
                    connection.execute(f"create or replace table {family}.{mart} as {selects[mart]}")
                    connection.execute(f"comment on table {family}.{mart} is '{token}'")
                    connection.execute(f"delete from ops.model_watermarks where model = '{mart}'")
                    connection.execute(
                        "insert into ops.model_watermarks"
                        f" values ('{mart}', '{token}', 1, '2026-01-02', '{self.build_id}', 'of its definition')"
                    )

    def write_build(self, **changes: Any) -> None:
        record = {
            "build_id": self.build_id,
            "status": "finished",
            "load_id": 1,
            "as_of": "2026-01-02T00:00:00.000000Z",
            "started_at": "2026-01-02T11:00:00.000000Z",
            "finished_at": "2026-01-02T11:01:00.000000Z",
            "models": {},
            "failed_tests": [],
            "families": {family: {"ok": True, "why": None} for family in self.MARTS},
        }
        if self.storage.build_record.exists() and "models" not in changes:
            record = json.loads(self.storage.build_record.read_text())
        durable.write_json(self.storage.build_record, record | changes)

    def gate(self, family: str, /, **changes: Any) -> None:
        result = {
            "family": family,
            "build_id": self.build_id,
            "status": "passed",
            "evaluated": 3,
            "expected": 3,
            "results": [],
            "why": None,
            "accepted": None,
        }
        durable.write_json(self.storage.gates / f"{family}.json", result | changes)

    def fail_gate(self, family: str) -> None:
        self.gate(family, status="failed", why="2 critical expectations failed")

    def write_manifest(self) -> None:
        nodes = {}
        for family, marts in self.MARTS.items():
            for mart in marts:
                nodes[f"model.p.{mart}"] = self.node(mart, family, f"marts/{family}/{mart}.sql")
        nodes["model.p.int_shared"] = self.node("int_shared", "intermediate", "intermediate/int_shared.sql")
        nodes["model.p.stg_events"] = self.node("stg_events", "staging", "staging/costs/stg_events.sql")
        self.manifest_path.parent.mkdir(parents=True, exist_ok=True)
        self.manifest_path.write_text(json.dumps({"nodes": nodes}))

    def node(self, name: str, schema: str, path: str, meta: dict[str, Any] | None = None) -> dict[str, Any]:
        return {
            "resource_type": "model",
            "name": name,
            "alias": name,
            "schema": schema,
            "path": path,
            "description": self.descriptions.get(name, f"The {name}'s description"),
            "columns": {"rate": {"name": "rate", "description": "A third of the messages"}},
            "config": {"meta": {"key": ["date", "tenant_id"]} if meta is None else meta},
            "depends_on": {"nodes": [f"model.p.{other}" for other in self.REFS.get(name, [])]},
        }

    def publish(self, hours: float = 0) -> Publication:
        """Publish, `hours` later than the last time."""
        self.clock += timedelta(hours=hours)
        return publish(self.storage, self.manifest_path, self.clock)

    def publish_in_a_process(self, kill_at: int, log: Path) -> int:
        """Its exit status."""
        return killed_at(kill_at, log, publish, self.storage, self.manifest_path, self.clock)

    def published(self, sql: str) -> list[tuple[Any, ...]]:
        """The answer of the published snapshot, as a new reader gets it."""
        path = (self.storage.published / "analytics.duckdb").resolve()
        with duckdb.connect(str(path), read_only=True) as connection:
            return connection.execute(sql).fetchall()

    def record(self) -> dict[str, Any]:
        return dict(json.loads((self.storage.published / "manifest.json").read_text()))
