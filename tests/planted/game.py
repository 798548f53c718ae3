"""Faults of game."""

from planted import CLOCK_MOVES, keys, one_row, volume_drops

HOURLY = "game.game_rollup_hourly"
DAILY = "game.game_rollup_daily"
AGES = "game.game_turns_by_age_daily"
KPIS = "game.game_kpis_daily"
BOSSES = "game.boss_ttk_daily"
QUESTS = "game.quest_node_dropoffs_daily"
ECONOMY = "game.economy_daily"
PARTY = "game.party_daily"
WORLD = "game.world_sim_daily"
WEATHER = "game.weather_daily"


def rollup(mart: str) -> dict[str, str]:
    """Faults of the expectations that both rollups have."""
    return {
        **keys(mart, "world"),
        f"{mart}.counts": one_row(mart, "sessions = null"),
        f"{mart}.sessions_have_turns": one_row(mart, "sessions = turns + 1"),
        f"{mart}.rates": one_row(mart, "stuck_rate = 1.1"),
        f"{mart}.measures": one_row(mart, "avg_tokens_in = -1"),
        f"{mart}.percentiles": one_row(mart, "p50_latency_ms = p95_latency_ms + 1"),
        f"{mart}.k_anonymous": one_row(mart, "locale = 'is-IS', sessions = 9", "locale = '(all)'"),
        f"{mart}.all_stands_alone": f"insert into {mart} select * replace ('is-IS' as locale, 99 as sessions) "
        f"from {mart} where locale = '(all)' limit 1",
    }


FAULTS = {
    **rollup(HOURLY),
    f"{HOURLY}.hour_begins": one_row(HOURLY, "hour = hour + interval 1 minute"),
    f"{HOURLY}.all_turns": one_row(HOURLY, "turns = turns + 1"),
    f"{HOURLY}.hour_fresh": CLOCK_MOVES,
    **rollup(DAILY),
    f"{DAILY}.per_turn": one_row(DAILY, "loot_rate = -0.1"),
    f"{DAILY}.shares": one_row(DAILY, "vendor_trade_rate = 1.5"),
    f"{DAILY}.same_turns_as_hourly": one_row(DAILY, "turns = turns + 1"),
    f"{DAILY}.turns_usual_volume": volume_drops(DAILY, "date", "turns"),
    **keys(AGES, "adventure"),
    f"{AGES}.counts": one_row(AGES, "softlock_hints = -1"),
    f"{AGES}.parts_of_turns": one_row(AGES, "softlock_hints = turns + 1"),
    f"{AGES}.measures": one_row(AGES, "p95_latency_ms = -1"),
    f"{AGES}.session_age_bucket_accepted": one_row(AGES, "session_age_bucket = 'old'"),
    f"{AGES}.same_turns_as_rollup": one_row(AGES, "turns = turns + 1"),
    **keys(KPIS, "content_version"),
    f"{KPIS}.counts": one_row(KPIS, "completions = null"),
    f"{KPIS}.completion_rate_is_a_ratio": one_row(KPIS, "completion_rate = null"),
    f"{KPIS}.rates": one_row(KPIS, "arc_progress_rate = 1.2"),
    f"{KPIS}.measures": one_row(KPIS, "gold_out = -1"),
    f"{KPIS}.gold_delta_per_session_is_a_ratio": one_row(KPIS, "gold_delta_per_session = null"),
    f"{KPIS}.all_sessions": one_row(KPIS, "sessions = sessions + 1"),
    f"{KPIS}.date_fresh": CLOCK_MOVES,
    **keys(BOSSES, "boss_id"),
    f"{BOSSES}.counts": one_row(BOSSES, "fights = null"),
    f"{BOSSES}.wins_are_fights": one_row(BOSSES, "wins = fights + 1"),
    f"{BOSSES}.measures": one_row(BOSSES, "p95_ttk_ms = -1"),
    f"{BOSSES}.percentiles": one_row(BOSSES, "p50_ttk_ms = p95_ttk_ms + 1", "wins > 0"),
    f"{BOSSES}.all_fights": one_row(BOSSES, "fights = fights + 1"),
    **keys(QUESTS, "quest_id"),
    f"{QUESTS}.counts": one_row(QUESTS, "dialogue_blocks = -1"),
    f"{QUESTS}.dropped_were_entered": one_row(QUESTS, "dropped = entered + 1"),
    f"{QUESTS}.dropoff_rate_is_a_ratio": one_row(QUESTS, "dropoff_rate = null", "entered > 0"),
    f"{QUESTS}.rates": one_row(QUESTS, "stuck_rate = 2"),
    f"{QUESTS}.all_entries": one_row(QUESTS, "entered = entered + 1"),
    **keys(ECONOMY, "world"),
    f"{ECONOMY}.counts": one_row(ECONOMY, "loot_drops = null"),
    f"{ECONOMY}.parts": one_row(ECONOMY, "trades = vendor_visits + 1"),
    f"{ECONOMY}.measures": one_row(ECONOMY, "currency_out = -1"),
    f"{ECONOMY}.margin_of_visits": one_row(ECONOMY, "avg_margin = null", "vendor_visits > 0"),
    f"{ECONOMY}.all_visits": one_row(ECONOMY, "vendor_visits = vendor_visits + 1"),
    **keys(PARTY, "npc_id"),
    f"{PARTY}.counts": one_row(PARTY, "joins = null"),
    f"{PARTY}.successes_are_checks": one_row(PARTY, "delegated_successes = delegated_checks + 1"),
    f"{PARTY}.all_party_events": one_row(PARTY, "joins = joins + 1"),
    **keys(WORLD, "region"),
    f"{WORLD}.counts": one_row(WORLD, "events_triggered = -1"),
    f"{WORLD}.triggered_were_checked": one_row(WORLD, "events_triggered = event_checks + 1"),
    f"{WORLD}.drift_is_finite": one_row(WORLD, "net_drift = cast('nan' as double)"),
    f"{WORLD}.all_checks": one_row(WORLD, "event_checks = event_checks + 1"),
    **keys(WEATHER, "weather"),
    f"{WEATHER}.counts": one_row(WEATHER, "ticks = null"),
    f"{WEATHER}.rates": one_row(WEATHER, "share = 1.5"),
    f"{WEATHER}.shares_add_up": one_row(WEATHER, "share = share / 2"),
    f"{WEATHER}.all_ticks": one_row(WEATHER, "ticks = ticks + 1"),
}
