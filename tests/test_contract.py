"""The contract: what a wrong one is told, and what the right one says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agent_analytics.contract import CONTRACT_PATH, contract_markdown, load_contract
from agent_analytics.errors import AnalyticsError
from agent_analytics.storage import PROJECT_ROOT

TEXT = CONTRACT_PATH.read_text(encoding="utf-8")


def written(tmp_path: Path, old: str, new: str) -> Path:
    assert old in TEXT
    path = tmp_path / "events.yml"
    path.write_text(TEXT.replace(old, new, 1), encoding="utf-8")
    return path


def test_the_documentation_is_current() -> None:
    page = (PROJECT_ROOT / "docs" / "contract.md").read_text(encoding="utf-8")
    assert page == contract_markdown(load_contract()), "run agent-analytics contract docs"


def test_lake_columns_are_the_architectures() -> None:
    columns = load_contract().lake_columns("delivery")
    assert columns == [
        ("load_id", "BIGINT"),
        ("event_id", "VARCHAR"),
        ("event_type", "VARCHAR"),
        ("occurred_at", "TIMESTAMP"),
        ("tenant_id", "VARCHAR"),
        ("user_id", "VARCHAR"),
        ("session_id", "VARCHAR"),
        ("agent_id", "VARCHAR"),
        ("workflow_id", "VARCHAR"),
        ("correlation_id", "VARCHAR"),
        ("deployment_id", "VARCHAR"),
        ("service", "VARCHAR"),
        ("environment", "VARCHAR"),
        ("succeeded", "BOOLEAN"),
        ("committed_at", "TIMESTAMP"),
        ("event_hash", "UBIGINT"),
    ]
    kinds = dict(load_contract().lake_columns("provider")) | dict(load_contract().lake_columns("patterns"))
    assert (kinds["tokens_in"], kinds["cost_usd"], kinds["queue_ms"], kinds["quality_score"]) == (
        "BIGINT",
        "DECIMAL(18,6)",
        "DOUBLE",
        "DOUBLE",
    )
    assert dict(load_contract().lake_columns("platform"))["rating"] == "INTEGER"


def test_the_fingerprint_follows_what_matters_only(tmp_path: Path) -> None:
    same = written(tmp_path, "# The event contract", "# An event contract")
    assert load_contract(same).fingerprint == load_contract().fingerprint
    seen = {load_contract().fingerprint}
    for old, new in [
        ("max: 64", "max: 65"),
        ("game: [session_id]", "game: [session_id, user_id]"),
        ("topic: optional string", "topic: string"),
        ("[low, normal,", "[normal,"),
        ("retries: count", "retries: number"),
        ("user.logged_in: {}", "user.logged_on: {}"),
    ]:
        seen.add(load_contract(written(tmp_path, old, new)).fingerprint)
    assert len(seen) == 7


WRONG = [
    ("retries: count", "retries: counter", r"sources\.game\.turn\.completed\.retries: unknown type 'counter'"),
    (
        "size_bytes: count, storage_class",
        "size_bytes: number, storage_class",
        r"sources\.platform\.document\.deleted\.size_bytes: .*one type",
    ),
    ("channel: string}", "tenant_id: string}", r"user\.signed_up\.tenant_id: the name 'tenant_id' is an envelope"),
    ("channel: string}", "event_hash: string}", r"user\.signed_up\.event_hash: the name"),
    ("channel: string}", "group: string}", r"user\.signed_up\.group: the name 'group' is a word of SQL's own"),
    ("channel: string}", "Channel: string}", r"user\.signed_up\.Channel: the name 'Channel' must be lower case"),
    ("[low, normal, high, urgent]", "[low, low]", r"ticket\.opened\.severity: an enumeration can't name a value twice"),
    ("[low, normal, high, urgent]", "[]", r"severity: an enumeration needs at least one value"),
    ("[low, normal, high, urgent]", "[low, on]", r"severity: the enumeration's value True must be text"),
    ("[low, normal, high, urgent]", "5", r"severity: must be a type"),
    ("game: [session_id]", "gama: [session_id]", r"requires\.gama: unknown source 'gama'"),
    ("game: [session_id]", "game: [sesion_id]", r"requires\.game: unknown envelope field 'sesion_id'"),
    ("game: [session_id]", "game: session_id", r"requires\.game: must be a list"),
    ("user.logged_in: {}", "user.signed_up: {}", r"line \d+: the key 'user.signed_up' stands twice"),
    ("user.logged_in: {}", "user.logged_in: {a: string", r"line \d+, column \d+: not valid YAML"),
    ("user.logged_in: {}", "user.logged_in: []", r"sources\.platform\.user\.logged_in: must be a mapping"),
    ("user.logged_in: {}", "5: {}", r"sources\.platform: the key 5 must be text"),
    ("version: 1", "version: 2", r"version: must be 1, not 2"),
    ("version: 1", "version: 1\nextra: 1", r"extra: unknown key"),
    ("max: 128", "max: 0", r"envelope\.user_id: max must be a whole number"),
    ("max: 128", "max: 36", r"envelope\.user_id: max must be at least 64: a replay reads the hash"),
    ("\n  delivery:\n", "\n  landing:\n", r"sources\.landing: the name is taken by a folder"),
    ("\n  delivery:\n", "\n  marts:\n", r"sources\.marts: the name is taken by a folder"),
    ("max: 128", "longest: 128", r"envelope\.user_id: unknown key 'longest'"),
    (
        "{type: timestamp, required: true}",
        "{type: string, required: true}",
        r"envelope\.occurred_at: the type must be timestamp",
    ),
    (
        "tenant_id: {type: string, max: 64, required: true}",
        "tenant_id: {type: string, required: false}",
        r"tenant_id: must be required",
    ),
    ("  user_id: {", "  person_id: {", r"envelope: the field user_id is needed"),
    ("  rating: whole", "  stars: whole", r"types\.stars: unknown type"),
    ("  rating: whole number 1..5\n", "", r"types: the type rating isn't described"),
    ("plan: string, region", "plan: text, region", r"reference\.tenants\.plan: unknown type 'text'"),
]


@pytest.mark.parametrize(("old", "new", "message"), WRONG, ids=[row[2][:40] for row in WRONG])
def test_a_wrong_contract_is_told_file_and_place_in_one_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = written(tmp_path, old, new)
    with pytest.raises(AnalyticsError) as caught:
        load_contract(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
    assert re.search(message, str(caught.value))


def test_an_absent_contract_is_named(tmp_path: Path) -> None:
    with pytest.raises(AnalyticsError, match=r"no\.yml: the contract can't be read"):
        load_contract(tmp_path / "no.yml")
