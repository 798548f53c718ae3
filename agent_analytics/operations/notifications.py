"""Notifications: an outbox written with each state change, and the dispatcher that delivers it afterwards.

The writer of a state change never waits for a receiver: it only adds rows here. `dispatch`, called by every evaluation
of alerts, sends what is due; what fails stays pending and is tried again, later each time. Each row is claimed before
it is sent, so that two dispatchers don't send it twice. A receiver whose answer is lost on the way back is asked again,
with the same idempotency key: delivery is at least once, and exactly once for receivers that look at the key.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import os
import smtplib
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from typing import Any, NoReturn, Self
from urllib.parse import SplitResult, unquote, urlsplit

import sqlalchemy as sa

from agent_analytics.errors import AnalyticsError
from agent_analytics.operations import database
from agent_analytics.operations.tables import notifications
from agent_analytics.storage import Storage

Json = dict[str, Any]

FORMAT = 1
WEBHOOK, EMAIL = "webhook", "email"
PENDING, DELIVERED = "pending", "delivered"

FIRST_RETRY = timedelta(seconds=30)
LAST_RETRY = timedelta(hours=1)
# What one dispatch may take, in seconds: what is left waits for the next.
BUDGET_SECONDS = 60.0
ANSWER_BYTES = 2000
# What a receiver is told of an incident.
TOLD = (
    *("kind", "threshold_id", "scope", "scope_ref", "window_type", "family", "title", "severity", "status"),
    *("kpi", "value", "operator", "threshold_value", "cause", "suggested_actions", "details", "next_run_at", "as_of"),
    *("opened_at", "acknowledged_at", "acknowledged_by", "note", "resolved_at", "resolved_by", "resolution"),
)


@dataclass(frozen=True)
class Recipient:
    """Where notifications go: the webhook (address ''), or one e-mail address."""

    channel: str
    address: str = ""


@dataclass(frozen=True)
class Settings:
    """What the environment says about channels; without any, incidents are kept and nobody is told."""

    webhook_url: str | None = None
    webhook_secret: str | None = None
    webhook_seconds: float = 5.0
    smtp_url: str | None = None
    email_from: str | None = None
    email_to: tuple[str, ...] = ()

    @classmethod
    def from_env(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read the ANALYTICS_ variables. Raises AnalyticsError naming the one that is wrong or missing."""
        url, smtp = environment.get("ANALYTICS_WEBHOOK_URL"), environment.get("ANALYTICS_SMTP_URL")
        if url:
            _check_url("ANALYTICS_WEBHOOK_URL", url, ("http", "https"))
            _demand(environment, "ANALYTICS_WEBHOOK_SECRET", "ANALYTICS_WEBHOOK_URL")
        if smtp:
            _check_url("ANALYTICS_SMTP_URL", smtp, ("smtp", "smtps", "smtp+starttls"))
            _demand(environment, "ANALYTICS_EMAIL_FROM", "ANALYTICS_SMTP_URL")
            _demand(environment, "ANALYTICS_EMAIL_TO", "ANALYTICS_SMTP_URL")
        return cls(
            webhook_url=url or None,
            webhook_secret=environment.get("ANALYTICS_WEBHOOK_SECRET"),
            webhook_seconds=_seconds(environment, "ANALYTICS_WEBHOOK_TIMEOUT", cls.webhook_seconds),
            smtp_url=smtp or None,
            email_from=_addresses(environment, "ANALYTICS_EMAIL_FROM")[0] if smtp else None,
            email_to=_addresses(environment, "ANALYTICS_EMAIL_TO") if smtp else (),
        )

    @property
    def recipients(self) -> list[Recipient]:
        """Whom to tell. Each has a delivery of its own, so that one that fails doesn't repeat the others."""
        webhook = [Recipient(WEBHOOK)] if self.webhook_url else []
        return webhook + [Recipient(EMAIL, address) for address in self.email_to]


@dataclass(frozen=True)
class Delivered:
    """What a dispatch did: how many were sent, how many failed and stay pending, and why the last one did."""

    sent: int = 0
    failed: int = 0
    pending: int = 0
    why: str | None = None


