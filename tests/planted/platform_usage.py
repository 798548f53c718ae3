"""A fault for each expectation of platform_usage: SQL that, on a good build, breaks that one."""

from __future__ import annotations

AGENTS = "platform_usage.agents"
DAILY = "platform_usage.platform_metrics_daily"

CLOCK_MOVES = "update ops.run set as_of = as_of + interval 100 day"


def one_row(mart: str, change: str, where: str = "true") -> str:
    return f"update {mart} set {change} where rowid = (select min(rowid) from {mart} where {where})"


def keys(mart: str, key: str) -> dict[str, str]:
    """Faults of the expectations that every mart has."""
    return {
        f"{mart}.unique_key": f"insert into {mart} from {mart} limit 1",
        f"{mart}.key_not_null": one_row(mart, f"{key} = null"),
        f"{mart}.not_empty": f"delete from {mart}",
    }


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
    f"{DAILY}.all_tokens": one_row(DAILY, "tokens_in = tokens_in + 1, total_tokens = total_tokens + 1"),
    f"{DAILY}.all_api_bytes": one_row(DAILY, "bytes_out = bytes_out + 1"),
    f"{DAILY}.all_other_events": one_row(DAILY, "searches = searches + 1"),
    f"{DAILY}.date_fresh": CLOCK_MOVES,
    f"{DAILY}.messages_usual_volume": f"""
        update {DAILY} set messages = 0
        where date = (select cast(as_of as date) - 2 from ops.run)
    """,
}
