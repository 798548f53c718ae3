"""dbt in a process of its own, kept warm: the import and the parsed project outlive one invocation.

dbt takes seconds to import, and dbt-duckdb holds a database file's lock for as long as its process likes. So dbt runs
in one child process: requests come in as lines of JSON on its standard input, events go out on its standard output, and
it ends itself the moment its parent is gone.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import pickle
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any

from agent_analytics.errors import AnalyticsError
from agent_analytics.manifest import default_path as manifest_path
from agent_analytics.manifest import is_of, note
from agent_analytics.storage import PROJECT_ROOT

#: The tag of the models that one command is to build.
DUE = "due"


@dataclass(frozen=True)
class NodeResult:
    """What dbt says of one node: success, error, fail, warn, skipped or pass."""

    unique_id: str
    status: str
    seconds: float
    message: str | None
    failures: int | None
    compiled: str | None = None


@dataclass(frozen=True)
class Invocation:
    """One dbt command that came to an end, well or not. Nothing in the project is called what `unmatched` names."""

    success: bool
    invocation_id: str | None
    nodes: dict[str, NodeResult] = field(default_factory=dict)
    error: str | None = None
    unmatched: tuple[str, ...] = ()


Progress = Callable[[str, str], None]


class DbtWorker:
    """The parent's end of the child. One per process is enough: see `worker`."""

    def __init__(self) -> None:
        environment = {**os.environ, "DBT_NO_VERSION_CHECK": "1"}
        self._last_words = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-m", "agent_analytics.dbt_worker"],
            cwd=PROJECT_ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._last_words,
            text=True,
        )

    def alive(self) -> bool:
        return self._process.poll() is None

    def invoke(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        project: str | None = None,
        models: Iterable[str] | None = None,
        progress: Progress | None = None,
    ) -> Invocation:
        """Run one dbt command and wait for it.

        `environment` is set for this command only. Commands with the same `project` (a digest of the project's files)
        share one parsed manifest; in it `models`, if given, have the tag `DUE`. `progress` is told (node, status) as
        nodes end. Raises AnalyticsError if the child died.
        """
        request = {
            "arguments": list(arguments),
            "environment": dict(environment),
            "project": project,
            # Read here, where whoever plans a build has read it anyway.
            "parsed": project is None or is_of(project),
            "models": None if models is None else sorted(models),
        }
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        try:
            stdin.write(json.dumps(request) + "\n")
            stdin.flush()
        except BrokenPipeError:
            raise AnalyticsError(self._obituary()) from None
        unmatched: list[str] = []
        for line in stdout:
            event = json.loads(line)
            if "done" in event:
                nodes = {name: NodeResult(**node) for name, node in event["done"].pop("nodes").items()}
                return Invocation(nodes=nodes, unmatched=tuple(unmatched), **event["done"])
            if "unmatched" in event:
                unmatched.append(event["unmatched"])
            elif progress:
                progress(event["node"], event["status"])
        raise AnalyticsError(self._obituary())

    def stop(self) -> None:
        if self._process.stdin:
            self._process.stdin.close()
        self._process.wait(timeout=30)

    def _obituary(self) -> str:
        status = self._process.wait()
        self._last_words.seek(0)
        said = self._last_words.read().strip().splitlines()
        told = f": {said[-1]}" if said and status != -9 else ""
        return f"dbt's process ended unexpectedly (status {status}){told}; run `agent-analytics run` again"


_worker: DbtWorker | None = None


def worker() -> DbtWorker:
    """This process's dbt, started when it is first asked for."""
    global _worker
    if _worker is None or not _worker.alive():
        _worker = DbtWorker()
        atexit.register(_worker.stop)
    return _worker


def main() -> None:
    """The child's side: serve requests until standard input ends."""
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    requests: queue.Queue[str] = queue.Queue()
    busy = threading.Event()
    threading.Thread(target=_listen, args=(sys.stdin, requests, busy), daemon=True).start()

    import dbt.cli.main  # noqa: F401  (three seconds, while the parent goes on)

    from agent_analytics import dbt_economy

    manifests: dict[str, Any] = {}
    templates = dbt_economy.Templates(manifest_path().with_name("templates.marshal"))
    while line := requests.get():
        busy.set()
        request = json.loads(line)
        dbt_economy.economise()
        templates.load(request["project"] or "")
        channel.write(json.dumps({"done": _serve(request, manifests, channel)}) + "\n")
        busy.clear()
        templates.keep()
    # The parent waits for this process to end, which takes half a second longer with a last look through all of dbt.
    gc.freeze()


def _listen(stdin: IO[str], requests: queue.Queue[str], busy: threading.Event) -> None:
    """Hand requests on; when the parent is gone, end, in the middle of whatever dbt is doing."""
    for line in stdin:
        requests.put(line)
    if busy.is_set():
        os._exit(1)
    requests.put("")


