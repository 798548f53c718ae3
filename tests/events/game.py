"""Game events: sessions that start twice, late or never, locales of few sessions, runs without progress at midnight."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from events import START, Event, Generator, Maker

#: Few days, so that a day has locales of every size.
DAYS = 3


def session(g: Generator) -> list[Event]:
    """What a session does: its turns, and what comes with them. Ids come from a small range: some stories share one."""
    pick = g.random.choice
    at = START + timedelta(days=g.random.randrange(DAYS), seconds=g.random.randrange(86_400))
    tenant = pick(("tenant-1", "tenant-2"))
    name = f"s{g.random.randrange(400)}"
    dims: dict[str, Any] = {
        "world": pick(("ember", "ember", "tide")),
        "adventure": pick(("a1", "a1", "a1", "a2")),
        "locale": pick(("en", "en", "en", "en", "de", "de", "de", "fr", "fr", "is", "mt")),
        "model": "m",
        "content_version": pick(("v1", "v1", "v2")),
    }
    if g.random.random() < 0.3:
        dims |= {"experiment": "pace", "variation": pick(("control", "fast"))}
    # Many play at the fair, all within an hour: so many that its locales are shown by hour too.
    is_fair = g.random.random() < 0.3
    if is_fair:
        dims = {
            "world": "tide",
            "adventure": "fair",
            "locale": pick(("en", "de")),
            "model": "m",
            "content_version": "v1",
        }
        name = f"fair{g.random.randrange(400)}{dims['locale']}"

    def event(kind: str, **more: Any) -> Event:
        shown = dims | ({"locale": "pl"} if g.random.random() < 0.02 and not is_fair else {})
        return g.event("game", kind, moment(), tenant, **shown, **more) | {"session_id": name}

    def moment() -> datetime:
        if is_fair:
            return START + timedelta(days=1, hours=12, seconds=g.random.randrange(3600))
        return at + timedelta(minutes=pick((0, 0, 4, 5, 20, 59, 60, 200, g.random.randrange(600))))

    found = [event("session.started")] if g.random.random() < 0.9 else []
    found += [event("session.started")] if g.random.random() < 0.05 else []
    stuck = g.random.random() < 0.3
    for _ in range(g.random.randrange(9)):
        found.append(turn(g, event, stuck))
    for _ in range(g.random.randrange(5)):
        found.append(beside(g, event))
    return found


def turn(g: Generator, event: Any, stuck: bool) -> Event:
    rare = g.random.random
    made: Event = event(
        "turn.completed",
        latency_ms=g.random.choice((0, 100, round(g.random.lognormvariate(6, 1), 3))),
        tokens_in=g.random.randrange(3000),
        tokens_out=g.random.randrange(900),
        retries=int(rare() < 0.2),
        fell_back=rare() < 0.1,
        validator_retries=int(rare() < 0.1),
        ticks=g.random.randrange(5),
        acts=g.random.randrange(4),
        choices=g.random.randrange(4),
        tool_calls=g.random.randrange(3),
        sim_ticks=g.random.randrange(6),
        progressed=rare() > (0.9 if stuck else 0.3),
        softlock_hint=rare() < 0.1,
        over_token_budget=rare() < 0.1,
        gold_delta=g.random.choice((0, 5, -3, 2.5, -12)),
        items_acquired=g.random.randrange(3),
    )
    return made


def beside(g: Generator, event: Any) -> Event:
    """Something that is not a turn."""
    pick, node = g.random.choice, f"n{g.random.randrange(4)}"
    quest = {"quest_id": f"q{g.random.randrange(2)}", "node_id": node}
    chance = g.random.random() < 0.5
    properties: dict[str, dict[str, Any]] = {
        "choice.made": {"node_id": node, "choice_id": pick(("left", "right", "stay"))},
        "quest.node_entered": quest,
        "quest.node_completed": quest,
        "arc.progressed": {"arc_id": pick(("x", "y")), "progress": pick((0, 0.25, 1))},
        "npc.joined": {"npc_id": pick(("ada", "bo"))},
        "npc.dismissed": {"npc_id": pick(("ada", "bo"))},
        "check.delegated": {"npc_id": pick(("ada", "bo")), "succeeded": chance},
        "loot.dropped": {"item": "ore", "quantity": 3},
        "craft.attempted": {"recipe": "ring", "succeeded": chance},
        "vendor.visited": {"vendor": "v", "traded": chance, "gold_delta": -2, "margin": pick((-1, 0, 2.5))},
        "dialogue.selected": {"dialogue_id": pick(("hi", "bye", "hm")), "candidates": g.random.randrange(5)},
        "dialogue.blocked": {"dialogue_id": "hi", "node_id": pick((None, node))},
        "romance.prompted": {"npc_id": "ada", "consented": chance},
        "boss.fought": {"boss_id": "wyrm", "won": chance, "duration_ms": pick((10, 1000.5, 7))},
        "world.event_checked": {"event": "raid", "region": pick(("north", "south")), "triggered": chance},
        "world.ticked": {
            "region": pick(("north", "south")),
            "weather": pick(("rain", "fog")),
            "drift": pick((-1, 0.5)),
        },
        "adventure.completed": {},
    }
    kind = pick((*properties, "quest.node_entered", "quest.node_entered", "choice.made"))
    made: Event = event(kind, **properties[kind])
    return made


MAKERS: dict[Maker, int] = {session: 8}
