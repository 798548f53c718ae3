"""platform_usage as bare SQL; executions and provider_calls_daily are those of provider_costs."""

from benchmarks.bare.parts import Mart, Step

EVENTS = {
    # All of platform's events in one narrow table, with their day and hour where the tenant is.
    "platform_events": """
select
    e.load_id, e.event_id, e.event_type, e.occurred_at, date_trunc('week', e.occurred_at)::date as week, e.tenant_id,
    e.user_id, e.agent_id, local_time(e.occurred_at, t.timezone, z) as local_at, local_at::date as date,
    e.conversation_id, e.topic, e.duration_ms, e.message_count, e.resolved, e.handed_off, e.response_time_ms,
    e.tokens_in, e.tokens_out, e.errored, e.rating, e.size_bytes, e.storage_class, e.status_code, e.bytes_out,
    e.feature, e.agent_name, e.version
from {platform} as e
left join tenants as t on e.tenant_id = t.tenant_id
left join zone_days as z on t.timezone = z.timezone and e.occurred_at::date = z.day""",
}

DAY = ("tenant_id", "date")
NEW_DAYS = "select tenant_id, date from new_platform_events"

#: The windows of some lengths that end with each tenant's last complete day.
WINDOWS = """
windows as (
    select
        tenant_id, days as window_days, back, coalesce(today, {as_of}::date) - days * (back + 1) as first_date,
        coalesce(today, {as_of}::date) - days * back as end_date
    from (select distinct tenant_id from platform_days) left join clock using (tenant_id)
    cross join (select unnest([%s]) as days)
    cross join (select unnest([0, 1]) as back)
)"""

