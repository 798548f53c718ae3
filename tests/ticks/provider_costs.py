"""So many executions of two providers that one is recommended, to a tenant that isn't the only one, and a call."""

from __future__ import annotations

from datetime import UTC, datetime

from events import Event, Generator
from events.provider import call, execution

from ticks import Touched, local_date, utc


def tick(generator: Generator) -> tuple[list[Event], Touched]:
    events = [event for _ in range(80) for event in execution(generator)]
    within = datetime(2026, 4, 1, 12, tzinfo=UTC)
    for number, event in enumerate(events):
        event |= {"event_type": "agent.completed", "tenant_id": "tenant-2", "occurred_at": within.isoformat()}
        event["properties"] |= {"tokens_in": 10, "tokens_out": 1, "tokens_cached": 0, "completions": 1, "cost_usd": 0.1}
        event["properties"] |= {"task_type": "review", "provider": ("openai", "anthropic")[number % 2]}
    executed, (called,) = events[0], call(generator)
    day = {(executed["tenant_id"], local_date(executed))}
    hour = utc(executed).replace(minute=0, second=0, microsecond=0)
    return [*events, called], {
        "execution_rollup_hourly": {(executed["tenant_id"], hour)},
        "execution_rollup_daily": day,
        "routing_savings_daily": day,
        "provider_calls_daily": {(called["tenant_id"], local_date(called))},
        "platform_overview": {(called["tenant_id"],)},
        "routing_recommendations": {("tenant-2",)},
    }
