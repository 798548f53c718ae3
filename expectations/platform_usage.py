"""platform_usage: how the agent product is used."""

from expectations import (
    ascending,
    counts,
    fresh,
    holds,
    mart,
    measures,
    ratio,
    reconciles,
    suite,
    usual_volume,
)

AGENTS = "staging.stg_platform__agents where agent_id is not null"
EVENTS = "intermediate.int_platform_events"
SENT = "staging.stg_platform__messages where event_type = 'message.sent'"

SUITE = suite(
    "platform_usage",
    mart(
        "agents",
        key=["tenant_id", "agent_id"],
        fed_by=AGENTS,
        expect=[
            holds("named_where_created", "(agent_name is null) = (created_at is null)", "agent_name", "created_at"),
            holds("version_where_deployed", "(version is null) = (deployed_at is null)", "version", "deployed_at"),
            holds(
                "agents_with_events",
                "coalesce(created_at, updated_at, deployed_at, deleted_at) is not null",
                "created_at",
                "updated_at",
                "deployed_at",
                "deleted_at",
            ),
            reconciles(
                "all_agents",
                "count(*)",
                "count(distinct agent_id)",
                AGENTS,
                by=["tenant_id"],
            ),
        ],
    ),
    mart(
        "platform_metrics_daily",
        key=["tenant_id", "date"],
        fed_by=EVENTS,
        expect=[
            counts(
                "messages",
                "messages_sent",
                "conversations",
                "unique_users",
                "active_agents",
                "tokens_in",
                "tokens_out",
                "total_tokens",
                "errors",
                "ratings",
                "workflow_executions",
                "workflow_failures",
                "api_calls",
                "api_errors",
                "bytes_out",
                "searches",
                "signups",
                "logins",
                "invites",
                "documents_uploaded",
            ),
            holds(
                "parts_of_the_whole",
                "messages_sent <= messages and errors <= messages_sent and active_agents <= messages_sent"
                " and workflow_failures <= workflow_executions and api_errors <= api_calls",
                "messages",
                "messages_sent",
                "errors",
                "active_agents",
                "workflow_failures",
                "workflow_executions",
                "api_errors",
                "api_calls",
            ),
            ratio("error_rate", "errors", "messages_sent"),
            measures("avg_response_time_ms"),
            holds(
                "known_where_sent",
                "(avg_response_time_ms is not null) = (messages_sent > 0)"
                " and (p50_response_time_ms is not null) = (messages_sent > 0)",
                "avg_response_time_ms",
                "p50_response_time_ms",
                "messages_sent",
            ),
            ascending("p50_response_time_ms", "p95_response_time_ms", "p99_response_time_ms", name="percentiles"),
            holds(
                "ratings_from_1_to_5",
                "case when ratings = 0 then avg_rating is null else avg_rating between 1 and 5 end",
                "avg_rating",
                "ratings",
            ),
            holds("all_tokens_are_in_or_out", "total_tokens = tokens_in + tokens_out", "total_tokens", "tokens_in"),
            reconciles("all_messages_sent", "sum(messages_sent)", "count(*)", SENT, by=["tenant_id"]),
            reconciles("all_tokens", "sum(total_tokens)", "sum(tokens_in) + sum(tokens_out)", SENT, by=["tenant_id"]),
            reconciles(
                "all_api_bytes", "sum(bytes_out)", "sum(bytes_out)", "staging.stg_platform__api_calls", by=["tenant_id"]
            ),
            reconciles(
                "all_other_events",
                "sum(conversations + ratings + workflow_executions + searches + signups + logins + invites"
                " + documents_uploaded)",
                "count(*)",
                f"{EVENTS} where event_type in ('conversation.started', 'feedback.submitted', 'workflow.executed',"
                " 'workflow.failed', 'search.performed', 'user.signed_up', 'user.logged_in', 'user.invited',"
                " 'document.uploaded')",
                by=["tenant_id"],
            ),
            fresh("date", hours=72),
            usual_volume("date", "messages", tenant_local=True),
        ],
    ),
)