STEPS = (
    Step(
        "platform_days",
        """
select
    tenant_id, date, count(*) filter (where event_type = 'message.sent') as messages_sent,
    count(*) filter (where event_type = 'message.received') as messages_received,
    count(*) filter (where event_type = 'conversation.started') as conversations,
    count(distinct agent_id) filter (where event_type = 'message.sent') as active_agents,
    coalesce(sum(tokens_in), 0)::bigint as tokens_in, coalesce(sum(tokens_out), 0)::bigint as tokens_out,
    coalesce(sum(response_time_ms), 0) as response_time_ms,
    quantile_cont(response_time_ms, [0.5, 0.95, 0.99]) as q, count(*) filter (where errored) as errors,
    count(rating) as ratings, coalesce(sum(rating), 0) as rating_points,
    count(*) filter (where event_type = 'workflow.executed') as workflows_executed,
    count(*) filter (where event_type = 'workflow.failed') as workflows_failed,
    count(*) filter (where event_type = 'api.called') as api_calls,
    count(*) filter (where status_code >= 500) as api_errors,
    coalesce(sum(bytes_out), 0)::bigint as bytes_out,
    count(*) filter (where event_type = 'search.performed') as searches,
    count(*) filter (where event_type = 'user.signed_up') as signups,
    count(*) filter (where event_type = 'user.logged_in') as logins,
    count(*) filter (where event_type = 'user.invited') as invites,
    count(*) filter (where event_type = 'document.uploaded') as documents_uploaded, max(load_id) as loaded_through
from platform_events as e {only} group by tenant_id, date""",
        DAY,
        NEW_DAYS,
    ),
    Step(
        "user_days",
        """
select distinct tenant_id, date, user_id from platform_events as e {only} where user_id is not null""",
        DAY,
        NEW_DAYS,
    ),
    Step(
        "agent_days",
        """
select
    tenant_id, date, agent_id, count(*) filter (where event_type = 'conversation.started') as conversations,
    count(*) filter (where event_type = 'message.sent') as messages_sent, count(distinct user_id) as unique_users,
    coalesce(sum(response_time_ms), 0) as response_time_ms, quantile_cont(response_time_ms, 0.95) as p95,
    count(*) filter (where errored) as errors,
    (coalesce(sum(tokens_in), 0) + coalesce(sum(tokens_out), 0))::bigint as total_tokens, count(rating) as ratings,
    coalesce(sum(rating), 0) as rating_points, count(*) filter (where event_type = 'conversation.ended') as ended,
    count(*) filter (where resolved) as resolved, count(*) filter (where handed_off) as handoffs,
    coalesce(sum(message_count), 0) as conversation_messages, max(load_id) as loaded_through
from platform_events as e {only}
where agent_id is not null and event_type in (
    'message.sent', 'message.received', 'conversation.started', 'conversation.ended', 'feedback.submitted'
)
group by tenant_id, date, agent_id""",
        DAY,
        NEW_DAYS,
    ),
    Step(
        "conversations",
        """
select
    tenant_id, conversation_id, started.date as date, coalesce(started.topic, ended.topic, 'unknown') as topic,
    ended.duration_ms as duration_ms, ended.message_count as message_count, ended.resolved as resolved,
    ended.handed_off as handed_off, * exclude (tenant_id, conversation_id, started, ended)
from (
    select
        tenant_id, conversation_id,
        arg_min({'date': date, 'topic': topic}, {'a': occurred_at, 'b': event_id})
            filter (where event_type = 'conversation.started') as started,
        arg_min(
            {
                'topic': topic, 'duration_ms': duration_ms, 'message_count': message_count, 'resolved': resolved,
                'handed_off': handed_off
            },
            {'a': occurred_at, 'b': event_id}
        ) filter (where event_type = 'conversation.ended') as ended,
        count(response_time_ms) as messages_sent, sum(response_time_ms) as response_time_ms, count(rating) as ratings,
        sum(rating) as rating_points, max(load_id) as loaded_through
    from platform_events as e {only} where conversation_id is not null
    group by tenant_id, conversation_id
)
where started is not null""",
        ("tenant_id", "conversation_id"),
        "select tenant_id, conversation_id from new_platform_events where conversation_id is not null",
    ),
    Step(
        "storage_changes",
        """
select
    tenant_id, storage_class, date,
    coalesce(sum(size_bytes) filter (where event_type = 'document.uploaded'), 0) as added,
    coalesce(sum(size_bytes) filter (where event_type = 'document.deleted'), 0) as removed, max(load_id) as loaded
from platform_events as e {only} where storage_class is not null group by tenant_id, storage_class, date""",
        DAY,
        "select tenant_id, date from new_platform_events where storage_class is not null",
    ),
    Step(
        "usage_hours",
        """
select
    tenant_id, date, 'messages' as metric, hour(local_at) as hour, count(*) as events, max(load_id) as loaded_through
from platform_events as e {only} where event_type in ('message.sent', 'message.received') group by all
union all
select tenant_id, date, 'executions', hour(local_at), count(*), max(load_id)
from (
    select e.load_id, e.tenant_id, e.date, local_time(e.occurred_at, t.timezone, z) as local_at
    from (from executions as e {only}) as e
    left join tenants as t on e.tenant_id = t.tenant_id
    left join zone_days as z on t.timezone = z.timezone and e.occurred_at::date = z.day
)
group by all""",
        DAY,
        f"{NEW_DAYS} where event_type like 'message.%' union all select tenant_id, date from new_executions",
    ),
)

