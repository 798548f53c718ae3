"""Random events that are unkind: ties, late arrivals, copies, missing optional fields, days on which clocks change."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

Event = dict[str, Any]

# Names of the seeds: New York, Berlin and Kolkata time, UTC, and one tenant that no seed knows.
TENANTS = ("tenant-1", "tenant-2", "tenant-3", "tenant-4", "nobody")
# Across the change to daylight saving time in New York (2026-03-08) and Berlin (2026-03-29).
START = datetime(2026, 3, 1, tzinfo=UTC)
DAYS = 40


class Generator:
    """Events of the sources that the marts of provider_costs, delivery and swarm read; the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.seed = seed
        self.count = 0

    def events(self, size: int) -> list[Event]:
        makers = (
            *(self.execution,) * 8,
            *(self.call,) * 3,
            self.fault,
            self.budget,
            self.deployment,
            self.task,
            self.policy,
        )
        found: list[Event] = []
        while len(found) < size:
            found += self.random.choice(makers)()
        self.random.shuffle(found)
        return found

    def moment(self) -> datetime:
        """Often on the same whole hour as another event, or just before midnight somewhere."""
        day = START + timedelta(days=self.random.randrange(DAYS))
        kind = self.random.random()
        if kind < 0.3:
            return day + timedelta(hours=self.random.randrange(24))
        if kind < 0.5:
            return day + timedelta(
                hours=self.random.choice((0, 4, 5, 18, 22, 23)), minutes=self.random.choice((29, 30, 59))
            )
        return day + timedelta(microseconds=self.random.randrange(86_400_000_000))

    def event(self, source: str, event_type: str, at: datetime, tenant: str | None = None, **properties: Any) -> Event:
        self.count += 1
        return {
            "event_id": f"e{self.seed}-{self.random.randrange(10**6)}-{self.count}",
            "source": source,
            "event_type": event_type,
            "occurred_at": at.isoformat(),
            "tenant_id": tenant or self.random.choice((TENANTS[0], *TENANTS)),
            "properties": {name: value for name, value in properties.items() if value is not None},
        }

    def provider(self) -> dict[str, Any]:
        pick = self.random.choice
        return {
            "provider": pick(("openai", "openai", "anthropic", "anthropic", "mistral", "unknown-provider")),
            "model": pick(("gpt-5", "claude-haiku-4-5", "gemini-2.5-flash", "mistral-large", "no-such-model")),
        }

    def tokens(self) -> dict[str, Any]:
        tokens_in = self.random.choice((0, 1, 999, self.random.randrange(200_000)))
        return {
            "tokens_in": tokens_in,
            "tokens_out": self.random.randrange(5_000),
            "tokens_cached": self.random.choice((None, 0, tokens_in, tokens_in // 3)),
            "completions": self.random.randrange(3),
            "cost_usd": self.random.choice((None, None, 0, round(self.random.random(), 7))),
        }

    def execution(self) -> list[Event]:
        kind = self.random.choices(("agent.completed", "agent.failed", "agent.timed_out"), (8, 2, 1))[0]
        properties = {
            "execution_id": f"x{self.random.randrange(10**9)}",
            "task_type": self.random.choice(("review", "review", "summary")),
            "duration_ms": self.random.choice((0, 1000.5, round(self.random.lognormvariate(7, 1), 3))),
            "queue_ms": self.random.choice((None, 0, self.random.randrange(500))),
            **self.provider(),
        }
        if kind == "agent.completed":
            properties |= self.tokens()
        else:
            properties["cost_usd"] = self.random.choice((None, 0.25))
        if kind == "agent.failed":
            properties["error_code"] = "boom"
        return [self.event("provider", kind, self.moment(), **properties)]

    def call(self) -> list[Event]:
        properties = {
            "execution_id": f"x{self.random.randrange(10**9)}",
            "task_type": "review",
            "latency_ms": self.random.choice((None, 0, round(self.random.random() * 900, 2))),
            "succeeded": self.random.random() < 0.9,
            **self.provider(),
            **self.tokens(),
        }
        return [self.event("provider", "provider.called", self.moment(), **properties)]

    def fault(self) -> list[Event]:
        if self.random.random() < 0.5:
            return [self.event("provider", "provider.rate_limited", self.moment(), **self.provider())]
        return [self.event("provider", "provider.errored", self.moment(), error_code="500", **self.provider())]

    def budget(self) -> list[Event]:
        if self.random.random() < 0.8:
            return []
        return [
            self.event(
                "billing", "budget.set", self.moment(), monthly_budget_usd=self.random.choice((0, 1.5, 40, 5000))
            )
        ]

    def deployment(self) -> list[Event]:
        at = self.moment()
        tenant, service = self.random.choice(TENANTS[:2]), self.random.choice(("gateway", "web-app"))
        # A small range of ids: some deployments share one, some failures find none.
        name = {"deployment_id": f"d{self.random.randrange(80)}", "service": service}
        found = [
            self.event(
                "delivery",
                "deployment.finished",
                at,
                tenant,
                environment=self.random.choice(("production", "production", "staging")),
                succeeded=self.random.random() < 0.85,
                committed_at=self.random.choice((None, (at - timedelta(hours=self.random.randrange(200))).isoformat())),
                **name,
            )
        ]
        while self.random.random() < 0.35:
            later = at + timedelta(minutes=self.random.randrange(-60, 3000))
            found.append(self.event("delivery", "deployment.failed_in_use", later, tenant, **name))
        while self.random.random() < 0.35:
            later = at + timedelta(minutes=self.random.randrange(-60, 6000))
            found.append(self.event("delivery", "service.restored", later, tenant, **name))
        return found

    def task(self) -> list[Event]:
        at, tenant = self.moment(), self.random.choice(TENANTS[:2])
        name = {"swarm_id": self.random.choice(("alpha", "beta")), "task_id": f"t{self.random.randrange(400)}"}
        found = []
        if self.random.random() < 0.95:
            found.append(self.event("swarm", "swarm.task_assigned", at, tenant, **name))
        while self.random.random() < 0.2:
            found.append(self.event("swarm", "swarm.task_assigned", self.moment(), tenant, **name))
        while self.random.random() < 0.6:
            later = at + timedelta(minutes=self.random.choice((0, -30, 5, self.random.randrange(4000))))
            won = self.random.random() < 0.7
            found.append(self.event("swarm", "swarm.task_resolved", later, tenant, succeeded=won, **name))
        while self.random.random() < 0.2:
            found.append(self.event("swarm", "swarm.task_escalated", at + timedelta(hours=1), tenant, **name))
        return found

    def policy(self) -> list[Event]:
        tenant, swarm = self.random.choice(TENANTS[:2]), self.random.choice(("alpha", "beta"))
        compliant = self.random.random() < 0.9
        return [
            self.event(
                "swarm", "swarm.policy_checked", self.moment(), tenant, swarm_id=swarm, policy="p", compliant=compliant
            )
        ]

    def loads(self, events: Sequence[Event], count: int) -> list[list[Event]]:
        """The events split at random, with copies of some in the same or a later load: the first copy counts."""
        found: list[list[Event]] = [[] for _ in range(count)]
        for event in events:
            first = self.random.randrange(count)
            found[first].append(event)
            if self.random.random() < 0.1:
                found[self.random.randrange(first, count)].append(event)
        return found
