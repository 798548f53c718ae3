"""The dashboard in a real Superset and a real browser: it imports, shows what is published, and takes publications.

Run by `make test-bi`, in Superset's environment; what it drew is left in target/bi/.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

HERE = Path(__file__).parent
PROJECT = HERE.parents[1]
OUT = PROJECT / "target" / "bi"
CHARTS = sorted((HERE / "bundle" / "charts").glob("*.yaml"))

HOLDERS = ".dashboard-component-chart-holder"
# What a chart shows instead of itself while it waits, when it failed, and when it found nothing.
WAITING, FAILED, EMPTY = "[data-test=loading-indicator], .loading", "[role=alert], .ant-alert-error", ".ant-empty"


@dataclass
class Pipeline:
    """A storage root of its own, filled by the command line."""

    root: Path

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        command = [str(PROJECT / ".venv" / "bin" / "agent-analytics"), *arguments]
        environment = {**os.environ, "ANALYTICS_STORAGE": str(self.root), "ANALYTICS_HASH_KEY": "a key for tests"}
        return subprocess.Popen(
            command, cwd=PROJECT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    def do(self, *arguments: str) -> None:
        running = self.start(*arguments)
        said = running.communicate()[0]
        assert running.returncode == 0, said

    def land(self, events: int, seed: int, source: str) -> None:
        """Events of one source alone, so that few models have to be built."""
        folder = self.root.parent / f"events-{seed}"
        self.do("simulate", "--events", str(events), "--days", "10", "--seed", str(seed), "--out", str(folder))
        lines = [line for path in folder.rglob("*.jsonl") for line in path.read_text(encoding="utf-8").splitlines(True)]
        chosen = [line for line in lines if json.loads(line)["source"] == source]
        assert chosen
        (self.root / "landing" / f"{source}-{seed}.jsonl").write_text("".join(chosen), encoding="utf-8")

    def ask(self, sql: str) -> Any:
        path = os.path.realpath(self.root / "published" / "analytics.duckdb")
        with duckdb.connect(path, read_only=True) as connection:
            return connection.execute(sql).fetchall()[0][0]

    def switched_at(self) -> float:
        return (self.root / "published").lstat().st_mtime


@dataclass
class Dashboard:
    """Superset, and a browser that is logged in."""

    address: str
    browser: webdriver.Chrome
    rendered: list[tuple[float, float]] = field(default_factory=list)

    def load(self) -> dict[str, str]:
        """Open the dashboard and wait until every chart is drawn: their titles and texts."""
        began = time.time()
        self.browser.get(f"{self.address}/superset/dashboard/agent-analytics/")
        WebDriverWait(self.browser, 240, poll_frequency=0.2).until(lambda _: self._drawn())
        for kind in (FAILED, EMPTY):
            assert [found.text for found in self.browser.find_elements(By.CSS_SELECTOR, kind)] == []
        texts = [holder.text for holder in self.browser.find_elements(By.CSS_SELECTOR, HOLDERS)]
        self.rendered.append((began, time.time()))
        return {text.partition("\n")[0]: text for text in texts}

    def _drawn(self) -> bool:
        holders = self.browser.find_elements(By.CSS_SELECTOR, HOLDERS)
        waiting = self.browser.find_elements(By.CSS_SELECTOR, WAITING)
        drawn = self.browser.find_elements(By.CSS_SELECTOR, f"{HOLDERS} :is(canvas, table, .header-line)")
        return len(holders) == len(CHARTS) and len(drawn) >= len(CHARTS) and not waiting

    def picture(self, name: str) -> None:
        self.browser.save_screenshot(str(OUT / name))


@dataclass
class Api:
    """Superset's API, for one who is logged in."""

    address: str
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})
    opener: urllib.request.OpenerDirector = field(
        default_factory=lambda: urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    )

    def login(self, password: str) -> Api:
        who = {"username": "admin", "password": password, "provider": "db", "refresh": False}
        self.headers["Authorization"] = f"Bearer {self.ask('security/login', who)[1]['access_token']}"
        self.headers["X-CSRFToken"] = self.ask("security/csrf_token/")[1]["result"]
        return self

    def ask(self, path: str, body: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.address}/api/v1/{path}", data, self.headers)
        try:
            with self.opener.open(request, timeout=120) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def sql(self, text: str) -> tuple[int, dict[str, Any]]:
        [database] = self.ask("database/")[1]["result"]
        return self.ask("sqllab/execute/", {"database_id": database["id"], "sql": text, "runAsync": False})


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    OUT.mkdir(parents=True, exist_ok=True)
    made = Pipeline(tmp_path_factory.mktemp("root") / "storage")
    made.do("simulate", "--events", "30000", "--days", "60", "--seed", "1")
    made.do("run")
    return made


