"""Game sessions: turns and what happens in them, sessions that get stuck, adventures that are completed."""

from __future__ import annotations

import numpy as np

from agent_analytics.simulate.draw import Column, Draw, Part, Rows, label, number, ragged, running, text
from agent_analytics.simulate.universe import EPOCH_2024, GAME_EXPERIMENTS, HOUR, MODELS, SECOND, WEEK, Ints, trait

#: Expected events of a story.
MEAN_EVENTS = 52.0

WORLDS = ("emberfall", "tidemark", "hollow-sky")
ADVENTURES = 4
LOCALES = ("en-US", "de-DE", "fr-FR", "pt-BR", "ja-JP", "es-ES", "it-IT", "pl-PL", "is-IS", "mt-MT")
VARIATIONS = ("control", "treatment")
NODES, NODE_TURNS = 8, 3
REGIONS = ("north", "south", "coast")
WEATHER = ("clear", "rain", "fog", "storm")
WORLD_EVENTS = ("festival", "raid", "eclipse")
ITEMS = ("herb", "ore", "relic", "potion", "map")

#: Chance per turn of each event that comes along with a turn; of the quest's, per turn that begins or ends a node.
PER_TURN = {
    "choice.made": 0.8, "quest.node_entered": 1, "quest.node_completed": 0.9, "arc.progressed": 0.1,
    "npc.joined": 0.06, "npc.dismissed": 0.03, "check.delegated": 0.08, "loot.dropped": 0.18, "craft.attempted": 0.09,
    "vendor.visited": 0.1, "dialogue.selected": 0.25, "dialogue.blocked": 0.03, "romance.prompted": 0.03,
    "boss.fought": 0.04, "world.event_checked": 0.12, "world.ticked": 0.3,
}  # fmt: skip