class Undelivered(Exception):
    """A delivery that failed. unreachable: there was no answer at all, so that trying the next one is of no use."""

    def __init__(self, why: str, unreachable: bool = False) -> None:
        super().__init__(why)
        self.unreachable = unreachable


# Writing the outbox


def recipients() -> tuple[list[Recipient], str | None]:
    """Whom to tell; nobody if the settings are wrong, and what is wrong: a state change is written all the same."""
    try:
        return Settings.from_env().recipients, None
    except AnalyticsError as error:
        return [], str(error)


def enqueue(
    connection: sa.Connection,
    recipients: Sequence[Recipient],
    event_id: int,
    entry: Mapping[str, Any],
    incident: Mapping[str, Any],
) -> None:
    """Put one state change into the outbox for every recipient, in the transaction that made it."""
    for recipient in recipients:
        key = _key(event_id, entry["at"], recipient)
        connection.execute(
            notifications.insert().values(
                event_id=event_id,
                incident_id=incident["id"],
                channel=recipient.channel,
                recipient=recipient.address,
                key=key,
                payload=payload(key, entry, incident),
                status=PENDING,
                created_at=entry["at"],
                attempts=0,
                next_attempt_at=entry["at"],
            )
        )


def payload(key: str, entry: Mapping[str, Any], incident: Mapping[str, Any]) -> Json:
    """What a receiver is told (docs/alerts.md): the change, and the incident as it stood right after it."""
    return {
        "format": FORMAT,
        "key": key,
        "event": f"incident.{entry['event']}",
        "at": iso(entry["at"]),
        "actor": entry["actor"],
        "note": entry["note"],
        "incident": {"id": incident["id"]} | {name: iso(incident[name]) for name in TOLD},
    }


def _key(event_id: int, at: datetime, recipient: Recipient) -> str:
    """The same for every attempt at one state change, and never for two, not even of two databases."""
    text = f"{event_id} {at.isoformat()} {recipient.channel} {recipient.address}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]


# Delivering


def dispatch(storage: Storage, settings: Settings, budget_seconds: float = BUDGET_SECONDS) -> Delivered:
    """Send what is due, in order within each incident, until nothing is left, a channel is out of reach, or the budget
    is spent. Never raises for a receiver's fault."""
    ends = time.monotonic() + budget_seconds
    senders: dict[str, Callable[[Json, str, str], str]] = {}
    if settings.webhook_url:
        senders[WEBHOOK] = lambda body, key, _: send_webhook(settings, body, key)
    if settings.smtp_url:
        senders[EMAIL] = lambda body, key, address: send_email(settings, body, key, address)
    sent, failed, why = 0, 0, None
    while senders and time.monotonic() < ends:
        row = _claim(storage, tuple(senders))
        if row is None:
            break
        try:
            answer = senders[row["channel"]](row["payload"], row["key"], row["recipient"])
        except Undelivered as error:
            _failed(storage, row, str(error))
            failed, why = failed + 1, f"{row['channel']}: {error}"
            if error.unreachable:
                del senders[row["channel"]]
        else:
            _done(storage, row, answer)
            sent += 1
    return Delivered(sent, failed, pending(storage), why)


def pending(storage: Storage) -> int:
    """How many notifications wait to be delivered."""
    if not database.exists(storage):
        return 0
    with database.connect(storage) as connection:
        query = sa.select(sa.func.count()).where(notifications.c.status == PENDING)
        return int(connection.execute(query).scalar_one())