@pytest.fixture(scope="module")
def address(pipeline: Pipeline) -> Iterator[tuple[str, str]]:
    """Where Superset is, and its password. Its own database, which takes minutes to make, is kept for the next time."""
    home = OUT / "superset"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {
        "SUPERSET_HOME": str(home),
        "SUPERSET_PORT": str(port),
        "ANALYTICS_STORAGE": str(pipeline.root),
    }
    with subprocess.Popen([str(HERE / "serve.sh")], env=environment, start_new_session=True) as server:
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_for(server, url)
            yield url, (home / "password").read_text().strip()
        finally:
            os.killpg(server.pid, signal.SIGTERM)


def _wait_for(server: subprocess.Popen[bytes], url: str) -> None:
    for _ in range(1800):
        assert server.poll() is None, "Superset has ended"
        try:
            urllib.request.urlopen(f"{url}/health", timeout=5).close()
            return
        except OSError:
            time.sleep(1)
    raise AssertionError("Superset doesn't answer")


@pytest.fixture(scope="module")
def dashboard(address: tuple[str, str]) -> Iterator[Dashboard]:
    url, password = address
    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1500,2260"):
        options.add_argument(argument)
    options.binary_location = shutil.which("chromium") or ""
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    try:
        browser.get(f"{url}/login/")
        field_of = "input[type=password]"
        WebDriverWait(browser, 60).until(lambda found: found.find_elements(By.CSS_SELECTOR, field_of))
        browser.find_element(By.CSS_SELECTOR, "input[type=text]").send_keys("admin")
        browser.find_element(By.CSS_SELECTOR, field_of).send_keys(password)
        browser.find_element(By.CSS_SELECTOR, field_of).submit()
        WebDriverWait(browser, 60).until(lambda found: "/login" not in found.current_url)
        yield Dashboard(url, browser)
    finally:
        browser.quit()


@pytest.fixture(scope="module")
def api(address: tuple[str, str]) -> Api:
    url, password = address
    return Api(url).login(password)


def test_the_bundle_is_imported_whole(api: Api) -> None:
    counts = {kind: api.ask(f"{kind}/")[1]["count"] for kind in ("database", "dataset", "chart", "dashboard")}
    written = {kind: len(list((HERE / "bundle" / f"{kind}s").rglob("*.yaml"))) for kind in counts}
    assert counts == written


def test_its_charts_show_what_is_published(dashboard: Dashboard, pipeline: Pipeline) -> None:
    texts = dashboard.load()
    dashboard.picture("superset-dashboard.png")
    week = pipeline.ask(
        "select sum(messages) from platform_usage.platform_metrics_daily group by date_trunc('week', date)"
        " order by date_trunc('week', date) desc limit 1"
    )
    assert f"{week:,}" in texts["Messages"].splitlines()
    assert "1" in texts["Newest load"].splitlines() and "0" in texts["Stale marts"].splitlines()
    assert "crc_completions" in texts["Goals"] and "goal_kpis" not in texts["Goals"]
    assert "metric_anomalies" in texts["What is published"]


def test_a_publication_while_it_renders_is_not_felt_and_shows_at_the_next_look(
    dashboard: Dashboard, pipeline: Pipeline
) -> None:
    pipeline.land(5000, seed=2, source="delivery")
    for step in ("ingest", "build", "gate"):
        pipeline.do(step)
    before = pipeline.switched_at()
    dashboard.rendered.clear()
    publishing = pipeline.start("publish")
    seen = set()
    while publishing.poll() is None or not dashboard.rendered:
        texts = dashboard.load()
        seen.add(texts["Newest load"].splitlines()[1])
    assert publishing.returncode == 0, publishing.communicate()[0]
    switched = pipeline.switched_at()
    assert switched > before
    assert any(began < switched < ended for began, ended in dashboard.rendered), "the switch fell between two looks"
    assert seen <= {"1", "2"}
    texts = dashboard.load()
    dashboard.picture("superset-after-a-publication.png")
    assert (
        texts["Newest load"].splitlines()[1]
        == "2"
        == str(pipeline.ask("select max(loaded_through) from ops.publications"))
    )


@pytest.mark.parametrize(
    "sql",
    [
        "select * from read_text('/etc/passwd')",
        "select * from read_csv('/etc/passwd')",
        "select * from glob('/etc/*')",
        "select * from '/etc/passwd'",
        "attach '/tmp/other.duckdb' as other",
        "copy (select 1) to '/tmp/stolen.csv'",
        "install httpfs",
        "set enable_external_access = true",
        "drop table goals.goal_kpis",
        "create table goals.mine (a int)",
        "delete from goals.goal_kpis",
    ],
)
def test_who_may_write_sql_reads_what_is_published_and_nothing_else(api: Api, sql: str) -> None:
    status, answer = api.sql("select count(*) as n from goals.goal_kpis")
    assert status == 200 and answer["data"][0]["n"] > 0, answer
    status, answer = api.sql(sql)
    assert status >= 400, answer
    assert not Path("/tmp/stolen.csv").exists()
