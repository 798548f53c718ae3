"""The command line: exit statuses, one line per error, plain output on pipes, a quick start."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import NoReturn

import pytest
from handmade import Handmade

from agent_analytics import cli, console, versions
from agent_analytics.errors import AnalyticsError
from agent_analytics.operations import audit
from agent_analytics.storage import PROJECT_ROOT, Storage


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Handmade:
    monkeypatch.setenv("ANALYTICS_STORAGE", str(tmp_path))
    monkeypatch.setenv("ANALYTICS_ACTOR", "ada")
    monkeypatch.delenv("ANALYTICS_OPERATIONS_URL", raising=False)
    monkeypatch.chdir(tmp_path)
    made = Handmade(tmp_path).build()
    monkeypatch.setattr("agent_analytics.publish.publish.__defaults__", (made.manifest_path, made.clock, None, None))
    return made


def fails(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line that a failing command prints on standard error."""
    assert cli.execute(arguments) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "Traceback" not in error
    assert error.startswith("agent-analytics: ")
    return error.removeprefix("agent-analytics: ").rstrip("\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ["bogus"],
        ["query"],
        ["query", "select 1", "--format", "xml"],
        ["query", "select 1", "--max-rows", "0"],
        ["query", "select 1", "more"],
        ["status", "--nope"],
        ["loads"],
        ["loads", "retract", "1"],
        ["loads", "retract", "0", "--reason", "x"],
        ["loads", "retract", "one", "--reason", "x"],
        ["loads", "retract", "1", "--reason", " "],
        ["gate", "--accept", "costs"],
        ["gate", "--reason", "why"],
        ["gate", "--accept", "costs", "--reason", ""],
        ["build", "--start", "2026-01-01"],
        ["build", "--start", "2026-01-02", "--end", "2026-01-01"],
        ["build", "--start", "yesterday", "--end", "today"],
        ["simulate", "--events", "0"],
        ["erase", "--reason", "x"],
        ["erase", "--tenant", "a", "--user", "b", "--reason", "x"],
        ["erase", "--tenant", "a"],
        ["erase", "--user", " ", "--reason", "x"],
        ["export", "tenant", "a"],
        ["simulate", "--late", "2"],
        [],
    ],
)
def test_wrong_usage_is_status_2(arguments: list[str], made: Handmade, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.execute(arguments) == 2
    assert "Traceback" not in capsys.readouterr().err
    assert not (made.root / "logs").exists()


@pytest.mark.parametrize("arguments", [["--help"], ["query", "--help"], ["loads", "retract", "--help"]])
def test_help_is_status_0(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.execute(arguments) == 0
    assert "Usage: agent-analytics" in capsys.readouterr().out


def test_publish_then_query(made: Handmade, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.execute(["publish"]) == 0
    assert capsys.readouterr().out == "version 1: 5 marts written\n"
    assert cli.execute(["publish"]) == 0
    assert capsys.readouterr().out == "nothing to publish: version 1 is current\n"
    assert cli.execute(["query", "select label, sum(cost_usd) as cost from spend group by label"]) == 0
    assert capsys.readouterr().out == "label       cost\nspend  15.000000\n"


def test_a_family_that_is_not_published_is_status_1_and_named_with_why(
    made: Handmade, capsys: pytest.CaptureFixture[str]
) -> None:
    made.fail_gate("swarm")
    line = fails(capsys, "publish")
    assert line == "1 of 4 families are not published: swarm (the gate failed (2 critical expectations failed))"
    assert made.published("select count(*) from costs.spend") == [(5,)]


def test_errors_are_one_line(made: Handmade, capsys: pytest.CaptureFixture[str]) -> None:
    assert "nothing is published yet" in fails(capsys, "query", "select 1")
    assert cli.execute(["publish"]) == 0
    capsys.readouterr()
    assert fails(capsys, "query", "select nope\nfrom spend").startswith('Binder Error: Referenced column "nope"')
    assert "not a reading one" in fails(capsys, "query", "drop table spend")
    made.write_build(status="running")
    assert "the last build did not finish" in fails(capsys, "publish")


def test_an_unforeseen_error_is_one_line_and_its_trace_is_kept(
    made: Handmade, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object) -> NoReturn:
        raise ZeroDivisionError("first line\nsecond line")

    monkeypatch.setattr(versions, "current", broken)
    line = fails(capsys, "publish")
    assert line.startswith("unexpected ZeroDivisionError: first line (its trace is in ")
    [log] = (made.root / "logs").iterdir()
    assert str(log) in line and "Traceback" in log.read_text()


def test_query_formats_keep_money_exact_and_nulls_apart(made: Handmade, capsys: pytest.CaptureFixture[str]) -> None:
    cli.execute(["publish"])
    capsys.readouterr()
    sql = (
        "select 123456789012.123456::decimal(18,6) as money, 'a \"b\", é' as text, null as nothing,"
        " 'nan'::double as rate, timestamp '2026-01-02 03:04:05' as at, [1, 2] as list, true as flag"
    )
    assert cli.execute(["query", sql, "--format", "json"]) == 0
    [row] = json.loads(capsys.readouterr().out, parse_float=Decimal)
    assert row == {
        "money": Decimal("123456789012.123456"),
        "text": 'a "b", é',
        "nothing": None,
        "rate": None,
        "at": "2026-01-02T03:04:05",
        "list": [1, 2],
        "flag": True,
    }
    assert cli.execute(["query", sql, "--format", "csv"]) == 0
    header, line = csv.reader(io.StringIO(capsys.readouterr().out))
    assert header[0] == "money" and line[:3] == ["123456789012.123456", 'a "b", é', ""]


def test_a_cut_answer_says_so_on_standard_error(made: Handmade, capsys: pytest.CaptureFixture[str]) -> None:
    cli.execute(["publish"])
    capsys.readouterr()
    assert cli.execute(["query", "from spend", "--max-rows", "2", "--format", "csv"]) == 0
    printed = capsys.readouterr()
    assert printed.out.count("\n") == 3
    assert printed.err == "only the first 2 rows are shown: --max-rows shows more\n"


def test_status_of_an_empty_storage_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ANALYTICS_STORAGE", str(tmp_path / "none"))
    assert cli.execute(["status", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["loads"], found["version"], found["build"], found["families"]) == (0, None, None, [])
    assert cli.execute(["status"]) == 0
    assert not (tmp_path / "none").exists()


def test_status_tells_loads_waiting_files_lag_and_stale_families(
    made: Handmade, capsys: pytest.CaptureFixture[str]
) -> None:
    land(made.storage)
    cli.execute(["publish"])
    made.build()
    made.fail_gate("costs")
    cli.execute(["publish"])
    capsys.readouterr()
    assert cli.execute(["status", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["loads"], found["newest_load"]["accepted"], found["data_clock"]) == (
        2,
        3,
        "2026-01-02T02:00:00.000000Z",
    )
    assert (found["waiting"], found["changed"]) == (["a/new.jsonl"], ["a/changed.jsonl"])
    assert list(found["unreadable"]) == ["linked"]
    spend = next(mark for mark in found["watermarks"] if mark["model"] == "spend")
    assert (spend["lag_loads"], spend["lag_hours"]) == (1, 3.0)
    families = {family["family"]: family for family in found["families"]}
    assert families["delivery"]["status"] == "stale" and "costs" in families["delivery"]["why"]
    assert families["costs"]["gate"] == "failed" and families["swarm"]["status"] == "published"
    assert cli.execute(["status"]) == 0
    shown = capsys.readouterr().out
    assert "stale" in shown and "linked: a symlink to a folder" in shown
    assert cli.execute(["loads", "list"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3


def land(storage: Storage) -> None:
    """Two ledger entries, and landed files: loaded and touched since, changed, new, unfinished, hidden; a link."""
    folder = storage.landing / "a"
    folder.mkdir(parents=True)
    (storage.landing / "linked").symlink_to(storage.root)
    for name in ("touched.jsonl", "changed.jsonl", "new.jsonl", "x.jsonl.tmp", ".hidden.jsonl", "notes.txt"):
        (folder / name).write_text("{}\n")
    storage.loads.mkdir(parents=True)
    for load_id, name in ((1, "touched.jsonl"), (2, "changed.jsonl")):
        digest = hashlib.sha256({"touched.jsonl": b"{}\n", "changed.jsonl": b"[]\n"}[name]).hexdigest()
        file = {"path": f"a/{name}", "sha256": digest, "size": 3, "mtime_ns": 1}
        file |= {"inode": 1, "lines": 3, "accepted": 3, "duplicates": 0, "rejected": 0, "rejects": {}}
        file |= {"dropped_properties": {}}
        entry = {"load_id": load_id, "kind": "load", "started_at": "2026-01-02T03:00:00.000000Z", "contract": "c"}
        clock = f"2026-01-02T0{load_id}:00:00.000000Z"
        lake = {"source": "provider", "path": f"provider/{load_id}.parquet", "rows": 3, "newest_occurred_at": clock}
        entry |= {"files": [file], "lake": [lake], "duplicates": [], "quarantine": None, "clock": clock}
        entry |= {"retracts": None, "reason": None}
        (storage.loads / f"{load_id}.json").write_text(json.dumps(entry))


# The audit trail


def test_accepting_and_retracting_are_audited_with_actor_and_reason_even_when_they_fail(
    made: Handmade, capsys: pytest.CaptureFixture[str]
) -> None:
    fails(capsys, "loads", "retract", "7", "--reason", "wrong file")
    fails(capsys, "gate", "--accept", "swarm", "--reason", "known spike")
    trail = [(entry.action, entry.subject, entry.actor, entry.reason) for entry in audit.entries(made.storage)]
    assert trail == [
        ("accept failed", "swarm", "ada", "known spike"),
        ("accept", "swarm", "ada", "known spike"),
        ("retract failed", "load 7", "ada", "wrong file"),
        ("retract", "load 7", "ada", "wrong file"),
    ]
    assert (audit.entries(made.storage, limit=1)[0].detail or {})["error"]


def test_an_unreachable_operations_database_is_a_clear_error_and_nothing_happens_unaudited(
    made: Handmade, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANALYTICS_OPERATIONS_URL", "sqlite:////nowhere/at/all/x.db")
    assert "check ANALYTICS_OPERATIONS_URL" in fails(capsys, "loads", "retract", "1", "--reason", "x")
    monkeypatch.setenv("ANALYTICS_OPERATIONS_URL", "nonsense")
    with pytest.raises(AnalyticsError, match="check ANALYTICS_OPERATIONS_URL"):
        audit.record(made.storage, "a", "b")


# As a process


def process(made: Handmade, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "agent_analytics.cli", *arguments],
        env=dict(os.environ),
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_exit_statuses_of_the_process_and_a_second_writer_gets_one_line(made: Handmade) -> None:
    from agent_analytics.locking import writer_lock

    assert process(made, "status").returncode == 0
    assert process(made, "nonsense").returncode == 2
    with writer_lock(made.storage, "agent-analytics run"):
        refused = process(made, "publish")
    assert refused.returncode == 1 and refused.stdout == ""
    assert refused.stderr.count("\n") == 1 and f"`agent-analytics run` (pid {os.getpid()}" in refused.stderr


def test_a_pipe_closed_early_is_no_error(made: Handmade) -> None:
    cli.execute(["publish"])
    command = f"{sys.executable} -m agent_analytics.cli query 'from range(200000)' --format csv | head -1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], cwd=PROJECT_ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "range\n", "")


def test_starting_up_imports_nothing_heavy() -> None:
    heavy = "duckdb", "sqlalchemy", "great_expectations", "dbt", "pandas", "numpy", "dagster"
    code = (
        f"import sys, agent_analytics.cli as c; c.execute(['--help']); print([m for m in {heavy} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_query_does_not_import_pandas(made: Handmade) -> None:
    cli.execute(["publish"])
    heavy = "sqlalchemy", "great_expectations", "dbt", "pandas", "numpy"
    sql = "select * from spend join publications on true"
    code = f"import sys, agent_analytics.cli as c; c.execute(['query', {sql!r}])\n"
    code += f"print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_plain_tables_align_and_keep_a_row_on_its_line() -> None:
    text = console.plain_table(("name", "n"), [("a\nb", 1), (None, 22)])
    assert text.split("\n") == ["name   n", "a b    1", "      22"]


def test_a_family_that_is_not_there_is_named_with_those_that_are(
    made: Handmade, capsys: pytest.CaptureFixture[str]
) -> None:
    told = fails(capsys, "gate", "--accept", "delivry", "--reason", "known spike")
    assert told.startswith("no family is called delivry: there are anomalies, billing, ")


def test_families_with_the_same_reason_are_told_together(made: Handmade, capsys: pytest.CaptureFixture[str]) -> None:
    for family in ("costs", "swarm"):
        (made.storage.gates / f"{family}.json").unlink()
    told = fails(capsys, "publish")
    assert told == (
        "4 of 4 families are not published: costs, swarm (the gate did not run: agent-analytics gate);"
        " delivery, goals_of (reads costs, which failed: the gate did not run: agent-analytics gate)"
    )


# The storage root


def test_a_storage_root_that_is_a_file_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ANALYTICS_STORAGE", str(tmp_path / "file"))
    assert fails(capsys, "run") == f"ANALYTICS_STORAGE: {tmp_path.resolve()}/file is a file: choose a folder"


@pytest.mark.parametrize("name", ["it's", "a*", "a?", "a[1]"])
def test_a_storage_root_that_would_not_work_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / "link").symlink_to(tmp_path / name)
    for root in (tmp_path / name, tmp_path / name / "in" / "it", tmp_path / "link"):
        monkeypatch.setenv("ANALYTICS_STORAGE", str(root))
        told = fails(capsys, "status")
        assert told.startswith(f"ANALYTICS_STORAGE: {root.resolve()} ")
        assert told.endswith("choose a folder without these characters")
    monkeypatch.setenv("ANALYTICS_STORAGE", str(tmp_path / name / ".." / 'plain (1), {2} & "3" é'))
    assert cli.execute(["status"]) == 0