def due(connection: sa.Connection, channels: Sequence[str], now: datetime) -> sa.RowMapping | None:
    """The oldest notification that may be sent now: nobody else is at it, and none before it of its incident waits."""
    earlier = notifications.alias("earlier")
    waits = sa.exists().where(
        earlier.c.incident_id == notifications.c.incident_id,
        earlier.c.channel == notifications.c.channel,
        earlier.c.recipient == notifications.c.recipient,
        earlier.c.status == PENDING,
        earlier.c.id < notifications.c.id,
    )
    query = (
        sa.select(notifications)
        .where(
            notifications.c.status == PENDING,
            notifications.c.channel.in_(channels),
            notifications.c.next_attempt_at <= now,
            sa.or_(notifications.c.claimed_until.is_(None), notifications.c.claimed_until < now),
            ~waits,
        )
        .order_by(notifications.c.id)
        .limit(1)
    )
    return connection.execute(query).mappings().first()


def retry_after(attempts: int) -> timedelta:
    """How long to wait after so many failed attempts: doubled each time, an hour at most."""
    return min(LAST_RETRY, FIRST_RETRY * int(2 ** min(attempts - 1, 20)))


def _claim(storage: Storage, channels: Sequence[str]) -> sa.RowMapping | None:
    """Take the next notification for this dispatcher alone; the claim of one that dies ends by itself."""
    now = _now()
    with database.connect(storage) as connection:
        while True:
            row = due(connection, channels, now)
            if row is None:
                return None
            taken = connection.execute(
                notifications.update()
                .where(
                    notifications.c.id == row["id"],
                    notifications.c.status == PENDING,
                    sa.or_(notifications.c.claimed_until.is_(None), notifications.c.claimed_until < now),
                )
                .values(claimed_until=now + timedelta(seconds=2 * BUDGET_SECONDS), attempts=row["attempts"] + 1)
            )
            if taken.rowcount:
                return row


def _failed(storage: Storage, row: sa.RowMapping, why: str) -> None:
    again = _now() + retry_after(row["attempts"] + 1)
    _note(storage, row, claimed_until=None, next_attempt_at=again, answer=why[:ANSWER_BYTES])


def _done(storage: Storage, row: sa.RowMapping, answer: str) -> None:
    values = {"status": DELIVERED, "delivered_at": _now(), "claimed_until": None, "answer": answer[:ANSWER_BYTES]}
    _note(storage, row, **values)


def _note(storage: Storage, row: sa.RowMapping, **values: Any) -> None:
    with database.connect(storage) as connection:
        connection.execute(notifications.update().where(notifications.c.id == row["id"]).values(**values))


# Channels


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirected POST would become a GET without its body."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def sign(secret: str, timestamp: str, body: bytes) -> str:
    """The signature header's value: HMAC-SHA-256 with the shared secret, of the timestamp, a dot and the body."""
    return "v1=" + hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def send_webhook(settings: Settings, content: Json, key: str) -> str:
    """POST one notification; returns the receiver's status line. Raises Undelivered unless it answers 2xx."""
    body = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    timestamp = str(int(time.time()))
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "agent-analytics",
        "Idempotency-Key": key,
        "X-Analytics-Timestamp": timestamp,
        "X-Analytics-Signature": sign(settings.webhook_secret or "", timestamp, body),
    }
    request = urllib.request.Request(str(settings.webhook_url), body, headers, method="POST")
    opener = urllib.request.build_opener(_NoRedirect)
    try:
        with opener.open(request, timeout=settings.webhook_seconds) as answer:
            return f"{answer.status} {answer.reason}"
    except urllib.error.HTTPError as error:
        error.close()
        raise Undelivered(f"answered {error.code} {error.reason}") from None
    except (OSError, http.client.HTTPException) as error:
        raise Undelivered(_reason(error), unreachable=True) from None


def send_email(settings: Settings, content: Json, key: str, address: str) -> str:
    """Mail one notification to one address. Raises Undelivered when the server doesn't take it."""
    parts = urlsplit(str(settings.smtp_url))
    message = email_message(content, key, str(settings.email_from), address)
    try:
        with _smtp(parts, settings.webhook_seconds) as server:
            if parts.username:
                server.login(unquote(parts.username), unquote(parts.password or ""))
            server.send_message(message)
    except smtplib.SMTPRecipientsRefused as error:
        code, words = next(iter(error.recipients.values()))
        raise Undelivered(f"refused {code} {words.decode(errors='replace')}") from None
    except smtplib.SMTPResponseException as error:
        text = error.smtp_error.decode(errors="replace") if isinstance(error.smtp_error, bytes) else error.smtp_error
        raise Undelivered(f"answered {error.smtp_code} {text}") from None
    except (OSError, smtplib.SMTPException) as error:
        raise Undelivered(_reason(error), unreachable=True) from None
    return "accepted"