def _serve(request: dict[str, Any], manifests: dict[str, Any], channel: IO[str]) -> dict[str, Any]:
    from dbt.cli.main import dbtRunner

    environment, arguments, project = request["environment"], request["arguments"], request["project"]
    before = dict(os.environ)
    os.environ.update(environment)
    try:
        if project and not (request["parsed"] and project in manifests):
            manifests.clear()
            if not request["parsed"] or (kept := _kept_manifest(project)) is None:
                os.environ.update(PARSED_FOR)
                parsed = _invoke(dbtRunner(), [*_flags(arguments), "parse", *_target(arguments)])
                if not parsed.success:
                    return _summary(parsed)
                kept = parsed.result
                _keep_manifest(project, kept)
                note(project)
                os.environ.update(environment)
            manifests[project] = kept
        manifest = manifests.get(project)
        if request["models"] is not None:
            _tag_due(manifest, request["models"])
        return _summary(_invoke(dbtRunner(manifest=manifest, callbacks=[_reporter(channel)]), arguments))
    finally:
        _release_database()
        os.environ.clear()
        os.environ.update(before)


# dbt parses edited files alone, and goes on looking for a model that was renamed or removed if a unit test had it. The
# error comes again and again, until everything is parsed.
MISSED_BY_PARSING_EDITS = "Unable to find"
PARSE_EVERYTHING = "--no-partial-parse"


def _invoke(runner: Any, arguments: list[str]) -> Any:
    outcome = runner.invoke(arguments)
    if MISSED_BY_PARSING_EDITS in str(outcome.exception):
        outcome = runner.invoke([PARSE_EVERYTHING, *arguments])
    return outcome


# A process that finds the project as it was parsed last takes a quarter of a second instead of more than one.
def _kept_manifest(project: str) -> Any:
    """The manifest that was kept of this project, by this dbt; None if there is none."""
    try:
        with _manifest_kept_in().open("rb") as file:
            return pickle.load(file) if pickle.load(file) == (project, *_versions()) else None
    except Exception:
        return None


def _keep_manifest(project: str, manifest: Any) -> None:
    part = _manifest_kept_in().with_suffix(f".{os.getpid()}")
    part.write_bytes(pickle.dumps((project, *_versions())) + pickle.dumps(manifest))
    part.replace(_manifest_kept_in())


def _manifest_kept_in() -> Path:
    return manifest_path().with_name("manifest.pickle")


def _versions() -> tuple[str, str]:
    return version("dbt-core"), sys.version


def _tag_due(manifest: Any, models: list[str]) -> None:
    """Tag the models that are to be built: dbt looks through the whole project once for each model selected by name."""
    due = set(models)
    for node in manifest.nodes.values():
        node.tags = [tag for tag in node.tags if tag != DUE] + ([DUE] if node.name in due else [])


# dbt parses the whole project anew when its profile has changed, and the storage root is part of that; the outcome is
# the same for every root.
PARSED_FOR = {"ANALYTICS_STORAGE": "storage"}


def _flags(arguments: list[str]) -> list[str]:
    """The global flags, which stand before the command, for a parse: it writes the manifest."""
    flags = arguments[: arguments.index("build")] if "build" in arguments else []
    return [flag for flag in flags if flag != "--no-write-json"]


def _target(arguments: list[str]) -> list[str]:
    return arguments[arguments.index("--target") :][:2] if "--target" in arguments else []


def _reporter(channel: IO[str]) -> Callable[[Any], None]:
    from agent_analytics import durable

    def report(event: Any) -> None:
        if event.info.name == "NodeFinished":
            node = event.data.node_info
            channel.write(json.dumps({"node": node.node_name, "status": node.node_status}) + "\n")
            durable.point(f"dbt:{node.node_name}")
        elif event.info.name == "NoNodesForSelectionCriteria":
            channel.write(json.dumps({"unmatched": event.data.spec_raw}) + "\n")

    return report


# What a failing test, or a query given inline, was compiled to is told; models' SQL is not.
SHOWN = ("test", "sql_operation")


def _summary(outcome: Any) -> dict[str, Any]:
    nodes: dict[str, dict[str, Any]] = {}
    for result in getattr(outcome.result, "results", None) or ():
        nodes[result.node.unique_id] = {
            "unique_id": result.node.unique_id,
            "status": str(getattr(result.status, "value", result.status)),
            "seconds": round(result.execution_time or 0.0, 3),
            "message": result.message,
            "failures": getattr(result, "failures", None),
            "compiled": getattr(result.node, "compiled_code", None) if result.node.resource_type in SHOWN else None,
        }
    from dbt_common.invocation import get_invocation_id

    return {
        "success": bool(outcome.success),
        "invocation_id": get_invocation_id(),
        "nodes": nodes,
        "error": str(outcome.exception) if outcome.exception else None,
    }


def _release_database() -> None:
    """Close dbt-duckdb's database, which it would keep open, and locked, until the process ends."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager

    environment = DuckDBConnectionManager._ENV
    if environment is not None:
        environment.close()
        DuckDBConnectionManager._ENV = None


if __name__ == "__main__":
    main()
