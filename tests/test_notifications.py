"""Nothing is lost and nothing is sent twice, whatever the receiver does (real HTTP and SMTP servers on loopback)."""

from __future__ import annotations

import hashlib
import hmac
import json
import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from aiosmtpd.smtp import AuthResult
from alerts_world import Kpi, Mailbox, Published, Receiver, free_port, mail_server, receiver

from agent_analytics import alerts
from agent_analytics.errors import AnalyticsError
from agent_analytics.operations import database, desk, notifications
from agent_analytics.operations.notifications import Settings, retry_after

BAD = Kpi(0.3, breaks=[("t03", "critical")])
GOOD = Kpi(0.01)
SECRET = "a secret that both sides know"


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Published:
    thresholds = tmp_path / "thresholds.csv"
    thresholds.write_text("threshold_id,enabled\nt03,true\n")
    monkeypatch.setattr(alerts, "THRESHOLDS", thresholds)
    monkeypatch.setenv("ANALYTICS_RESOLVE_AFTER", "1")
    monkeypatch.setenv("ANALYTICS_STORAGE", str(tmp_path))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return Published(tmp_path)


@pytest.fixture
def hook(published: Published, monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with receiver() as found:
        point_to(found, monkeypatch)
        yield found


def point_to(found: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANALYTICS_WEBHOOK_URL", found.url)
    monkeypatch.setenv("ANALYTICS_WEBHOOK_SECRET", SECRET)
    monkeypatch.setenv("ANALYTICS_WEBHOOK_TIMEOUT", "0.5")


@pytest.fixture
def box(published: Published, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailbox]:
    port = free_port()
    monkeypatch.setenv("ANALYTICS_SMTP_URL", f"smtp://127.0.0.1:{port}")
    monkeypatch.setenv("ANALYTICS_EMAIL_FROM", "Analytics <analytics@example.com>")
    monkeypatch.setenv("ANALYTICS_EMAIL_TO", "ada@example.com, bo@example.com")
    with mail_server(port) as found:
        yield found


def wait_is_over(published: Published) -> None:
    """As if the time to the next attempt had passed."""
    long_ago = datetime(2020, 1, 1)
    with database.connect(published.storage) as connection:
        waiting = notifications.notifications
        connection.execute(waiting.update().where(waiting.c.status == "pending").values(next_attempt_at=long_ago))


def sent(published: Published) -> list[tuple[str, int, str | None]]:
    """Status, attempts and answer of every delivery."""
    table = notifications.notifications
    with database.connect(published.storage) as connection:
        query = sa.select(table.c.status, table.c.attempts, table.c.answer).order_by(table.c.id)
        return [tuple(row) for row in connection.execute(query)]


# Webhook


def test_a_webhook_carries_the_incident_signed(published: Published, hook: Receiver) -> None:
    alerts.evaluate(published.publish(BAD).storage)
    [(headers, body)] = hook.requests
    told = json.loads(body)
    assert (told["format"], told["event"]) == (1, "incident.opened")
    assert told["incident"]["suggested_actions"] == ["reduce input token cap by 10%", "Check it"]
    assert (told["incident"]["id"], told["incident"]["value"], told["incident"]["as_of"]) == (
        1,
        0.3,
        "2026-01-10T13:00:00Z",
    )
    timestamp = headers["X-Analytics-Timestamp"]
    digest = hmac.new(SECRET.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    assert headers["X-Analytics-Signature"] == f"v1={digest}"
    assert abs(int(timestamp) - time.time()) < 60
    assert headers["Idempotency-Key"] == told["key"]
    assert sent(published) == [("delivered", 1, "200 OK")]


def test_one_webhook_for_each_change_and_none_for_the_rest(published: Published, hook: Receiver) -> None:
    worse = Kpi(0.6, breaks=[("t03", "critical")])
    for kpi in (Kpi(0.1, breaks=[("t03", "warning")]), BAD, worse, worse):
        alerts.evaluate(published.publish(kpi).storage)
    desk.acknowledge(published.storage, 1, "looking")
    desk.acknowledge(published.storage, 1, "still looking")
    for _ in range(3):
        alerts.evaluate(published.publish(GOOD).storage)
        alerts.evaluate(published.storage)
    assert hook.events == [
        "incident.opened",
        "incident.severity_raised",
        "incident.acknowledged",
        "incident.resolved",
    ]
    assert hook.accepted[-1]["incident"]["resolution"] == "fallback_rate is 0.01"


def test_a_receiver_that_is_down_gets_everything_later_in_order(
    published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    point_to(Receiver(port), monkeypatch)
    first = alerts.evaluate(published.publish(BAD).storage).delivered
    assert (first.sent, first.failed, first.pending) == (0, 1, 1)
    assert "refused" in str(first.why)
    alerts.evaluate(published.publish(GOOD).storage)
    assert [status for status, _, _ in sent(published)] == ["pending", "pending"]
    with receiver(port) as hook:
        assert alerts.due(published.storage) is None
        wait_is_over(published)
        assert alerts.due(published.storage) == "notifications are due"
        assert alerts.evaluate(published.storage).delivered.sent == 2
        assert hook.events == ["incident.opened", "incident.resolved"]
        wait_is_over(published)
        alerts.evaluate(published.storage)
        assert len(hook.requests) == 2


def test_a_receiver_that_answers_500_is_asked_again_later_and_not_before(published: Published, hook: Receiver) -> None:
    hook.answers = [500, 500]
    alerts.evaluate(published.publish(BAD).storage)
    alerts.evaluate(published.storage)
    assert len(hook.requests) == 1
    wait_is_over(published)
    alerts.evaluate(published.storage)
    assert sent(published) == [("pending", 2, "answered 500 Internal Server Error")]
    wait_is_over(published)
    alerts.evaluate(published.storage)
    assert sent(published) == [("delivered", 3, "200 OK")]
    assert len({headers["Idempotency-Key"] for headers, _ in hook.requests}) == 1
    assert hook.events == ["incident.opened"]


def test_a_slow_receiver_is_not_waited_for_and_its_lost_answer_means_the_same_key_again(
    published: Published, hook: Receiver
) -> None:
    """It took the message, but its answer came too late: at least once, and the key says that it is the same one."""
    hook.answers = [2.0]
    began = time.monotonic()
    delivered = alerts.evaluate(published.publish(BAD).storage).delivered
    assert time.monotonic() - began < 2
    assert (delivered.pending, delivered.why) == (1, "webhook: no answer in time")
    wait_is_over(published)
    alerts.evaluate(published.storage)
    assert [status for status, _, _ in sent(published)] == ["delivered"]
    assert len({headers["Idempotency-Key"] for headers, _ in hook.requests}) == 1


def test_a_redirect_is_not_followed(published: Published, hook: Receiver) -> None:
    hook.answers = [302]
    alerts.evaluate(published.publish(BAD).storage)
    assert sent(published) == [("pending", 1, "answered 302 Found")]


def test_one_message_that_is_refused_does_not_hold_up_other_incidents(published: Published, hook: Receiver) -> None:
    hook.answers = [400]
    alerts.evaluate(published.publish(BAD, Kpi(0.2, breaks=[("t03", "critical")], scope_ref="emberfall")).storage)
    assert [status for status, _, _ in sent(published)] == ["pending", "delivered"]


def test_dispatchers_at_once_send_once(published: Published, hook: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    worlds = [Kpi(0.3, breaks=[("t03", "critical")], scope_ref=f"w{i}") for i in range(12)]
    monkeypatch.setattr(notifications, "dispatch", lambda *_: notifications.Delivered())
    alerts.evaluate(published.publish(*worlds).storage)
    monkeypatch.undo()
    settings = Settings(webhook_url=hook.url, webhook_secret=SECRET)
    with ThreadPoolExecutor(4) as pool:
        for _ in pool.map(lambda _: notifications.dispatch(published.storage, settings), range(4)):
            pass
    assert len(hook.requests) == 12
    assert len({headers["Idempotency-Key"] for headers, _ in hook.requests}) == 12


def test_a_dispatcher_that_dies_gives_back_what_it_took(published: Published, hook: Receiver) -> None:
    hook.answers = [500]
    alerts.evaluate(published.publish(BAD).storage)
    wait_is_over(published)
    table = notifications.notifications
    now = database.naive_utc(datetime.now(UTC))
    with database.connect(published.storage) as connection:
        connection.execute(table.update().values(claimed_until=now + timedelta(seconds=60)))
    assert alerts.evaluate(published.storage).delivered.sent == 0
    with database.connect(published.storage) as connection:
        connection.execute(table.update().values(claimed_until=now - timedelta(seconds=1)))
    assert alerts.evaluate(published.storage).delivered.sent == 1


def test_the_wait_doubles_up_to_an_hour() -> None:
    assert [retry_after(n).total_seconds() for n in (1, 2, 3, 8, 9, 1000)] == [30, 60, 120, 3600, 3600, 3600]


def test_without_channels_incidents_are_kept_and_nobody_is_told(published: Published) -> None:
    done = alerts.evaluate(published.publish(BAD).storage)
    assert done.counts == {"opened": 1}
    assert sent(published) == []


# E-mail


def test_each_recipient_gets_a_mail_of_its_own_in_one_thread(published: Published, box: Mailbox) -> None:
    alerts.evaluate(published.publish(BAD).storage)
    alerts.evaluate(published.publish(GOOD).storage)
    assert [to for to, _ in box.mails] == [["ada@example.com"], ["bo@example.com"]] * 2
    opened, resolved = box.mails[0][1], box.mails[2][1]
    assert "Subject: [critical] fallback_rate > 0.05 (global, 1h): opened" in opened
    assert "- reduce input token cap by 10%" in opened
    assert "Cause: fallback_rate is 0.3" in opened
    assert "incidents ack 1" in opened and "incidents ack" not in resolved
    for mail in (opened, resolved):
        assert "References: <incident-1@example.com>" in mail


def test_a_refused_recipient_is_tried_again_and_the_other_hears_once(published: Published, box: Mailbox) -> None:
    box.refused_recipients = {"ada@example.com"}
    alerts.evaluate(published.publish(BAD).storage)
    assert sent(published) == [("pending", 1, "refused 550 no such mailbox"), ("delivered", 1, "accepted")]
    box.refused_recipients.clear()
    wait_is_over(published)
    alerts.evaluate(published.storage)
    assert sorted(to for to, _ in box.mails) == [["ada@example.com"], ["bo@example.com"]]


def test_a_mail_server_that_is_busy_or_down_gets_it_later(
    published: Published, box: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    box.refuses = ["451 try again later"]
    alerts.evaluate(published.publish(BAD).storage)
    assert sent(published)[0] == ("pending", 1, "answered 451 try again later")
    listening = str(notifications.Settings.from_env().smtp_url)
    monkeypatch.setenv("ANALYTICS_SMTP_URL", f"smtp://127.0.0.1:{free_port()}")
    wait_is_over(published)
    assert "refused" in str(alerts.evaluate(published.storage).delivered.why)
    monkeypatch.setenv("ANALYTICS_SMTP_URL", listening)
    wait_is_over(published)
    alerts.evaluate(published.storage)
    assert sorted(to for to, _ in box.mails) == [["ada@example.com"], ["bo@example.com"]]


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """That of 127.0.0.1, which the sender trusts."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    key, made = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(made)]
    subprocess.run(command, check=True, capture_output=True)
    monkeypatch.setenv("SSL_CERT_FILE", str(made))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made, key)
    return context


def only_ada(*arguments: Any) -> AuthResult:
    known = arguments[-1]
    return AuthResult(success=(known.login, known.password) == (b"ada", b"p@ss"))


@pytest.mark.parametrize("scheme", ["smtps", "smtp+starttls"])
def test_mail_goes_through_tls_with_a_password(
    published: Published, monkeypatch: pytest.MonkeyPatch, certificate: ssl.SSLContext, scheme: str
) -> None:
    port = free_port()
    monkeypatch.setenv("ANALYTICS_SMTP_URL", f"{scheme}://ada:p%40ss@127.0.0.1:{port}")
    monkeypatch.setenv("ANALYTICS_EMAIL_FROM", "analytics@example.com")
    monkeypatch.setenv("ANALYTICS_EMAIL_TO", "ada@example.com")
    if scheme == "smtps":
        options: dict[str, Any] = {"ssl_context": certificate, "auth_require_tls": False}
    else:
        options = {"tls_context": certificate, "require_starttls": True}
    with mail_server(port, authenticator=only_ada, auth_required=True, **options) as box:
        alerts.evaluate(published.publish(BAD).storage)
    assert sent(published) == [("delivered", 1, "accepted")]
    assert len(box.mails) == 1


def test_a_mail_server_that_is_not_who_it_says_gets_nothing(
    published: Published, monkeypatch: pytest.MonkeyPatch, certificate: ssl.SSLContext
) -> None:
    port = free_port()
    monkeypatch.setenv("ANALYTICS_SMTP_URL", f"smtp+starttls://ada:p%40ss@127.0.0.1:{port}")
    monkeypatch.setenv("ANALYTICS_EMAIL_FROM", "analytics@example.com")
    monkeypatch.setenv("ANALYTICS_EMAIL_TO", "ada@example.com")
    monkeypatch.delenv("SSL_CERT_FILE")
    with mail_server(port, tls_context=certificate) as box:
        alerts.evaluate(published.publish(BAD).storage)
    [(status, _, answer)] = sent(published)
    assert status == "pending" and "certificate" in str(answer).lower()
    assert box.mails == []


def test_a_dead_mail_server_does_not_hold_up_the_webhook(
    published: Published, hook: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANALYTICS_SMTP_URL", f"smtp://127.0.0.1:{free_port()}")
    monkeypatch.setenv("ANALYTICS_EMAIL_FROM", "a@example.com")
    monkeypatch.setenv("ANALYTICS_EMAIL_TO", "b@example.com")
    alerts.evaluate(published.publish(BAD).storage)
    assert hook.events == ["incident.opened"]
    assert [status for status, _, _ in sent(published)] == ["delivered", "pending"]


# Settings


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"ANALYTICS_WEBHOOK_URL": "https://x/y"}, "ANALYTICS_WEBHOOK_SECRET"),
        ({"ANALYTICS_WEBHOOK_URL": "ftp://x", "ANALYTICS_WEBHOOK_SECRET": "s"}, "ANALYTICS_WEBHOOK_URL"),
        ({"ANALYTICS_WEBHOOK_URL": "https://x:y", "ANALYTICS_WEBHOOK_SECRET": "s"}, "ANALYTICS_WEBHOOK_URL"),
        ({"ANALYTICS_WEBHOOK_TIMEOUT": "0"}, "ANALYTICS_WEBHOOK_TIMEOUT"),
        ({"ANALYTICS_WEBHOOK_TIMEOUT": "soon"}, "ANALYTICS_WEBHOOK_TIMEOUT"),
        ({"ANALYTICS_SMTP_URL": "mail.example.com"}, "ANALYTICS_SMTP_URL"),
        ({"ANALYTICS_SMTP_URL": "smtp://x", "ANALYTICS_EMAIL_FROM": "a@b"}, "ANALYTICS_EMAIL_TO"),
        (
            {"ANALYTICS_SMTP_URL": "smtp://x", "ANALYTICS_EMAIL_FROM": "a@b", "ANALYTICS_EMAIL_TO": "ada"},
            "ANALYTICS_EMAIL_TO",
        ),
    ],
)
def test_a_wrong_setting_is_named_and_no_secret_is_shown(environment: dict[str, str], named: str) -> None:
    with pytest.raises(AnalyticsError, match=f"^{named}: "):
        Settings.from_env(environment)
