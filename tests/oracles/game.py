"""The game marts in plain Python: from event dicts, as landed and accepted once, to rows by key."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np

Event = dict[str, Any]
Row = dict[str, Any]
Key = tuple[Any, ...]

K = 10
STUCK = 5


def game(events: Iterable[Event], *kinds: str) -> list[Event]:
    """Game events of some types in their order: their properties, `at`, `day`, `hour` and `who` (the session)."""
    found = [
        {**event["properties"], "at": at, "day": at.date(), "hour": at.replace(minute=0, second=0, microsecond=0)}
        | {"kind": event["event_type"], "id": event["event_id"], "who": (event["tenant_id"], event["session_id"])}
        for event in events
        if event["source"] == "game" and (not kinds or event["event_type"] in kinds)
        for at in [datetime.fromisoformat(event["occurred_at"]).astimezone(UTC).replace(tzinfo=None)]
    ]
    for event in found:
        event["experiment"] = event.get("experiment") or "none"
        event["variation"] = event.get("variation") or "none"
    return sorted(found, key=lambda event: (event["at"], event["id"]))


def by(events: Iterable[Event], key: Callable[[Event], Key]) -> dict[Key, list[Event]]:
    found: dict[Key, list[Event]] = defaultdict(list)
    for event in events:
        found[key(event)].append(event)
    return found


def fields(*names: str) -> Callable[[Event], Key]:
    return lambda event: tuple(event[name] for name in names)


def percentile(values: Iterable[float], percent: float) -> float | None:
    values = list(values)
    return float(np.percentile(values, percent)) if values else None


def mean(values: Iterable[float]) -> float | None:
    values = list(values)
    return math.fsum(values) / len(values) if values else None


def share(some: Iterable[object], all_of: Iterable[object]) -> float | None:
    """How many of the first there are for each of the second."""
    count = len(list(all_of))
    return len(list(some)) / count if count else None


def stuck_days(events: Iterable[Event]) -> set[tuple[Key, date]]:
    """(session, day) with a run of turns without progress."""
    found = set()
    for (who, day), turns in by(game(events, "turn.completed"), fields("who", "day")).items():
        run = 0
        for turn in turns:
            run = 0 if turn["progressed"] else run + 1
            if run >= STUCK:
                found.add((who, day))
    return found


# Locales

DAILY = ("world", "adventure", "model", "experiment", "variation", "content_version")
HOURLY = DAILY[:-1]


def daily_names(turns: list[Event]) -> dict[Key, str]:
    """(day, dimensions, locale) to the name that is shown."""
    names: dict[Key, str] = {}
    for group, played in by(turns, fields("day", *DAILY)).items():
        sessions = {locale: {t["who"] for t in some} for (locale,), some in by(played, fields("locale")).items()}
        merged: list[str] = []
        before: set[Key] = set()
        for locale in sorted(sessions, key=lambda name: (len(sessions[name]), name)):
            if len(sessions[locale]) < K or 1 <= len(before) < K:
                merged.append(locale)
            before |= sessions[locale]
        all_merged = len(merged) == len(sessions)
        for locale in sessions:
            names[(*group, locale)] = "(all)" if all_merged else "(other)" if locale in merged else locale
    return names


def hourly_names(turns: list[Event]) -> dict[Key, str]:
    """(day, dimensions, locale) to the name that is shown by hour."""
    daily = daily_names(turns)
    names: dict[Key, str] = {}
    for group, played in by(turns, fields("day", *HOURLY)).items():
        kept = all(daily[(t["day"], *(t[name] for name in DAILY), t["locale"])] == t["locale"] for t in played)
        small = any(len({t["who"] for t in some}) < K for some in by(played, fields("hour", "locale")).values())
        for turn in played:
            names[(*group, turn["locale"])] = turn["locale"] if kept and not small else "(all)"
    return names


def turn_measures(turns: list[Event], stuck: set[tuple[Key, date]]) -> Row:
    sessions = {turn["who"] for turn in turns}
    stuck_sessions = {turn["who"] for turn in turns if (turn["who"], turn["day"]) in stuck}
    return {
        "turns": len(turns),
        "sessions": len(sessions),
        "p50_latency_ms": percentile((t["latency_ms"] for t in turns), 50),
        "p95_latency_ms": percentile((t["latency_ms"] for t in turns), 95),
        "avg_tokens_in": mean(t["tokens_in"] for t in turns),
        "avg_tokens_out": mean(t["tokens_out"] for t in turns),
        "retry_rate": share((t for t in turns if t["retries"] > 0), turns),
        "fallback_rate": share((t for t in turns if t["fell_back"]), turns),
        "validator_retry_rate": share((t for t in turns if t["validator_retries"] > 0), turns),
        "token_overrun_rate": share((t for t in turns if t["over_token_budget"]), turns),
        "stuck_rate": share(stuck_sessions, sessions),
    }


def game_rollup_hourly(events: Iterable[Event], as_of: datetime | None = None) -> dict[Key, Row]:
    """Rows by (hour, world, adventure, model, experiment, variation, locale), of 90 days before that of `as_of`."""
    events = list(events)
    turns, stuck = game(events, "turn.completed"), stuck_days(events)
    names = hourly_names(turns)
    for turn in turns:
        turn["locale"] = names[(turn["day"], *(turn[name] for name in HOURLY), turn["locale"])]
    grain = ("hour", "world", "adventure", "locale", "model", "experiment", "variation")
    rows = keyed(grain, {key: turn_measures(some, stuck) for key, some in by(turns, fields(*grain)).items()})
    return {key: row for key, row in rows.items() if as_of is None or (as_of.date() - key[0].date()).days <= 90}


def game_rollup_daily(events: Iterable[Event], as_of: datetime | None = None) -> dict[Key, Row]:
    """Rows by (date, dimensions)."""
    events = list(events)
    turns, stuck = game(events, "turn.completed"), stuck_days(events)
    names = daily_names(turns)
    merged = {key[:-1]: name for key, name in names.items() if name.startswith("(")}
    for turn in turns:
        turn["locale"] = names[(turn["day"], *(turn[name] for name in DAILY), turn["locale"])]
    beside = game(events)
    for event in beside:
        group = (event["day"], *(event[name] for name in DAILY))
        event["locale"] = names.get((*group, event["locale"]), merged.get(group))
    grain = ("day", "world", "adventure", "locale", "model", "experiment", "variation", "content_version")
    others = by(beside, fields(*grain, "kind"))
    rows = {}
    for key, some in by(turns, fields(*grain)).items():
        row = turn_measures(some, stuck)
        loot, visits, crafts, joins, dialogues, romances, checks = (
            others.get((*key, kind), [])
            for kind in (
                "loot.dropped", "vendor.visited", "craft.attempted", "npc.joined", "dialogue.selected",
                "romance.prompted", "world.event_checked",
            )
        )  # fmt: skip
        rows[key] = row | {
            "avg_ticks": mean(t["ticks"] for t in some),
            "avg_sim_ticks": mean(t["sim_ticks"] for t in some),
            "tool_calls_per_turn": mean(t["tool_calls"] for t in some),
            "acts_per_turn": mean(t["acts"] for t in some),
            "choices_per_turn": mean(t["choices"] for t in some),
            "softlock_hint_rate": share((t for t in some if t["softlock_hint"]), some),
            "econ_velocity": mean(t["gold_delta"] for t in some),
            "items_per_turn": mean(t["items_acquired"] for t in some),
            "loot_rate": share(loot, some),
            "vendor_visit_rate": share(visits, some),
            "craft_attempt_rate": share(crafts, some),
            "craft_success_rate": share((c for c in crafts if c["succeeded"]), crafts),
            "vendor_trade_rate": share((v for v in visits if v["traded"]), visits),
            "party_recruit_rate": share(joins, {t["who"] for t in some}),
            "dialogue_candidate_avg": mean(d["candidates"] for d in dialogues),
            "romance_consent_rate": share((r for r in romances if r["consented"]), romances),
            "event_trigger_rate": share((c for c in checks if c["triggered"]), checks),
        }
    return keyed(grain, rows)


# Sessions


def starts(events: Iterable[Event]) -> dict[Key, Event]:
    """The first session.started of each session."""
    found: dict[Key, Event] = {}
    for event in game(events, "session.started"):
        found.setdefault(event["who"], event)
    return found


def age_bucket(turn: Event, start: Event | None) -> str:
    if start is None or turn["at"] < start["at"]:
        return "unknown"
    age = turn["at"] - start["at"]
    for minutes, name in ((5, "0-5"), (15, "5-15"), (30, "15-30"), (60, "30-60")):
        if age < timedelta(minutes=minutes):
            return name
    return "60+"


def game_turns_by_age_daily(events: Iterable[Event], as_of: datetime | None = None) -> dict[Key, Row]:
    """Rows by (date, session_age_bucket, world, adventure)."""
    events = list(events)
    turns, begun = game(events, "turn.completed"), starts(events)
    for turn in turns:
        turn["session_age_bucket"] = age_bucket(turn, begun.get(turn["who"]))
    grain = ("day", "session_age_bucket", "world", "adventure")
    rows = {
        key: {
            "turns": len(some),
            "sessions": len({turn["who"] for turn in some}),
            "p95_latency_ms": percentile((turn["latency_ms"] for turn in some), 95),
            "softlock_hints": sum(turn["softlock_hint"] for turn in some),
        }
        for key, some in by(turns, fields(*grain)).items()
    }
    return keyed(grain, rows)


def entropy(values: Iterable[str]) -> float | None:
    counts = Counter(values)
    total = counts.total()
    return -math.fsum(n / total * math.log2(n / total) for n in counts.values()) if total else None


def node_entropy(choices: list[Event]) -> float | None:
    """Mean over the nodes of the entropy of their choices, by the number of their choices."""
    nodes = by(choices, fields("node_id")).values()
    weighted = [(entropy(c["choice_id"] for c in some) or 0) * len(some) for some in nodes]
    return math.fsum(weighted) / len(choices) if choices else None


def arc_progress(arcs: list[Event]) -> float | None:
    sessions = []
    for some in by(arcs, fields("who")).values():
        best = [max(a["progress"] for a in one) for one in by(some, fields("arc_id")).values()]
        sessions.append(math.fsum(best) / len(best))
    return mean(sessions)


def game_kpis_daily(events: Iterable[Event], as_of: datetime | None = None) -> dict[Key, Row]:
    """Rows by (date the session started, world, adventure, content_version)."""
    events = list(events)
    begun = starts(events)
    everything = by(game(events), fields("who", "kind"))
    rows = {}
    grain = ("day", "world", "adventure", "content_version")
    for key, sessions in by(begun.values(), fields(*grain)).items():
        of = {
            kind: [event for start in sessions for event in everything.get((start["who"], kind), [])]
            for kind in (
                "turn.completed", "adventure.completed", "arc.progressed", "choice.made", "dialogue.selected",
            )
        }  # fmt: skip
        deltas = [turn["gold_delta"] for turn in of["turn.completed"]]
        completions = len({event["who"] for event in of["adventure.completed"]})
        rows[key] = {
            "sessions": len(sessions),
            "completions": completions,
            "completion_rate": completions / len(sessions),
            "arc_progress_rate": arc_progress(of["arc.progressed"]),
            "choice_entropy_bits": node_entropy(of["choice.made"]),
            "dialogue_entropy_bits": entropy(event["dialogue_id"] for event in of["dialogue.selected"]),
            "gold_in": math.fsum(delta for delta in deltas if delta > 0),
            "gold_out": math.fsum(-delta for delta in deltas if delta < 0),
            "gold_delta_per_session": math.fsum(deltas) / len(sessions),
            "items_per_session": sum(t["items_acquired"] for t in of["turn.completed"]) / len(sessions),
        }
    return keyed(grain, rows)


# Days


def boss_ttk_daily(events: Iterable[Event], as_of: datetime | None = None) -> dict[Key, Row]:
    """Rows by (date, world, boss_id)."""
    grain = ("day", "world", "boss_id")
    rows = {}
    for key, fights in by(game(events, "boss.fought"), fields(*grain)).items():
        won = [fight["duration_ms"] for fight in fights if fight["won"]]
        rows[key] = {"fights": len(fights), "wins": len(won)}
        rows[key] |= {f"p{percent}_ttk_ms": percentile(won, percent) for percent in (50, 90, 95)}
    return keyed(grain, rows)


def quest_node_dropoffs_daily(events: Iterable[Event], as_of: datetime | None = None) -> dict[Key, Row]:
    """Rows by (date, adventure, quest_id, node_id)."""
    events = list(events)
    grain = ("day", "adventure", "quest_id", "node_id")
    nodes = game(events, "quest.node_entered", "quest.node_completed")
    stuck = stuck_days(events)
    completed = {(n["who"], n["quest_id"], n["node_id"]) for n in nodes if n["kind"] == "quest.node_completed"}
    last = {node["who"]: node for node in nodes if node["kind"] == "quest.node_entered"}
    left = by((n for n in last.values() if (n["who"], n["quest_id"], n["node_id"]) not in completed), fields(*grain))
    blocks = by(
        (e for e in game(events, "dialogue.blocked") if e.get("node_id")), fields("day", "adventure", "node_id")
    )
    rows = {}
    for key, some in by(nodes, fields(*grain)).items():
        entered = {n["who"] for n in some if n["kind"] == "quest.node_entered"}
        dropped = left.get(key, [])
        rows[key] = {
            "entered": len(entered),
            "completed": len({n["who"] for n in some if n["kind"] == "quest.node_completed"}),
            "dropped": len(dropped),
            "dropoff_rate": share(dropped, entered),
            "dialogue_blocks": len(blocks.get((key[0], key[1], key[3]), [])),
            "stuck_rate": share((who for who in entered if (who, key[0]) in stuck), entered),
        }
    return keyed(grain, rows)


def economy_daily(events: Iterable[Event], as_of: datetime | None = None) -> dict[Key, Row]:
    """Rows by (date, world)."""
    kinds = ("turn.completed", "vendor.visited", "craft.attempted", "loot.dropped")
    rows = {}
    for key, some in by(game(events, *kinds), fields("day", "world")).items():
        turns, visits, crafts, loot = ([e for e in some if e["kind"] == kind] for kind in kinds)
        rows[key] = {
            "currency_in": math.fsum(t["gold_delta"] for t in turns if t["gold_delta"] > 0),
            "currency_out": math.fsum(-t["gold_delta"] for t in turns if t["gold_delta"] < 0),
            "vendor_visits": len(visits),
            "trades": sum(v["traded"] for v in visits),
            "avg_margin": mean(v["margin"] for v in visits),
            "craft_attempts": len(crafts),
            "craft_successes": sum(c["succeeded"] for c in crafts),
            "loot_drops": len(loot),
        }
    return rows


def party_daily(events: Iterable[Event], as_of: datetime | None = None) -> dict[Key, Row]:
    """Rows by (date, world, npc_id)."""
    rows = {}
    kinds = ("npc.joined", "npc.dismissed", "check.delegated")
    for key, some in by(game(events, *kinds), fields("day", "world", "npc_id")).items():
        joins, dismissals, checks = ([e for e in some if e["kind"] == kind] for kind in kinds)
        rows[key] = {
            "joins": len(joins),
            "dismissals": len(dismissals),
            "delegated_checks": len(checks),
            "delegated_successes": sum(check["succeeded"] for check in checks),
        }
    return rows


def world_sim_daily(events: Iterable[Event], as_of: datetime | None = None) -> dict[Key, Row]:
    """Rows by (date, world, region)."""
    rows = {}
    kinds = ("world.event_checked", "world.ticked")
    for key, some in by(game(events, *kinds), fields("day", "world", "region")).items():
        checks, ticks = ([e for e in some if e["kind"] == kind] for kind in kinds)
        rows[key] = {
            "event_checks": len(checks),
            "events_triggered": sum(check["triggered"] for check in checks),
            "net_drift": math.fsum(tick["drift"] for tick in ticks),
        }
    return rows


def weather_daily(events: Iterable[Event], as_of: datetime | None = None) -> dict[Key, Row]:
    """Rows by (date, world, region, weather)."""
    ticks = game(events, "world.ticked")
    days = by(ticks, fields("day", "world", "region"))
    return {
        key: {"ticks": len(some), "share": len(some) / len(days[key[:-1]])}
        for key, some in by(ticks, fields("day", "world", "region", "weather")).items()
    }


def keyed(grain: tuple[str, ...], rows: dict[Key, Row]) -> dict[Key, Row]:
    """Rows by the columns of the mart's key, in its order."""
    order = [index for _, index in sorted((KEY_ORDER.index(name), index) for index, name in enumerate(grain))]
    return {tuple(key[index] for index in order): row for key, row in rows.items()}


#: The order of columns in the keys of these marts.
KEY_ORDER = (
    "hour", "day", "session_age_bucket", "world", "adventure", "locale", "model", "experiment", "variation",
    "content_version", "boss_id", "quest_id", "node_id",
)  # fmt: skip

MARTS = {
    "game_rollup_hourly": game_rollup_hourly,
    "game_rollup_daily": game_rollup_daily,
    "game_turns_by_age_daily": game_turns_by_age_daily,
    "game_kpis_daily": game_kpis_daily,
    "boss_ttk_daily": boss_ttk_daily,
    "quest_node_dropoffs_daily": quest_node_dropoffs_daily,
    "economy_daily": economy_daily,
    "party_daily": party_daily,
    "world_sim_daily": world_sim_daily,
    "weather_daily": weather_daily,
}
