"""Lines that must be rejected, one kind for each way in which producers get it wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

#: A kind's name, the reject reason that ingest must give, and the line made from a valid event.
Kind = tuple[str, str, Callable[[dict[str, Any]], bytes]]


def _event(number: int, run: str, occurred_at: str) -> dict[str, Any]:
    """A valid event to be spoiled. Its id is never that of a good line."""
    return {
        "event_id": f"{run}-broken-{number}",
        "source": "provider",
        "event_type": "provider.called",
        "occurred_at": occurred_at,
        "tenant_id": "tenant-1",
        "user_id": "user-10000001@example.com",
        "agent_id": "agent-1001",
        "properties": {
            "execution_id": f"{run}-broken-{number}",
            "task_type": "triage",
            "provider": "openai",
            "model": "gpt-5",
            "latency_ms": 1200.5,
            "tokens_in": 900,
            "tokens_out": 100,
            "tokens_cached": 300,
            "completions": 1,
            "succeeded": True,
        },
    }


def _dump(event: dict[str, Any]) -> bytes:
    return json.dumps(event, separators=(",", ":")).encode()


def _with(**changes: Any) -> Callable[[dict[str, Any]], bytes]:
    """Envelope fields replaced; None removes one."""

    def spoil(event: dict[str, Any]) -> bytes:
        return _dump({name: value for name, value in {**event, **changes}.items() if value is not None})

    return spoil


def _with_property(**changes: Any) -> Callable[[dict[str, Any]], bytes]:
    """Properties replaced; None removes one."""

    def spoil(event: dict[str, Any]) -> bytes:
        properties = {name: value for name, value in {**event["properties"], **changes}.items() if value is not None}
        return _dump({**event, "properties": properties})

    return spoil


KINDS: tuple[Kind, ...] = (
    ("truncated", "malformed_json", lambda event: _dump(event)[: len(_dump(event)) * 2 // 3]),
    ("not_an_object", "not_an_object", lambda event: json.dumps([event["event_id"], 42]).encode()),
    ("invalid_utf8", "malformed_json", lambda event: _dump(event).replace(b'"triage"', b'"tri\xff\xfeage"')),
    ("nul_byte", "malformed_json", lambda event: _dump(event).replace(b'"triage"', b'"tri\x00age"')),
    ("nan", "malformed_json", lambda event: _dump(event).replace(b"1200.5", b"NaN")),
    ("missing_event_id", "missing:event_id", _with(event_id=None)),
    ("missing_tenant_id", "missing:tenant_id", _with(tenant_id=None)),
    ("missing_properties", "missing:properties", _with(properties=None)),
    ("wrong_type_tenant_id", "invalid:tenant_id", _with(tenant_id=42)),
    ("long_session_id", "invalid:session_id", _with(session_id="s" * 65)),
    ("time_without_offset", "invalid:occurred_at", _with(occurred_at="2026-01-02T03:04:05")),
    ("unknown_source", "unknown_source", _with(source="telemetry")),
    ("unknown_event_type", "unknown_event_type", _with(event_type="provider.vanished")),
    ("future", "future:occurred_at", _with(occurred_at="2999-01-01T00:00:00Z")),
    ("missing_property", "missing:model", _with_property(model=None)),
    ("negative_count", "invalid:tokens_in", _with_property(tokens_in=-5)),
    ("string_for_number", "invalid:latency_ms", _with_property(latency_ms="fast")),
    ("string_for_bool", "invalid:succeeded", _with_property(succeeded="yes")),
    ("cached_above_in", "invalid:tokens_cached", _with_property(tokens_cached=901)),
    (
        "not_in_enumeration",
        "invalid:environment",
        lambda event: _dump(
            {
                **event,
                "source": "delivery",
                "event_type": "deployment.finished",
                "properties": {
                    "deployment_id": event["event_id"], "service": "gateway", "environment": "qa", "succeeded": True,
                },
            }
        ),
    ),
    (
        "session_required",
        "missing:session_id",
        lambda event: _dump(
            {
                **event,
                "source": "game",
                "event_type": "adventure.completed",
                "properties": {
                    "world": "emberfall", "adventure": "adventure-1-1", "locale": "en-US", "model": "gpt-5",
                    "content_version": "2.1",
                },
            }
        ),
    ),
)  # fmt: skip


def broken_line(number: int, run: str, occurred_at: str) -> tuple[str, str, bytes]:
    """The `number`-th broken line of a run: (kind, expected reject reason, bytes without the line end).

    Kinds take turns.
    """
    kind, reason, spoil = KINDS[number % len(KINDS)]
    return kind, reason, spoil(_event(number, run, occurred_at))
