"""Random events that are unkind: ties, late arrivals, copies, missing optional fields, days on which clocks change.

Each source has a module with its MAKERS: functions that make an event, or the events of one story, and how often.
"""

from __future__ import annotations

import importlib
import pkgutil
import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

Event = dict[str, Any]

# Names of the seeds: New York, Berlin and Kolkata time, UTC, and one tenant that no seed knows.
TENANTS = ("tenant-1", "tenant-2", "tenant-3", "tenant-4", "nobody")
# Across the change to daylight saving time in New York (2026-03-08) and Berlin (2026-03-29).
START = datetime(2026, 3, 1, tzinfo=UTC)
DAYS = 40


class Generator:
    """The same events for the same seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.seed = seed
        self.count = 0

    def events(self, size: int, *sources: str) -> list[Event]:
        """Some `size` events of the sources, by default of all that have a module here."""
        weights: dict[Maker, int] = {}
        for source in sources or sorted(module.name for module in pkgutil.iter_modules(__path__)):
            weights |= importlib.import_module(f"{__name__}.{source}").MAKERS
        makers = [maker for maker, weight in weights.items() for _ in range(weight)]
        found: list[Event] = []
        while len(found) < size:
            found += self.random.choice(makers)(self)
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

    def loads(self, events: Sequence[Event], count: int) -> list[list[Event]]:
        """The events split at random, with copies of some in the same or a later load: the first copy counts."""
        found: list[list[Event]] = [[] for _ in range(count)]
        for event in events:
            first = self.random.randrange(count)
            found[first].append(event)
            if self.random.random() < 0.1:
                found[self.random.randrange(first, count)].append(event)
        return found


Maker = Callable[[Generator], list[Event]]
