"""What tests of alerts share: a published root made by hand, and servers that can be down, slow or broken."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import duckdb
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from agent_analytics import durable
from agent_analytics.storage import Storage

CLOCK = datetime(2026, 1, 10, 12, tzinfo=UTC)

VALUES = "kpi varchar, scope varchar, scope_ref varchar, window_type varchar, value double, is_stale boolean"
BREACHES = f"threshold_id varchar, {VALUES}, threshold_value double, operator varchar, severity varchar"
BREACHES += ", suggested_actions varchar, family varchar"


@dataclass(frozen=True)
class Kpi:
    """A value of the published kpi_values, and the thresholds (id, severity) that it breaks."""

    value: float | None
    breaks: Sequence[tuple[str, str]] = ()
    scope_ref: str = ""
    kpi: str = "fallback_rate"
    is_stale: bool = False


@dataclass
class Published:
    """A storage root that shows versions with nothing but the two tables that alerts read."""

    root: Path
    version: int = 0
    as_of: datetime = CLOCK

    @property
    def storage(self) -> Storage:
        return Storage(self.root)

    def publish(self, *kpis: Kpi, hours: float = 1, is_stale: bool = False) -> Published:
        """The next version; the data clock moves on by so many hours. is_stale: what the manifest says of both."""
        self.version += 1
        self.as_of += timedelta(hours=hours)
        folder = self.storage.versions / str(self.version)
        folder.mkdir(parents=True)
        with duckdb.connect(str(folder / "analytics.duckdb")) as connection:
            connection.execute("create schema slo")
            connection.execute(f"create table slo.kpi_values ({VALUES})")
            connection.execute(f"create table slo.kpi_breaches ({BREACHES})")
            for kpi in kpis:
                value = [kpi.kpi, "world" if kpi.scope_ref else "global", kpi.scope_ref, "1h", kpi.value, kpi.is_stale]
                connection.execute(f"insert into slo.kpi_values values ({_marks(value)})", value)
                for threshold, severity in kpi.breaks:
                    row = [threshold, *value, 0.05, ">", severity, "reduce input token cap by 10%; Check it", "game"]
                    connection.execute(f"insert into slo.kpi_breaches values ({_marks(row)})", row)
        record = {
            "version": self.version,
            "published_at": f"2026-01-10T12:00:00.{self.version:06d}Z",
            "run_id": f"run-{self.version}",
            "as_of": self.as_of.isoformat().replace("+00:00", "Z"),
            "marts": [{"mart": mart, "is_stale": is_stale} for mart in ("kpi_values", "kpi_breaches")],
        }
        durable.write_json(folder / "manifest.json", record)
        durable.symlink(f"versions/{self.version}", self.storage.published)
        return self


def _marks(values: Sequence[Any]) -> str:
    return ", ".join("?" for _ in values)


@dataclass
class Receiver:
    """A webhook's receiver. answers: what it answers next, one after the other, then 200; a float is a delay first."""

    port: int = 0
    answers: list[int | float] = field(default_factory=list)
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    accepted: list[dict[str, Any]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    @property
    def events(self) -> list[str]:
        return [content["event"] for content in self.accepted]


@contextmanager
def receiver(port: int = 0) -> Iterator[Receiver]:
    """A real HTTP server on loopback."""
    found = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.requests.append((dict(self.headers), body))
            answer = found.answers.pop(0) if found.answers else 200
            if isinstance(answer, float):
                time.sleep(answer)
                answer = 200
            if answer == 200:
                found.accepted.append(json.loads(body))
            try:
                self.send_response(answer)
                if 300 <= answer < 400:
                    self.send_header("Location", "/elsewhere")
                self.end_headers()
            except OSError:
                pass

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    found.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class Mailbox:
    """An SMTP server's mail. refuses: what it answers to the next messages instead of taking them."""

    mails: list[tuple[list[str], str]] = field(default_factory=list)
    refuses: list[str] = field(default_factory=list)
    refused_recipients: set[str] = field(default_factory=set)

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.refused_recipients:
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.refuses:
            return self.refuses.pop(0)
        assert isinstance(envelope.content, bytes)
        self.mails.append((envelope.rcpt_tos, envelope.content.decode()))
        return "250 OK"


@contextmanager
def mail_server(port: int, **options: Any) -> Iterator[Mailbox]:
    """A real SMTP server on loopback."""
    box = Mailbox()
    controller = Controller(box, hostname="127.0.0.1", port=port, **options)
    controller.start()
    try:
        yield box
    finally:
        controller.stop()


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
