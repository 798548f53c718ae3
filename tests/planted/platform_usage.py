"""Faults of platform_usage."""

from __future__ import annotations

from planted import CLOCK_MOVES, keys, one_row, volume_drops

AGENTS = "platform_usage.agents"
DAILY = "platform_usage.platform_metrics_daily"
AGENT_DAYS = "platform_usage.agent_metrics_daily"
RANKINGS = "platform_usage.agent_rankings"
TRENDS = "platform_usage.agent_trends_daily"
OVERVIEW = "platform_usage.platform_overview"

METRICS = (
    "messages", "conversations", "unique_users", "active_agents", "total_tokens", "api_calls", "avg_response_time_ms",
    "error_rate", "avg_rating", "cost_usd",
)  # fmt: skip

FAULTS: dict[str, str] = {
    **keys(AGENTS, "agent_id"),
    f"{AGENTS}.named_where_created": one_row(AGENTS, "agent_name = null", "agent_name is not null"),
    f"{AGENTS}.version_where_deployed": one_row(AGENTS, "deployed_at = null", "deployed_at is not null"),
    f"{AGENTS}.agents_with_events": one_row(
        AGENTS,
        "agent_name = null, version = null, created_at = null, updated_at = null, deployed_at = null,"
        " deleted_at = null",
    ),
    f"{AGENTS}.all_agents": f"delete from {AGENTS} where rowid = 0",
    **keys(DAILY, "date"),
    f"{DAILY}.counts": one_row(DAILY, "logins = -1"),
    f"{DAILY}.parts_of_the_whole": one_row(DAILY, "api_errors = api_calls + 1"),
    f"{DAILY}.error_rate_is_a_ratio": one_row(DAILY, "error_rate = 0.123"),
    f"{DAILY}.measures": one_row(DAILY, "avg_response_time_ms = cast('nan' as double)", "messages_sent > 0"),
    f"{DAILY}.known_where_sent": one_row(DAILY, "avg_response_time_ms = null", "messages_sent > 0"),
    f"{DAILY}.percentiles": one_row(DAILY, "p95_response_time_ms = p99_response_time_ms + 1", "messages_sent > 0"),
    f"{DAILY}.ratings_from_1_to_5": one_row(DAILY, "avg_rating = 6"),
    f"{DAILY}.all_tokens_are_in_or_out": one_row(DAILY, "tokens_in = tokens_in + 1"),
    f"{DAILY}.all_messages_sent": one_row(DAILY, "messages_sent = messages_sent - 1", "messages_sent > 0"),
    f"{DAILY}.all_messages_sent/tokens": one_row(DAILY, "tokens_in = tokens_in + 1, total_tokens = total_tokens + 1"),
    f"{DAILY}.all_api_bytes": one_row(DAILY, "bytes_out = bytes_out + 1"),
    f"{DAILY}.all_other_events": one_row(DAILY, "searches = searches + 1"),
    f"{DAILY}.date_fresh": CLOCK_MOVES,
    f"{DAILY}.messages_usual_volume": volume_drops(DAILY, "date", "messages", days_ago=2),
    **keys(AGENT_DAYS, "agent_id"),
    f"{AGENT_DAYS}.counts": one_row(AGENT_DAYS, "unique_users = -1"),
    f"{AGENT_DAYS}.parts_of_the_whole": one_row(AGENT_DAYS, "handoffs = ended_conversations + 1"),
    f"{AGENT_DAYS}.error_rate_is_a_ratio": one_row(AGENT_DAYS, "error_rate = 0.123"),
    f"{AGENT_DAYS}.resolution_rate_is_a_ratio": one_row(AGENT_DAYS, "resolution_rate = 0.123"),
    f"{AGENT_DAYS}.handoff_rate_is_a_ratio": one_row(AGENT_DAYS, "handoff_rate = 0.123"),
    f"{AGENT_DAYS}.measures": one_row(AGENT_DAYS, "avg_conversation_length = -1"),
    f"{AGENT_DAYS}.known_where_sent": one_row(AGENT_DAYS, "p95_response_time_ms = null", "messages_sent > 0"),
    f"{AGENT_DAYS}.ratings_from_1_to_5": one_row(AGENT_DAYS, "avg_rating = 0.5"),
    f"{AGENT_DAYS}.all_messages_sent": f"delete from {AGENT_DAYS} where rowid = 0 or messages_sent = 1",
    f"{AGENT_DAYS}.all_conversations": one_row(AGENT_DAYS, "conversations = conversations + 1"),
    f"{AGENT_DAYS}.no_more_than_the_tenant": one_row(AGENT_DAYS, "total_tokens = total_tokens + 1000000000"),
    f"{AGENT_DAYS}.date_fresh": CLOCK_MOVES,
    **keys(RANKINGS, "agent_id"),
    f"{RANKINGS}.windows_of_7_and_30_days": one_row(RANKINGS, "window_days = 8"),
    f"{RANKINGS}.counts": one_row(RANKINGS, "conversations = null"),
    f"{RANKINGS}.measures": one_row(RANKINGS, "avg_response_time_ms = cast('infinity' as double)"),
    f"{RANKINGS}.rates": one_row(RANKINGS, "error_rate = 1.5"),
    f"{RANKINGS}.ratings_from_1_to_5": one_row(RANKINGS, "avg_rating = 7"),
    f"{RANKINGS}.ranks_follow_values": one_row(RANKINGS, "rank_by_rating = rank_by_rating + 1"),
    f"{RANKINGS}.same_messages_as_daily": one_row(RANKINGS, "conversations = conversations + 1"),
    **keys(TRENDS, "agent_id"),
    f"{TRENDS}.counts": one_row(TRENDS, "conversations = -1"),
    f"{TRENDS}.measures": one_row(TRENDS, "avg_response_time_ms = -1"),
    f"{TRENDS}.ratings_from_1_to_5": one_row(TRENDS, "avg_rating = 5.1"),
    f"{TRENDS}.the_last_7_complete_days": one_row(TRENDS, "date = date - 20"),
    f"{TRENDS}.same_as_daily": one_row(TRENDS, "conversations = conversations + 1"),
    **keys(OVERVIEW, "window_days"),
    f"{OVERVIEW}.counts": one_row(OVERVIEW, "previous_api_calls = null"),
    f"{OVERVIEW}.amounts": one_row(OVERVIEW, "previous_cost_usd = -1"),
    f"{OVERVIEW}.measures": one_row(OVERVIEW, "previous_avg_response_time_ms = -1"),
    f"{OVERVIEW}.rates": one_row(OVERVIEW, "error_rate = 1.01"),
    f"{OVERVIEW}.ratings_from_1_to_5": one_row(OVERVIEW, "previous_avg_rating = 0"),
    **{f"{OVERVIEW}.{name}_change": one_row(OVERVIEW, f"{name}_change_pct = -7.5") for name in METRICS},
    f"{OVERVIEW}.four_rows_a_tenant": one_row(OVERVIEW, "tenant_id = 'unheard of'"),
    f"{OVERVIEW}.windows_of_1_7_30_and_90_days": one_row(OVERVIEW, "window_days = 2", "window_days = 1"),
    f"{OVERVIEW}.longer_windows_hold_shorter_ones": one_row(OVERVIEW, "active_agents = 0", "window_days = 90"),
    f"{OVERVIEW}.same_as_daily": one_row(OVERVIEW, "conversations = conversations + 1"),
    f"{OVERVIEW}.same_cost_as_daily": one_row(OVERVIEW, "cost_usd = cost_usd + 0.000001"),
    f"{OVERVIEW}.same_bytes_as_daily": one_row(OVERVIEW, "storage_bytes = storage_bytes + 1"),
}