MARTS = (
    Mart(
        "platform_usage",
        "agents",
        ("tenant_id", "agent_id"),
        """
select
    tenant_id, agent_id,
    arg_max(agent_name, {'a': occurred_at, 'b': event_id}) filter (where event_type = 'agent.created') as agent_name,
    min(occurred_at) filter (where event_type = 'agent.created') as created_at,
    max(occurred_at) filter (where event_type = 'agent.updated') as updated_at,
    max(occurred_at) filter (where event_type = 'agent.deployed') as deployed_at,
    max(occurred_at) filter (where event_type = 'agent.deleted') as deleted_at,
    arg_max(version, {'a': occurred_at, 'b': event_id}) filter (where event_type = 'agent.deployed') as version,
    max(load_id) as loaded_through
from platform_events as e {only} where event_type like 'agent.%' and agent_id is not null
group by tenant_id, agent_id""",
        ("tenant_id", "agent_id"),
        "select tenant_id, agent_id from new_platform_events where event_type like 'agent.%' and agent_id is not null",
    ),
    Mart(
        "platform_usage",
        "platform_metrics_daily",
        DAY,
        """
select
    tenant_id, date, messages_sent + messages_received as messages, messages_sent, conversations,
    coalesce(unique_users, 0) as unique_users, active_agents, tokens_in, tokens_out,
    tokens_in + tokens_out as total_tokens, response_time_ms / nullif(messages_sent, 0) as avg_response_time_ms,
    q[1] as p50_response_time_ms, q[2] as p95_response_time_ms, q[3] as p99_response_time_ms, errors,
    errors / nullif(messages_sent, 0) as error_rate, rating_points / nullif(ratings, 0) as avg_rating, ratings,
    workflows_executed + workflows_failed as workflow_executions, workflows_failed as workflow_failures, api_calls,
    api_errors, bytes_out, searches, signups, logins, invites, documents_uploaded, loaded_through
from platform_days as e {only}
left join (
    select tenant_id, date, count(*) as unique_users from user_days as e {only} group by tenant_id, date
) using (tenant_id, date)""",
        DAY,
        NEW_DAYS,
    ),
    Mart(
        "platform_usage",
        "agent_metrics_daily",
        ("tenant_id", "agent_id", "date"),
        """
select
    tenant_id, agent_id, date, conversations, messages_sent, unique_users,
    response_time_ms / nullif(messages_sent, 0) as avg_response_time_ms, p95 as p95_response_time_ms, errors,
    errors / nullif(messages_sent, 0) as error_rate, total_tokens, rating_points / nullif(ratings, 0) as avg_rating,
    ended as ended_conversations, resolved as resolved_conversations, resolved / nullif(ended, 0) as resolution_rate,
    handoffs, handoffs / nullif(ended, 0) as handoff_rate,
    conversation_messages / nullif(ended, 0) as avg_conversation_length, loaded_through
from agent_days as e {only}""",
        DAY,
        NEW_DAYS,
    ),
    Mart(
        "platform_usage",
        "conversation_insights_daily",
        ("tenant_id", "topic", "date"),
        """
select
    tenant_id, topic, date, count(*) as conversations, count(duration_ms) as ended_conversations,
    avg(duration_ms) as avg_duration_ms, avg(message_count) as avg_conversation_length,
    count(*) filter (where resolved) / nullif(count(duration_ms), 0) as resolution_rate,
    count(*) filter (where handed_off) / nullif(count(duration_ms), 0) as handoff_rate,
    sum(ratings)::bigint as ratings, sum(rating_points) / nullif(sum(ratings), 0) as avg_rating,
    sum(messages_sent)::bigint as messages_sent, sum(response_time_ms) / nullif(sum(messages_sent), 0)
        as avg_response_time_ms,
    max(loaded_through) as loaded_through
from conversations as e {only} group by tenant_id, topic, date""",
        ("tenant_id", "topic", "date"),
        "select tenant_id, topic, date from conversations semi join touched_conversations"
        " using (tenant_id, conversation_id)",
    ),
    Mart(
        "platform_usage",
        "storage_daily",
        ("tenant_id", "storage_class", "date"),
        """
with dense as (
    select tenant_id, storage_class, unnest(generate_series(first_day, last_day, interval 1 day))::date as date
    from (
        select
            tenant_id, storage_class, min(date)::timestamp as first_day,
            greatest(max(date), any_value(coalesce(today, {as_of}::date)))::timestamp as last_day
        from storage_changes left join clock using (tenant_id) group by all
    )
)

select
    tenant_id, storage_class, date, coalesce(added, 0)::bigint as bytes_added,
    coalesce(removed, 0)::bigint as bytes_removed, greatest(sum(added - removed) over w, 0)::bigint as stored_bytes,
    max(loaded) over w as loaded_through
from dense
left join storage_changes using (tenant_id, storage_class, date)
left join clock using (tenant_id)
window w as (partition by tenant_id, storage_class order by date)
qualify added is not null or date <= coalesce(today, {as_of}::date)""",
    ),
    Mart(
        "platform_usage",
        "usage_cost_daily",
        DAY,
        """
with used as (
    select tenant_id, date, sum(llm) as llm, sum(stored) as stored, sum(bytes) as bytes, max(loaded) as loaded_through
    from (
        select tenant_id, date, micros(cost_usd) as llm, 0 as stored, 0 as bytes, loaded_through as loaded
        from provider_calls_daily
        union all
        select tenant_id, date, 0, stored_bytes, 0, loaded_through from storage_daily
        union all
        select tenant_id, date, 0, 0, bytes_out, loaded_through from platform_days
    )
    group by all
),

-- In parts of a micro-dollar: 30 x 10^9 to one.
costed as (
    select
        tenant_id, date, llm::hugeint * 30000000000 as llm,
        stored::hugeint * (select micros(usd) from resource_prices where resource = 'storage_gb_month') as stored,
        bytes::hugeint * 30 * (select micros(usd) from resource_prices where resource = 'bandwidth_gb') as sent,
        loaded_through
    from used
)

select
    tenant_id, date, dollars(half_up(llm, 30000000000)) as llm_cost_usd,
    dollars(half_up(stored, 30000000000)) as storage_cost_usd,
    dollars(half_up(sent, 30000000000)) as bandwidth_cost_usd,
    dollars(half_up(llm + stored + sent, 30000000000)) as total_cost_usd, loaded_through
from costed where llm + stored + sent > 0""",
    ),
    Mart(
        "platform_usage",
        "platform_overview",
        ("tenant_id", "window_days"),
        f"""
with {WINDOWS % "1, 7, 30, 90"},

daily as (
    select
        tenant_id, window_days, back, sum(messages_sent + messages_received)::bigint as messages,
        sum(conversations)::bigint as conversations, sum(tokens_in + tokens_out)::bigint as total_tokens,
        sum(api_calls)::bigint as api_calls,
        sum(response_time_ms) / nullif(sum(messages_sent), 0) as avg_response_time_ms,
        sum(errors) / nullif(sum(messages_sent), 0) as error_rate,
        sum(rating_points) / nullif(sum(ratings), 0) as avg_rating,
        max(loaded_through) as loaded
    from windows inner join platform_days using (tenant_id) where date >= first_date and date < end_date group by all
),

users as (
    select tenant_id, window_days, back, count(distinct user_id) as unique_users
    from windows inner join user_days using (tenant_id) where date >= first_date and date < end_date group by all
),

agents_seen as (
    select tenant_id, window_days, back, count(distinct agent_id) as active_agents
    from windows inner join agent_days using (tenant_id)
    where date >= first_date and date < end_date and messages_sent > 0 group by all
),

costs as (
    select tenant_id, window_days, back, sum(total_cost_usd)::decimal(18, 6) as cost_usd, max(loaded_through) as loaded
    from windows inner join usage_cost_daily using (tenant_id) where date >= first_date and date < end_date group by all
),

stored as (
    select tenant_id, window_days, sum(stored_bytes)::bigint as storage_bytes, max(loaded_through) as loaded
    from windows inner join storage_daily using (tenant_id) where back = 0 and date = end_date - 1 group by all
),

measured as (
    select
        tenant_id, window_days, back, coalesce(messages, 0) as messages, coalesce(conversations, 0) as conversations,
        coalesce(unique_users, 0) as unique_users, coalesce(active_agents, 0) as active_agents,
        coalesce(total_tokens, 0) as total_tokens, coalesce(api_calls, 0) as api_calls, avg_response_time_ms,
        error_rate,
        avg_rating, coalesce(cost_usd, 0)::decimal(18, 6) as cost_usd, greatest(d.loaded, c.loaded) as loaded
    from windows
    left join daily as d using (tenant_id, window_days, back)
    left join users using (tenant_id, window_days, back)
    left join agents_seen using (tenant_id, window_days, back)
    left join costs as c using (tenant_id, window_days, back)
)

select
    tenant_id, window_days::bigint as window_days,
    columns(m.* exclude (tenant_id, window_days, back, loaded)),
    columns(p.* exclude (tenant_id, window_days, back, loaded)) as 'previous_\\0',
    {
            ", ".join(
                f"100 * (m.{name} - p.{name})::double / nullif(p.{name}, 0) as {name}_change_pct"
                for name in (
                    "messages",
                    "conversations",
                    "unique_users",
                    "active_agents",
                    "total_tokens",
                    "api_calls",
                    "avg_response_time_ms",
                    "error_rate",
                    "avg_rating",
                    "cost_usd",
                )
            )
        },
    coalesce(storage_bytes, 0) as storage_bytes, greatest(f.loaded, m.loaded, p.loaded, s.loaded) as loaded_through
from measured as m
inner join measured as p using (tenant_id, window_days)
inner join (select tenant_id, min(loaded_through) as loaded from platform_days group by all) as f using (tenant_id)
left join stored as s using (tenant_id, window_days)
where m.back = 0 and p.back = 1""",
    ),
    Mart(
        "platform_usage",
        "agent_rankings",
        ("tenant_id", "window_days", "agent_id"),
        f"""
with {WINDOWS % "7, 30"}

select
    tenant_id, window_days::bigint as window_days, agent_id, sum(conversations)::bigint as conversations,
    sum(messages_sent)::bigint as messages_sent,
    sum(response_time_ms) / nullif(sum(messages_sent), 0) as avg_response_time_ms,
    sum(rating_points) / nullif(sum(ratings), 0) as avg_rating,
    sum(resolved) / nullif(sum(ended), 0) as resolution_rate,
    sum(errors) / nullif(sum(messages_sent), 0) as error_rate,
    rank() over (w order by sum(messages_sent) desc) as rank_by_messages,
    rank() over (w order by avg_rating desc nulls last) as rank_by_rating,
    rank() over (w order by round(avg_response_time_ms, 6) nulls last) as rank_by_response_time,
    rank() over (w order by resolution_rate desc nulls last) as rank_by_resolution_rate,
    max(loaded_through) as loaded_through
from windows inner join agent_days using (tenant_id)
where back = 0 and date >= first_date and date < end_date and conversations + messages_sent + ratings + ended > 0
group by tenant_id, window_days, agent_id
window w as (partition by tenant_id, window_days)""",
    ),
    Mart(
        "platform_usage",
        "agent_trends_daily",
        ("tenant_id", "agent_id", "date"),
        """
with days as (
    select *, min(date) over w as first_day, first_value(loaded_through) over (w order by date) as first_loaded
    from agent_days where conversations + messages_sent + ratings > 0
    window w as (partition by tenant_id, agent_id)
),

dense as (
    select tenant_id, agent_id, coalesce(today, {as_of}::date) - back as date, first_loaded
    from (select distinct tenant_id, agent_id, first_day, first_loaded from days)
    left join clock using (tenant_id)
    cross join (select unnest(range(1, 8))::int as back)
    where first_day <= coalesce(today, {as_of}::date) - back
)

select
    tenant_id, agent_id, date, coalesce(conversations, 0) as conversations,
    response_time_ms / nullif(messages_sent, 0) as avg_response_time_ms,
    rating_points / nullif(ratings, 0) as avg_rating,
    coalesce(loaded_through, dense.first_loaded) as loaded_through
from dense left join days using (tenant_id, agent_id, date)""",
    ),
    Mart(
        "platform_usage",
        "usage_peaks",
        ("tenant_id", "metric", "day_of_week", "hour"),
        """
select
    tenant_id, metric, (isodow(date) - 1)::varchar as day_of_week, hour::varchar as hour, sum(events)::bigint as events,
    sum(events) / sum(sum(events)) over w as share, sum(events) = max(sum(events)) over w as is_peak,
    max(max(loaded_through)) over w as loaded_through
from usage_hours left join clock using (tenant_id)
where date >= coalesce(today, {as_of}::date) - 28 and date < coalesce(today, {as_of}::date)
group by tenant_id, metric, day_of_week, hour
window w as (partition by tenant_id, metric)""",
    ),
)