def email_message(content: Json, key: str, sender: str, address: str) -> EmailMessage:
    """The mail about one state change. All mails about one incident are one thread."""
    incident, domain = content["incident"], parseaddr(sender)[1].rpartition("@")[2]
    change = str(content["event"]).removeprefix("incident.").replace("_", " ")
    message = EmailMessage()
    message["Subject"] = " ".join(f"[{incident['severity']}] {incident['title']}: {change}".split())
    message["From"], message["To"] = sender, address
    message["Date"] = format_datetime(datetime.now(UTC))
    message["Message-ID"] = f"<{key}@{domain}>"
    message["References"] = f"<incident-{incident['id']}@{domain}>"
    lines = [f"Incident {incident['id']}: {incident['title']}", f"{change} at {content['at']}"]
    lines += [f"By {content['actor']}"] if content["actor"] else []
    lines += [str(content["note"])] if content["note"] else []
    lines += [f"Cause: {incident['cause']}"] if incident["cause"] else []
    if incident["status"] != "resolved":
        lines += ["What to do:", *(f"- {action}" for action in incident["suggested_actions"] or ())]
        lines += [f"Next scheduled run: {incident['next_run_at']}"] if incident["next_run_at"] else []
        lines += ["", f"agent-analytics incidents ack {incident['id']} --note ..."]
    message.set_content("\n".join(lines) + "\n")
    return message


def _smtp(parts: SplitResult, seconds: float) -> smtplib.SMTP:
    host = parts.hostname or "localhost"
    if parts.scheme == "smtps":
        return smtplib.SMTP_SSL(host, parts.port or 465, timeout=seconds, context=ssl.create_default_context())
    if parts.scheme == "smtp":
        return smtplib.SMTP(host, parts.port or 25, timeout=seconds)
    server = smtplib.SMTP(host, parts.port or 587, timeout=seconds)
    try:
        server.starttls(context=ssl.create_default_context())
    except BaseException:
        server.close()
        raise
    return server


# Small things


def _reason(error: Exception) -> str:
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, TimeoutError):
        return "no answer in time"
    return " ".join(str(cause).split()) or type(cause).__name__


def iso(value: Any) -> Any:
    """A moment (UTC, no zone) as ISO 8601 text; anything else as it is."""
    return value.isoformat(timespec="seconds") + "Z" if isinstance(value, datetime) else value


def _now() -> datetime:
    return database.naive_utc(datetime.now(UTC))


def _wrong(name: str, why: str) -> NoReturn:
    raise AnalyticsError(f"{name}: {why}")


def _demand(environment: Mapping[str, str], name: str, wanted_by: str) -> None:
    if not environment.get(name):
        _wrong(name, f"must be set, since {wanted_by} is")


def _check_url(name: str, text: str, schemes: Sequence[str]) -> None:
    try:
        parts = urlsplit(text)
        sound = parts.scheme in schemes and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        sound = False
    if not sound:
        _wrong(name, f"is not a URL that begins with {' or '.join(f'{scheme}://' for scheme in schemes)}")


def _addresses(environment: Mapping[str, str], name: str) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(part.strip() for part in environment.get(name, "").split(",") if part.strip()))
    for address in found:
        if "@" not in parseaddr(address)[1] or not address.isprintable():
            _wrong(name, f"{address!r} is not an e-mail address")
    return found


def _seconds(environment: Mapping[str, str], name: str, default: float) -> float:
    text = environment.get(name) or str(default)
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= BUDGET_SECONDS:
        _wrong(name, f"{text!r} is not a number of seconds between 0 and {BUDGET_SECONDS:g}")
    return seconds
