"""The funnel marts in plain Python: from event dicts, as landed and accepted once, to rows by key."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from statistics import median
from typing import Any

Event = dict[str, Any]
Row = dict[str, Any]
Entity = tuple[Any, ...]
Journey = list[datetime | None]

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)

ACTIVATION = {
    "signup": "user.signed_up",
    "agent": "agent.created",
    "deploy": "agent.deployed",
    "conversation": "conversation.started",
    "workflow": "workflow.executed",
    "subscription": "subscription.created",
}

GAME = {
    "start": "session.started",
    "choice": "choice.made",
    "npc": "npc.joined",
    "craft": "craft.attempted",
    "vendor": "vendor.visited",
    "boss": "boss.fought",
    "completion": "adventure.completed",
}


def instant(text: str) -> datetime:
    """The UTC instant of an ISO 8601 text."""
    return datetime.fromisoformat(text).astimezone(UTC)


def monday(moment: datetime) -> date:
    return moment.date() - timedelta(days=moment.weekday())


def journey(occurrences: Sequence[Sequence[datetime]], window: timedelta | None, order: str = "ordered") -> Journey:
    """The time chosen for each step, given all times of each; the first step has one at least."""
    first = min(occurrences[0])
    chosen: Journey = [first]
    for times in occurrences[1:]:
        fit = [at for at in times if window is None or at <= first + window]
        before = chosen[-1]
        if order != "any":
            fit = [] if before is None else [at for at in fit if at > before or (at == before and order == "ordered")]
        chosen.append(min(fit, default=None))
    return chosen


def measures(steps: Sequence[str], journeys: Sequence[Journey], unit: timedelta = HOUR, name: str = "hours") -> Row:
    """The columns of a group of entities."""
    reached = [sum(chosen[n] is not None for chosen in journeys) for n in range(len(steps))]
    row: Row = {f"{step}_count": reached[n] for n, step in enumerate(steps)}
    for n in range(1, len(steps)):
        pair = f"{steps[n - 1]}_to_{steps[n]}"
        both = [(chosen[n - 1], chosen[n]) for chosen in journeys]
        times = [(end - begin) / unit for begin, end in both if begin is not None and end is not None]
        row[f"{pair}_rate"] = len(times) / reached[n - 1] if reached[n - 1] else None
        row[f"median_{name}_{pair}"] = median(times) if times else None
    row["overall_completion_rate"] = sum(None not in chosen for chosen in journeys) / reached[0]
    return row


def funnel(
    events: Iterable[Event],
    steps: dict[str, str],
    *,
    entity: Callable[[Event], Entity],
    period: Callable[[datetime], date],
    window: timedelta | None = None,
) -> dict[date, list[Journey]]:
    """The journeys of the entities that took the first step, by the period of that."""
    times: dict[Entity, list[list[datetime]]] = defaultdict(lambda: [[] for _ in steps])
    for event in events:
        for n, event_type in enumerate(steps.values()):
            if event["event_type"] == event_type:
                times[entity(event)][n].append(instant(event["occurred_at"]))
    found: dict[date, list[Journey]] = defaultdict(list)
    for occurrences in times.values():
        if occurrences[0]:
            found[period(min(occurrences[0]))].append(journey(occurrences, window))
    return found


def activation_funnel_weekly(events: Iterable[Event], as_of: datetime | None = None) -> dict[tuple[date], Row]:
    """Rows by (week,). `as_of` makes no difference to this mart."""
    by_week = funnel(
        (event for event in events if event["source"] in ("platform", "billing")),
        ACTIVATION,
        entity=lambda event: (event["tenant_id"],),
        period=monday,
        window=30 * DAY,
    )
    return {(week,): measures(list(ACTIVATION), journeys) for week, journeys in by_week.items()}


def game_funnel_daily(events: Iterable[Event], as_of: datetime | None = None) -> dict[Entity, Row]:
    """Rows by (date, world, adventure, experiment, variation)."""
    played: dict[Entity, list[Event]] = defaultdict(list)
    for event in events:
        if event["source"] == "game":
            played[(event["tenant_id"], event["session_id"])].append(event)
    groups: dict[Entity, list[list[list[datetime]]]] = defaultdict(list)
    for session in played.values():
        starts = [event for event in session if event["event_type"] == GAME["start"]]
        if starts:
            start = min(starts, key=lambda event: (instant(event["occurred_at"]), event["event_id"]))
            of = start["properties"]
            key = (instant(start["occurred_at"]).date(), of["world"], of["adventure"])
            key += tuple(of.get(name) or "none" for name in ("experiment", "variation"))
            groups[key].append(
                [[instant(e["occurred_at"]) for e in session if e["event_type"] == kind] for kind in GAME.values()]
            )
    return {
        key: measures(list(GAME), [journey(times, None) for times in sessions], timedelta(seconds=1), "seconds")
        | {f"{step}_any_count": sum(bool(times[n]) for times in sessions) for n, step in enumerate(GAME)}
        for key, sessions in groups.items()
    }


MARTS = {"activation_funnel_weekly": activation_funnel_weekly, "game_funnel_daily": game_funnel_daily}
