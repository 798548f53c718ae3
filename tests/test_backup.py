"""A backup is one moment, whoever writes meanwhile; what is restored goes on as if nothing had happened."""

from __future__ import annotations

import os
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from events import Generator
from harness import World, differences

from agent_analytics import backup as backups
from agent_analytics.backup import RECORD, backup, restore
from agent_analytics.errors import AnalyticsError
from agent_analytics.ledger import Ledger
from agent_analytics.locking import writer_lock
from agent_analytics.operations import audit


@pytest.fixture
def loaded(tmp_path: Path) -> World:
    """Two loads, of good lines and bad ones, without a warehouse."""
    world = World(tmp_path / "loaded")
    for batch in Generator(3).loads(Generator(3).events(200, "delivery", "swarm"), 2):
        world.land(batch)
        with (world.storage.landing / f"{world.landed:05d}.jsonl").open("a") as file:
            file.write("{cut\n")
        world.ingest()
    return world


def files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file() and path.name != ".lock")


@pytest.mark.slow
def test_the_next_run_and_the_marts_of_a_restored_root_are_the_same(world: World, tmp_path: Path) -> None:
    generator = Generator(31)
    first, second, third = generator.loads(generator.events(400, "delivery"), 3)
    world.land(first)
    world.run()
    world.land(second)
    world.ingest()
    audit.record(world.storage, "accept", "delivery", reason="checked")
    made: list[backups.Backup] = []
    with writer_lock(world.storage, "agent-analytics run"):
        other = threading.Thread(target=lambda: made.append(backup(world.storage, tmp_path / "backup")))
        other.start()
        other.join()
    assert made[0].load_id == 2
    again = World(tmp_path / "again", world.landed)
    restore(again.storage, tmp_path / "backup")
    assert {m: differences(r, again.published_marts()[m]) for m, r in world.published_marts().items()} == {
        m: [] for m in world.published_marts()
    }
    for one in (world, again):
        assert one.run().ingest.load_id is None
        one.land(third)
        assert one.run().ingest.load_id == 3
    restored = again.published_marts()
    assert {
        name: found for name, rows in world.published_marts().items() if (found := differences(rows, restored[name]))
    } == {}
    assert audit.entries(again.storage) == audit.entries(world.storage)


def test_a_load_that_commits_meanwhile_is_left_to_the_next_run(
    loaded: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = backups._copy
    begun: list[Path] = []

    def interrupted(source: Path, target: Path) -> dict[str, Any]:
        if not begun:
            begun.append(source)
            loaded.land(Generator(4).events(30, "delivery"))
            loaded.ingest()
        return copy(source, target)

    before = Ledger(loaded.storage).entries()
    monkeypatch.setattr(backups, "_copy", interrupted)
    assert backup(loaded.storage, tmp_path / "backup").load_id == 2
    again = World(tmp_path / "again")
    restore(again.storage, tmp_path / "backup")
    assert Ledger(again.storage).entries() == before
    assert again.ingest().load_id == 3
    assert again.ingest().load_id is None
    counts = [[file.lines for entry in Ledger(w.storage).entries() for file in entry.files] for w in (loaded, again)]
    assert counts[0] == counts[1]


def test_nothing_but_landing_may_be_left_out(loaded: World, tmp_path: Path) -> None:
    backup(loaded.storage, tmp_path / "backup", with_landing=False)
    again = World(tmp_path / "again")
    restore(again.storage, tmp_path / "backup")
    assert not [name for name in files(again.root) if name.startswith("landing")]
    assert again.ingest().load_id is None


def test_what_can_not_be_looked_at_in_landing_is_named_before_anything_is_copied(loaded: World, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (loaded.storage.landing / "linked").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(AnalyticsError, match="/landing/linked: a symlink to a folder is not followed"):
        backup(loaded.storage, tmp_path / "backup")
    assert not (tmp_path / "backup").exists()
    assert backup(loaded.storage, tmp_path / "backup", with_landing=False).load_id == 2


def test_a_damaged_backup_is_refused_by_name(loaded: World, tmp_path: Path) -> None:
    backup(loaded.storage, tmp_path / "backup")
    again = World(tmp_path / "again")
    for name in files(tmp_path / "backup"):
        path = tmp_path / "backup" / name
        whole = path.read_bytes()
        spoilt = bytes([whole[0] ^ 1]) + whole[1:]
        for content in (None, spoilt, whole[:-2]):
            path.unlink() if content is None else path.write_bytes(content)
            with pytest.raises(AnalyticsError) as caught:
                restore(again.storage, tmp_path / "backup")
            assert name in str(caught.value) and "\n" not in str(caught.value)
            assert files(again.root) == []
        path.write_bytes(whole)
    restore(again.storage, tmp_path / "backup")
    assert Ledger(again.storage).entries() == Ledger(loaded.storage).entries()


def test_only_an_empty_root_is_restored_into(loaded: World, tmp_path: Path) -> None:
    backup(loaded.storage, tmp_path / "backup")
    again = World(tmp_path / "again")
    again.land(Generator(5).events(1, "delivery"))
    with pytest.raises(AnalyticsError, match=r"is not empty \(landing/00001.jsonl\)"):
        restore(again.storage, tmp_path / "backup")
    assert files(again.root) == ["landing/00001.jsonl"]


def test_a_backup_has_a_folder_of_its_own(loaded: World, tmp_path: Path) -> None:
    with pytest.raises(AnalyticsError, match="lies in the storage root"):
        backup(loaded.storage, loaded.root / "backup")
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").touch()
    with pytest.raises(AnalyticsError, match="is not empty"):
        backup(loaded.storage, tmp_path / "used")
    assert not list(loaded.storage.work.iterdir())


def test_a_key_that_is_lost_or_another_is_told(loaded: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = backup(loaded.storage, tmp_path / "backup")
    assert any("ANALYTICS_HASH_KEY" in warning for warning in made.warnings)
    assert os.environ["ANALYTICS_HASH_KEY"] not in (tmp_path / "backup" / RECORD).read_text()
    for key in ("another", ""):
        monkeypatch.setenv("ANALYTICS_HASH_KEY", key)
        with pytest.raises(AnalyticsError, match="hashed with another key"):
            restore(World(tmp_path / "again").storage, tmp_path / "backup")


def test_the_development_key_comes_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANALYTICS_HASH_KEY")
    world, again = World(tmp_path / "world"), World(tmp_path / "again")
    world.land(Generator(5).events(5, "platform"))
    world.ingest()
    assert backup(world.storage, tmp_path / "backup").warnings == []
    restore(again.storage, tmp_path / "backup")
    key = again.root / ".hash_key"
    assert key.read_bytes() == (world.root / ".hash_key").read_bytes()
    assert key.stat().st_mode & 0o777 == 0o600
    assert abs(key.stat().st_mtime - (world.root / ".hash_key").stat().st_mtime) < timedelta(seconds=1).total_seconds()
