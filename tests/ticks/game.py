"""A turn of a session that has a start: its day, and the day on which the session began."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from events import Event, Generator
from events.game import beside, turn

from ticks import Touched


def tick(generator: Generator) -> tuple[list[Event], Touched]:
    day, begun = datetime(2026, 3, 2, tzinfo=UTC), date(2026, 3, 2)
    dims = {"world": "ember", "adventure": "a1", "locale": "en", "model": "m", "content_version": "v1"}

    def event(kind: str, **properties: object) -> Event:
        at = day + timedelta(hours=12 + len(events))
        return generator.event("game", kind, at, "tenant-1", **dims, **properties) | {"session_id": "new"}

    events: list[Event] = []
    events.append(event("session.started"))
    events.append(turn(generator, event, stuck=False))
    wanted = {
        "quest.node_entered", "npc.joined", "boss.fought", "world.ticked", "vendor.visited", "choice.made",
        "dialogue.selected",
    }  # fmt: skip
    while wanted:
        made = beside(generator, event)
        if made["event_type"] in wanted:
            wanted.remove(made["event_type"])
            events.append(made)
    hours = {(datetime(2026, 3, 2, hour),) for hour in range(24)}
    daily = (
        "game_rollup_daily", "game_turns_by_age_daily", "game_kpis_daily", "boss_ttk_daily", "economy_daily",
        "quest_node_dropoffs_daily", "party_daily", "world_sim_daily", "weather_daily",
        "game_funnel_daily",
    )  # fmt: skip
    return events, {"game_rollup_hourly": hours} | {mart: {(begun,)} for mart in daily}
