"""platform_usage: how the agent product is used."""

from expectations import (
    ascending,
    counts,
    fresh,
    holds,
    mart,
    measures,
    nothing,
    rates,
    ratio,
    reconciles,
    suite,
    usual_volume,
)

AGENTS = "staging.stg_platform__agents where agent_id is not null"
EVENTS = "intermediate.int_platform_events"
SENT = "staging.stg_platform__messages where event_type = 'message.sent'"

SENT_BY_AGENTS = f"{SENT} and agent_id is not null"
AGENT = ["tenant_id", "agent_id"]
# The data clock's day where each tenant is; what lies before it is complete.
TODAY = """
    select tenant_id, cast(timezone(coalesce(timezone, 'UTC'), timezone('UTC', as_of)) as date) as today
    from (select distinct tenant_id from intermediate.int_platform_days)
    left join reference.tenants using (tenant_id)
    cross join ops.run
"""
WINDOWED = f"select * from platform_usage.agent_metrics_daily left join ({TODAY}) using (tenant_id)"

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
    mart(
        "agent_metrics_daily",
        key=["tenant_id", "agent_id", "date"],
        fed_by=SENT_BY_AGENTS,
        expect=[
            counts(
                "conversations",
                "messages_sent",
                "unique_users",
                "errors",
                "total_tokens",
                "ended_conversations",
                "resolved_conversations",
                "handoffs",
            ),
            holds(
                "parts_of_the_whole",
                "errors <= messages_sent and resolved_conversations <= ended_conversations"
                " and handoffs <= ended_conversations",
                "errors",
                "messages_sent",
                "resolved_conversations",
                "handoffs",
                "ended_conversations",
            ),
            ratio("error_rate", "errors", "messages_sent"),
            ratio("resolution_rate", "resolved_conversations", "ended_conversations"),
            ratio("handoff_rate", "handoffs", "ended_conversations"),
            measures("avg_response_time_ms", "p95_response_time_ms", "avg_conversation_length"),
            holds(
                "known_where_sent",
                "(avg_response_time_ms is not null) = (messages_sent > 0)"
                " and (p95_response_time_ms is not null) = (messages_sent > 0)",
                "avg_response_time_ms",
                "p95_response_time_ms",
                "messages_sent",
            ),
            holds("ratings_from_1_to_5", "coalesce(avg_rating between 1 and 5, true)", "avg_rating"),
            reconciles("all_messages_sent", "sum(messages_sent)", "count(*)", SENT_BY_AGENTS, by=AGENT),
            reconciles(
                "all_conversations",
                "sum(conversations + ended_conversations)",
                "count(*)",
                "staging.stg_platform__conversations where agent_id is not null",
                by=AGENT,
            ),
            nothing(
                "no_more_than_the_tenant",
                """
                select tenant_id, date, sum(mart.messages_sent) as of_agents, max(daily.messages_sent) as of_tenant
                from mart left join platform_usage.platform_metrics_daily as daily using (tenant_id, date)
                group by tenant_id, date
                having sum(mart.messages_sent) > coalesce(max(daily.messages_sent), 0)
                    or sum(mart.total_tokens) > coalesce(max(daily.total_tokens), 0)
                """,
                "The agents of a day sent no more messages and tokens than their tenant did.",
                "messages_sent",
                "total_tokens",
            ),
            fresh("date", hours=72),
        ],
    ),
    mart(
        "agent_rankings",
        key=["tenant_id", "window_days", "agent_id"],
        fed_by=f"""({WINDOWED} where date between today - 7 and today - 1)""",
        rebuilt=True,
        expect=[
            holds("windows_of_7_and_30_days", "window_days in (7, 30)", "window_days"),
            counts("conversations", "messages_sent"),
            measures("avg_response_time_ms"),
            rates("resolution_rate", "error_rate"),
            holds("ratings_from_1_to_5", "coalesce(avg_rating between 1 and 5, true)", "avg_rating"),
            nothing(
                "ranks_follow_values",
                """
                select tenant_id, window_days, agent_id
                from (
                    select
                        *,
                        rank() over (w order by messages_sent desc) as by_messages,
                        rank() over (w order by avg_rating desc nulls last) as by_rating,
                        rank() over (w order by round(avg_response_time_ms, 6) nulls last) as by_response_time,
                        rank() over (w order by resolution_rate desc nulls last) as by_resolution_rate
                    from mart
                    window w as (partition by tenant_id, window_days)
                )
                where (rank_by_messages, rank_by_rating, rank_by_response_time, rank_by_resolution_rate)
                    is distinct from (by_messages, by_rating, by_response_time, by_resolution_rate)
                """,
                "Each rank is the place of its value among the tenant's agents: 1 is best, ties share it, NULLs last.",
                "rank_by_messages",
                "rank_by_rating",
                "rank_by_response_time",
                "rank_by_resolution_rate",
            ),
            nothing(
                "same_messages_as_daily",
                f"""
                with daily as ({WINDOWED})
                select mart.tenant_id, window_days, mart.agent_id, sum(daily.messages_sent) as of_days
                from mart
                left join daily
                    on mart.tenant_id = daily.tenant_id and mart.agent_id = daily.agent_id
                    and daily.date between today - cast(window_days as integer) and today - 1
                group by mart.tenant_id, window_days, mart.agent_id
                having any_value(mart.messages_sent) <> coalesce(sum(daily.messages_sent), 0)
                    or any_value(mart.conversations) <> coalesce(sum(daily.conversations), 0)
                """,
                "The window's messages and conversations are those of its days in agent_metrics_daily.",
                "messages_sent",
                "conversations",
            ),
        ],
    ),
    mart(
        "agent_trends_daily",
        key=["tenant_id", "agent_id", "date"],
        fed_by=f"({WINDOWED} where date < today and messages_sent > 0)",
        rebuilt=True,
        expect=[
            counts("conversations"),
            measures("avg_response_time_ms"),
            holds("ratings_from_1_to_5", "coalesce(avg_rating between 1 and 5, true)", "avg_rating"),
            nothing(
                "the_last_7_complete_days",
                f"""
                with today as ({TODAY})
                select tenant_id, agent_id, min(date), max(date), count(*)
                from mart
                left join today using (tenant_id)
                group by tenant_id, agent_id, today
                having max(date) <> today - 1 or min(date) < today - 7
                    or count(*) <> date_diff('day', min(date), max(date)) + 1
                """,
                "Each agent's days end with its tenant's last complete one, without a gap, 7 at most.",
                "date",
            ),
            nothing(
                "same_as_daily",
                f"""
                with daily as ({WINDOWED})
                select mart.*
                from mart
                left join daily
                    on mart.tenant_id = daily.tenant_id and mart.agent_id = daily.agent_id and mart.date = daily.date
                where mart.conversations <> coalesce(daily.conversations, 0)
                    or mart.avg_rating is distinct from daily.avg_rating
                """,
                "Conversations and ratings are those of agent_metrics_daily.",
                "conversations",
                "avg_rating",
            ),
        ],
    ),
)