def generate(draw: Draw, stories: int) -> list[Part]:
    """One story is one session. One in twelve gets stuck: a run of at least five turns without progress. In 1% of the
    experiments' sessions the variation changes midway, a crossover."""
    rng = draw.rng
    story, tenant, t = draw.starts(stories, "play")
    user, identity = draw.users(tenant, t), draw.number(story)
    world = draw.pick((50, 30, 20), stories)
    adventure = draw.skewed(ADVENTURES, stories, 1.4)
    model = draw.pick((0, 5, 0, 3, 4, 2, 3), stories)
    locale = draw.pick((45, 15, 10, 9, 7, 6, 4, 2.5, 0.4, 0.1), stories)
    release = ((t - EPOCH_2024) // (2 * WEEK)).astype(np.int64) - draw.chance(0.2, stories)
    experiment = draw.pick((30, 30, 40), stories)
    # The second experiment's assignment is broken on purpose: shares far from equal.
    treated = rng.random(stories) < np.where(experiment == 1, 0.42, 0.5)
    turns = draw.counts(14, stories, 150)
    owner, position = ragged(turns)
    rows = len(owner)
    crosses = draw.chance(0.01, stories)[owner] & (position > turns[owner] // 2)
    variation = (treated[owner] ^ crosses).astype(np.int64)

    def dims(at: Ints, shown: Ints) -> dict[str, Column]:
        outside = experiment[at] == 2
        return {
            "user_id": text("user-{}@example.com", user[at]),
            "session_id": text("{run}-g{}", identity[at]),
            "world": label(world[at], WORLDS),
            "adventure": text("adventure-{}-{}", world[at] + 1, adventure[at] + 1),
            "locale": label(locale[at], LOCALES),
            "model": label(model[at], [m.name for m in MODELS]),
            "content_version": text("2.{}", release[at]),
            "experiment": label(np.minimum(experiment[at], 1), GAME_EXPERIMENTS, absent=outside),
            "variation": label(shown, VARIATIONS, absent=outside),
        }

    hints = (experiment == 0) & treated
    thrift = (experiment == 1) & treated
    stuck = draw.chance(np.where(hints, 0.05, 0.09), stories)
    stuck_from = (turns * 0.3 * rng.random(stories)).astype(np.int64)
    in_rut = stuck[owner] & (position >= stuck_from[owner]) & (position < stuck_from[owner] + 5 + turns[owner] // 3)
    progressed = ~in_rut & draw.chance(0.75, rows)
    latency = draw.tail(np.array([m.median_ms for m in MODELS])[model[owner]] * 0.8, 0.55, rows)
    fell_back = draw.chance(0.02 + 0.03 * (latency > 5000), rows)
    pause = draw.micros(28 * SECOND, 1.0, rows, 2 * HOUR) + (latency * 1000).astype(np.int64)
    at = t[owner] + running(pause, turns)
    common = dims(owner, variation)
    turn = Rows(owner, tenant[owner], at, common)
    tokens_in = draw.wholes(1800 * np.where(thrift, 0.8, 1.0)[owner], 0.4, rows)
    gold = np.round(rng.normal(3, 25, rows)).astype(np.int64) * draw.chance(0.4, rows)
    out = [
        Rows(story, tenant, t, dims(story, treated.astype(np.int64))).part("session.started"),
        turn.part(
            "turn.completed",
            latency_ms=number(latency),
            tokens_in=number(tokens_in),
            tokens_out=number(draw.wholes(260, 0.5, rows)),
            retries=number(rng.poisson(0.06, rows)),
            fell_back=number(fell_back),
            validator_retries=number(rng.poisson(0.04, rows)),
            ticks=number(rng.poisson(3, rows)),
            acts=number(rng.poisson(1.4, rows)),
            choices=number(rng.poisson(2.5, rows)),
            tool_calls=number(rng.poisson(1.1, rows)),
            sim_ticks=number(rng.poisson(6, rows)),
            progressed=number(progressed),
            softlock_hint=number(draw.chance(0.005 + 0.2 * in_rut, rows)),
            over_token_budget=number(tokens_in > 4000),
            gold_delta=number(gold),
            items_acquired=number(rng.poisson(0.3, rows)),
        ),
    ]

    node = np.minimum(NODES, 1 + position // NODE_TURNS)
    on_quest = position < NODES * NODE_TURNS
    quest = adventure[owner] + 1
    person = draw.skewed(6, rows, 1.2) + 1
    npc: dict[str, Column] = {"npc_id": text("npc-{}-{}", world[owner] + 1, person)}
    place: dict[str, Column] = {"quest_id": text("quest-{}", quest), "node_id": text("node-{}-{}", quest, node)}
    coin = draw.chance(0.5, rows)
    region = label(draw.skewed(len(REGIONS), rows, 1.0), REGIONS)
    fields: dict[str, dict[str, Column]] = {
        "choice.made": {"node_id": place["node_id"], "choice_id": text("choice-{}", draw.skewed(4, rows, 1.3) + 1)},
        "quest.node_entered": place,
        "quest.node_completed": place,
        "arc.progressed": {
            "arc_id": text("arc-{}", 1 + adventure[owner] % 3),
            "progress": number(np.minimum(1.0, (position + 1) / 30)),
        },
        "npc.joined": npc,
        "npc.dismissed": npc,
        "check.delegated": {**npc, "succeeded": number(draw.chance(0.4 + 0.1 * person / 2, rows))},
        "loot.dropped": {
            "item": label(draw.skewed(len(ITEMS), rows, 1.5), ITEMS),
            "quantity": number(1 + rng.poisson(0.7, rows)),
        },
        "craft.attempted": {
            "recipe": text("recipe-{}", draw.skewed(7, rows) + 1),
            "succeeded": number(draw.chance(0.7, rows)),
        },
        "vendor.visited": {
            "vendor": text("vendor-{}", draw.skewed(5, rows) + 1),
            "traded": number(coin),
            "gold_delta": number(np.where(coin, gold, 0)),
            "margin": number(np.where(coin, rng.normal(0.1, 0.2, rows), 0.0)),
        },
        "dialogue.selected": {
            "dialogue_id": text("dialogue-{}", draw.skewed(20, rows, 1.2) + 1),
            "candidates": number(1 + rng.poisson(2.0, rows)),
        },
        "dialogue.blocked": {
            "dialogue_id": text("dialogue-{}", draw.skewed(20, rows, 1.2) + 1),
            "node_id": text("node-{}-{}", quest, node, absent=draw.chance(0.2, rows)),
        },
        "romance.prompted": {**npc, "consented": number(draw.chance(0.35, rows))},
        "boss.fought": {
            "boss_id": text("boss-{}-{}", world[owner] + 1, 1 + node // 3),
            "won": number(draw.chance(0.6, rows)),
            "duration_ms": number(draw.tail(90_000 * (1 + trait(world[owner], 97)), 0.6, rows)),
        },
        "world.event_checked": {
            "event": label(draw.skewed(len(WORLD_EVENTS), rows, 1.0), WORLD_EVENTS),
            "region": region,
            "triggered": number(draw.chance(0.15, rows)),
        },
        "world.ticked": {
            "region": region,
            "weather": label(draw.pick((50, 25, 15, 10), rows), WEATHER),
            "drift": number(rng.normal(0, 1, rows)),
        },
    }
    may = {
        "quest.node_entered": on_quest & (position % NODE_TURNS == 0),
        "quest.node_completed": on_quest & (position % NODE_TURNS == NODE_TURNS - 1) & progressed,
    }
    for i, (name, probability) in enumerate(PER_TURN.items()):
        happens = draw.chance(probability, rows)
        if name in may:
            happens &= may[name]
        # Within the turn's own pause, so that a session's events stay between its turns.
        turn.t = at - pause * (len(PER_TURN) - i) // (3 * len(PER_TURN))
        out.append(turn.part(name, np.flatnonzero(happens), **fields[name]))

    last = np.zeros(stories, dtype=np.int64)
    last[owner] = at
    completes = ~stuck & draw.chance(np.minimum(0.6, turns / 60), stories)
    final = variation[np.cumsum(turns) - 1]
    out.append(Rows(story, tenant, last + SECOND, dims(story, final)).part("adventure.completed", completes))
    return out
