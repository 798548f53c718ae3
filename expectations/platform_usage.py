"""platform_usage: how the agent product is used."""

from expectations import (
    COUNTS_END,
    MONEY_END,
    Expectation,
    accepted,
    amounts,
    ascending,
    counts,
    dense,
    each_reconciles,
    fresh,
    holds,
    mart,
    measures,
    nothing,
    rates,
    ratio,
    recent,
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

DOCUMENTS = "staging.stg_platform__documents"
CONVERSATIONS = "staging.stg_platform__conversations"
STARTS = f"{CONVERSATIONS} where event_type = 'conversation.started'"
CALLS = "provider_costs.provider_calls_daily"


def started(relation: str) -> str:
    """Rows of a staging model that belong to a conversation whose start is known."""
    return f"""(
        select * from {relation}
        semi join (select tenant_id, conversation_id from {STARTS}) using (tenant_id, conversation_id)
    )"""


def priced(column: str, resource: str, quantity: str, of: str) -> Expectation:
    """A cost of the day is the quantity of another mart at the resource's price per GB, but for rounding."""
    query = f"""
        with used as (select tenant_id, date, {quantity} / 1e9 as gigabytes from {of} group by tenant_id, date)
        select tenant_id, date, {column}, gigabytes, usd
        from used
        cross join (select usd from reference.resource_prices where resource = '{resource}')
        full join mart using (tenant_id, date)
        where abs(coalesce({column}, 0) - coalesce(gigabytes * usd, 0)) > 0.000001 * greatest(1, coalesce({column}, 0))
    """
    says = f"{column} is the day's use of {of} in GB x the price {resource}."
    return nothing(f"{column}_is_use_at_its_price", query, says, column)


OVERVIEW_COUNTS = ("messages", "conversations", "unique_users", "active_agents", "total_tokens", "api_calls")
OVERVIEW_MEANS = ("avg_response_time_ms", "error_rate", "avg_rating", "cost_usd")


def changes(name: str) -> Expectation:
    """The change from the previous window, in percent; NULL where either is NULL, or the previous is 0."""
    exact = f"100 * cast({name} - previous_{name} as double) / nullif(previous_{name}, 0)"
    condition = f"coalesce(abs({name}_change_pct - {exact}) <= 1e-9 * greatest(1, abs({exact})), {exact} is null)"
    both_null = f"({name}_change_pct is null) = ({exact} is null)"
    columns = (name, f"previous_{name}", f"{name}_change_pct")
    return holds(f"{name}_change", f"{condition} and {both_null}", *columns)


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
            each_reconciles(
                "all_messages_sent",
                {"sum(messages_sent)": "count(*)", "sum(total_tokens)": "sum(tokens_in) + sum(tokens_out)"},
                SENT,
                by=["tenant_id"],
            ),
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
                    and today - daily.date between 1 and window_days
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
    mart(
        "storage_daily",
        key=["tenant_id", "storage_class", "date"],
        fed_by=DOCUMENTS,
        rebuilt=True,
        expect=[
            counts("bytes_added", "bytes_removed", "stored_bytes"),
            accepted("storage_class", "documents", "uploads", "backups"),
            each_reconciles(
                "all_bytes",
                {
                    "sum(bytes_added)": "sum(size_bytes) filter (where event_type = 'document.uploaded')",
                    "sum(bytes_removed)": "sum(size_bytes) filter (where event_type = 'document.deleted')",
                },
                DOCUMENTS,
                by=["tenant_id", "storage_class"],
            ),
            nothing(
                "stored_is_the_running_sum",
                f"""
                select *
                from (
                    select
                        *,
                        sum(bytes_added - bytes_removed) over (
                            partition by tenant_id, storage_class order by date
                        ) as balance
                    from mart
                )
                where stored_bytes <> greatest(balance, 0) and abs(balance) < {COUNTS_END}
                """,
                "stored_bytes is the sum of what was added and removed up to the day, 0 where that is negative.",
                "stored_bytes",
                "bytes_added",
                "bytes_removed",
            ),
            dense("date", by=["tenant_id", "storage_class"], tenant_local=True),
        ],
    ),
    mart(
        "usage_cost_daily",
        key=["tenant_id", "date"],
        fed_by=f"{CALLS} where cost_usd > 0",
        rebuilt=True,
        expect=[
            amounts("llm_cost_usd", "storage_cost_usd", "bandwidth_cost_usd", "total_cost_usd"),
            # Each of the four is rounded by itself.
            holds(
                "total_of_the_three",
                "abs(total_cost_usd - llm_cost_usd - storage_cost_usd - bandwidth_cost_usd) < 0.000002"
                f" or total_cost_usd = {MONEY_END}",
                "total_cost_usd",
                "llm_cost_usd",
                "storage_cost_usd",
                "bandwidth_cost_usd",
            ),
            reconciles(
                "same_llm_cost_as_calls",
                "sum(llm_cost_usd)",
                "sum(cost_usd)",
                CALLS,
                by=["tenant_id", "date"],
                below=MONEY_END,
            ),
            priced("storage_cost_usd", "storage_gb_month", "sum(stored_bytes) / 30", "platform_usage.storage_daily"),
            priced("bandwidth_cost_usd", "bandwidth_gb", "sum(bytes_out)", "platform_usage.platform_metrics_daily"),
            usual_volume("date", "total_cost_usd", at_least=1, tenant_local=True),
        ],
    ),
    mart(
        "conversation_insights_daily",
        key=["tenant_id", "topic", "date"],
        fed_by=STARTS,
        expect=[
            counts("conversations", "ended_conversations", "ratings", "messages_sent"),
            holds(
                "ended_are_conversations",
                "ended_conversations <= conversations and conversations > 0",
                "ended_conversations",
                "conversations",
            ),
            rates("resolution_rate", "handoff_rate"),
            measures("avg_duration_ms", "avg_conversation_length", "avg_response_time_ms"),
            holds(
                "known_where_ended",
                "(ended_conversations > 0) = (resolution_rate is not null)"
                " and (ended_conversations > 0) = (handoff_rate is not null)"
                " and (ended_conversations > 0) = (avg_duration_ms is not null)"
                " and (ended_conversations > 0) = (avg_conversation_length is not null)",
                "ended_conversations",
                "resolution_rate",
                "handoff_rate",
                "avg_duration_ms",
                "avg_conversation_length",
            ),
            holds(
                "known_where_sent",
                "(messages_sent > 0) = (avg_response_time_ms is not null)",
                "messages_sent",
                "avg_response_time_ms",
            ),
            holds(
                "ratings_from_1_to_5",
                "case when ratings = 0 then avg_rating is null else avg_rating between 1 and 5 end",
                "avg_rating",
                "ratings",
            ),
            reconciles(
                "all_conversations", "sum(conversations)", "count(distinct conversation_id)", STARTS, by=["tenant_id"]
            ),
            reconciles(
                "all_ended_conversations",
                "sum(ended_conversations)",
                "count(distinct conversation_id)",
                f"{started(CONVERSATIONS)} where event_type = 'conversation.ended'",
                by=["tenant_id"],
            ),
            reconciles(
                "all_ratings",
                "sum(ratings)",
                "count(*)",
                started("staging.stg_platform__feedback"),
                by=["tenant_id"],
            ),
            reconciles(
                "all_messages_sent",
                "sum(messages_sent)",
                "count(*)",
                f"{started('staging.stg_platform__messages')} where event_type = 'message.sent'",
                by=["tenant_id"],
            ),
            fresh("date", hours=72),
            usual_volume("date", "conversations", tenant_local=True),
        ],
    ),
    mart(
        "usage_peaks",
        key=["tenant_id", "metric", "day_of_week", "hour"],
        fed_by=f"{recent('platform_usage.platform_metrics_daily')} where messages > 0",
        rebuilt=True,
        expect=[
            holds("hours_with_events", "events > 0", "events"),
            rates("share"),
            accepted("metric", "messages", "executions"),
            accepted("day_of_week", *(str(day) for day in range(7))),
            accepted("hour", *(str(hour) for hour in range(24))),
            nothing(
                "shares_of_the_whole",
                """
                select *
                from (select *, sum(events) over (partition by tenant_id, metric) as all_events from mart)
                where coalesce(abs(share - events / all_events) > 1e-9, true)
                """,
                "share is events over all events of the tenant and metric.",
                "share",
                "events",
            ),
            nothing(
                "peaks_are_the_busiest",
                """
                select *
                from (select *, max(events) over (partition by tenant_id, metric) as most_events from mart)
                where is_peak is distinct from (events = most_events)
                """,
                "is_peak marks the hours with the most events of the tenant and metric, and no others.",
                "is_peak",
                "events",
            ),
            reconciles(
                "same_messages_as_days",
                "sum(case when metric = 'messages' then events end)",
                "sum(messages)",
                recent("platform_usage.platform_metrics_daily"),
                by=["tenant_id"],
            ),
            reconciles(
                "same_executions_as_days",
                "sum(case when metric = 'executions' then events end)",
                "sum(total_executions)",
                recent("provider_costs.execution_rollup_daily"),
                by=["tenant_id"],
            ),
        ],
    ),
    mart(
        "platform_overview",
        key=["tenant_id", "window_days"],
        fed_by=EVENTS,
        rebuilt=True,
        expect=[
            counts(*OVERVIEW_COUNTS, *(f"previous_{name}" for name in OVERVIEW_COUNTS), "storage_bytes"),
            amounts("cost_usd", "previous_cost_usd"),
            measures("avg_response_time_ms", "previous_avg_response_time_ms"),
            rates("error_rate", "previous_error_rate"),
            holds(
                "ratings_from_1_to_5",
                "coalesce(avg_rating between 1 and 5, true) and coalesce(previous_avg_rating between 1 and 5, true)",
                "avg_rating",
                "previous_avg_rating",
            ),
            *(changes(name) for name in (*OVERVIEW_COUNTS, *OVERVIEW_MEANS)),
            reconciles(
                "four_rows_a_tenant",
                "count(*)",
                "4 * count(distinct tenant_id)",
                EVENTS,
                by=["tenant_id"],
            ),
            holds("windows_of_1_7_30_and_90_days", "window_days in (1, 7, 30, 90)", "window_days"),
            nothing(
                "longer_windows_hold_shorter_ones",
                """
                select tenant_id, longer.window_days
                from mart as longer
                inner join mart as shorter using (tenant_id)
                where longer.window_days > shorter.window_days
                    and (longer.messages < shorter.messages or longer.unique_users < shorter.unique_users
                        or longer.active_agents < shorter.active_agents or longer.cost_usd < shorter.cost_usd)
                """,
                "Windows end together, so a longer one holds all that a shorter one holds.",
                "messages",
                "unique_users",
                "active_agents",
                "cost_usd",
            ),
            nothing(
                "same_as_daily",
                f"""
                with daily as (
                    select * from platform_usage.platform_metrics_daily left join ({TODAY}) using (tenant_id)
                )
                select mart.tenant_id, mart.window_days, sum(daily.messages) as messages_of_days
                from mart
                left join daily
                    on mart.tenant_id = daily.tenant_id
                    and today - daily.date between 1 and window_days
                group by mart.tenant_id, mart.window_days
                having any_value(mart.messages) <> coalesce(sum(daily.messages), 0)
                    or any_value(mart.conversations) <> coalesce(sum(daily.conversations), 0)
                    or any_value(mart.api_calls) <> coalesce(sum(daily.api_calls), 0)
                    or any_value(mart.unique_users) not between coalesce(max(daily.unique_users), 0)
                        and coalesce(sum(daily.unique_users), 0)
                """,
                "The window's counts are the sums of its days in platform_metrics_daily; its users are within reach.",
                "messages",
                "conversations",
                "api_calls",
                "unique_users",
            ),
            nothing(
                "same_cost_as_daily",
                f"""
                with daily as (select * from platform_usage.usage_cost_daily left join ({TODAY}) using (tenant_id))
                select mart.tenant_id, mart.window_days, sum(daily.total_cost_usd) as cost_of_days
                from mart
                left join daily
                    on mart.tenant_id = daily.tenant_id
                    and today - daily.date between 1 and window_days
                group by mart.tenant_id, mart.window_days
                having any_value(mart.cost_usd) <> coalesce(sum(daily.total_cost_usd), 0)
                """,
                "cost_usd is the sum of the window's days in usage_cost_daily.",
                "cost_usd",
            ),
            nothing(
                "same_bytes_as_daily",
                f"""
                with daily as (select * from platform_usage.storage_daily left join ({TODAY}) using (tenant_id))
                select mart.tenant_id, mart.window_days, sum(daily.stored_bytes) as bytes_of_day
                from mart
                left join daily on mart.tenant_id = daily.tenant_id and daily.date = today - 1
                group by mart.tenant_id, mart.window_days
                having any_value(mart.storage_bytes) <> least(coalesce(sum(daily.stored_bytes), 0), {COUNTS_END})
                """,
                "storage_bytes is what storage_daily has for the last complete day, over all classes of storage.",
                "storage_bytes",
            ),
        ],
    ),
)
