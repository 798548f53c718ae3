"""Faults of the platform_usage marts of storage, costs, conversations by topic and busy hours."""

from __future__ import annotations

from planted import CLOCK_DAY, CLOCK_MOVES, keys, one_row, volume_drops

STORAGE = "platform_usage.storage_daily"
COSTS = "platform_usage.usage_cost_daily"
TOPICS = "platform_usage.conversation_insights_daily"
PEAKS = "platform_usage.usage_peaks"

FAULTS: dict[str, str] = {
    **keys(STORAGE, "date"),
    f"{STORAGE}.counts": one_row(STORAGE, "stored_bytes = null"),
    f"{STORAGE}.storage_class_accepted": one_row(STORAGE, "storage_class = 'attic'", "bytes_added + bytes_removed = 0"),
    f"{STORAGE}.all_bytes/added": one_row(STORAGE, "bytes_added = bytes_added + 1"),
    f"{STORAGE}.all_bytes/removed": one_row(STORAGE, "bytes_removed = bytes_removed + 1"),
    f"{STORAGE}.stored_is_the_running_sum": one_row(STORAGE, "stored_bytes = stored_bytes + 1"),
    f"{STORAGE}.dense": f"""
        delete from {STORAGE}
        where rowid = (
            select min(rowid) from {STORAGE} where bytes_added + bytes_removed = 0 and date < {CLOCK_DAY} - 5
        )
    """,
    **keys(COSTS, "date"),
    f"{COSTS}.amounts": one_row(COSTS, "llm_cost_usd = null", "llm_cost_usd = 0"),
    f"{COSTS}.total_of_the_three": one_row(COSTS, "total_cost_usd = total_cost_usd + 0.000002"),
    f"{COSTS}.same_llm_cost_as_calls": one_row(
        COSTS, "llm_cost_usd = llm_cost_usd + 1, total_cost_usd = total_cost_usd + 1"
    ),
    f"{COSTS}.storage_cost_usd_is_use_at_its_price": one_row(
        COSTS, "storage_cost_usd = storage_cost_usd + 1, total_cost_usd = total_cost_usd + 1"
    ),
    f"{COSTS}.bandwidth_cost_usd_is_use_at_its_price": one_row(
        COSTS, "bandwidth_cost_usd = bandwidth_cost_usd + 1, total_cost_usd = total_cost_usd + 1"
    ),
    f"{COSTS}.total_cost_usd_usual_volume": volume_drops(COSTS, "date", "total_cost_usd", days_ago=2),
    **keys(TOPICS, "topic"),
    f"{TOPICS}.counts": one_row(TOPICS, "ratings = null"),
    f"{TOPICS}.ended_are_conversations": one_row(TOPICS, "ended_conversations = conversations + 1"),
    f"{TOPICS}.rates": one_row(TOPICS, "handoff_rate = 1.1", "ended_conversations > 0"),
    f"{TOPICS}.measures": one_row(TOPICS, "avg_duration_ms = cast('nan' as double)", "ended_conversations > 0"),
    f"{TOPICS}.known_where_ended": one_row(TOPICS, "avg_duration_ms = null", "ended_conversations > 0"),
    f"{TOPICS}.known_where_sent": one_row(TOPICS, "avg_response_time_ms = null", "messages_sent > 0"),
    f"{TOPICS}.ratings_from_1_to_5": one_row(TOPICS, "avg_rating = 0.5", "ratings > 0"),
    f"{TOPICS}.all_conversations": one_row(TOPICS, "conversations = conversations + 1"),
    f"{TOPICS}.all_ended_conversations": one_row(
        TOPICS, "ended_conversations = ended_conversations - 1", "ended_conversations > 1"
    ),
    f"{TOPICS}.all_ratings": one_row(TOPICS, "ratings = ratings + 1", "ratings > 0"),
    f"{TOPICS}.all_messages_sent": one_row(TOPICS, "messages_sent = messages_sent + 1", "messages_sent > 0"),
    f"{TOPICS}.date_fresh": CLOCK_MOVES,
    f"{TOPICS}.conversations_usual_volume": volume_drops(TOPICS, "date", "conversations", days_ago=2),
    **keys(PEAKS, "hour"),
    f"{PEAKS}.hours_with_events": one_row(PEAKS, "events = 0, share = 0"),
    f"{PEAKS}.rates": one_row(PEAKS, "share = 2"),
    f"{PEAKS}.metric_accepted": f"update {PEAKS} set metric = 'logins' where metric = 'executions'",
    f"{PEAKS}.day_of_week_accepted": one_row(PEAKS, "day_of_week = '7'"),
    f"{PEAKS}.hour_accepted": one_row(PEAKS, "hour = '24'"),
    f"{PEAKS}.shares_of_the_whole": one_row(PEAKS, "share = share / 2"),
    f"{PEAKS}.peaks_are_the_busiest": one_row(PEAKS, "is_peak = not is_peak"),
    f"{PEAKS}.same_messages_as_days": f"update {PEAKS} set events = 2 * events where metric = 'messages'",
    f"{PEAKS}.same_executions_as_days": f"update {PEAKS} set events = 2 * events where metric = 'executions'",
}
