{{ config(
    materialized='incremental', incremental_strategy='touched', meta={'partition': ['tenant_id', 'date']},
) }}

{%- call touched_partitions() %}
    select tenant_id, date from {{ ref('int_platform_days') }} where {{ is_new('loaded_through') }}
{%- endcall %}

with

messages as (
    {{ by_local_date(
        ref('stg_platform__messages'),
        [
            'agent_id', 'user_id', 'event_type', 'response_time_ms', 'tokens_in', 'tokens_out', 'errored', 'load_id',
        ],
    ) }}
),

conversations as (
    {{ by_local_date(
        ref('stg_platform__conversations'),
        ['agent_id', 'user_id', 'event_type', 'message_count', 'resolved', 'handed_off', 'load_id'],
    ) }}
),

feedback as (
    {{ by_local_date(ref('stg_platform__feedback'), ['agent_id', 'user_id', 'event_type', 'rating', 'load_id']) }}
),

-- What each event says of its agent's day, NULL where it says nothing.
facts as (
    select
        tenant_id,
        date,
        agent_id,
        user_id,
        event_type,
        response_time_ms,
        tokens_in,
        tokens_out,
        errored,
        cast(null as bigint) as message_count,
        cast(null as boolean) as resolved,
        cast(null as boolean) as handed_off,
        cast(null as integer) as rating,
        load_id,
    from messages
    union all
    select
        tenant_id,
        date,
        agent_id,
        user_id,
        event_type,
        null as response_time_ms,
        null as tokens_in,
        null as tokens_out,
        null as errored,
        message_count,
        resolved,
        handed_off,
        null as rating,
        load_id,
    from conversations
    union all
    select
        tenant_id,
        date,
        agent_id,
        user_id,
        event_type,
        null as response_time_ms,
        null as tokens_in,
        null as tokens_out,
        null as errored,
        null as message_count,
        null as resolved,
        null as handed_off,
        rating,
        load_id,
    from feedback
),

measured as (
    select
        tenant_id,
        date,
        agent_id,
        {{ count_where("event_type = 'conversation.started'") }} as conversations,
        {{ count_where("event_type = 'message.sent'") }} as messages_sent,
        count(distinct user_id) as unique_users,
        coalesce(sum(response_time_ms), 0) as response_time_ms,
        {{ percentiles('response_time_ms', [0.95]) }} as response_time_percentiles,
        {{ count_where('errored') }} as errors,
        {{ sum_count('tokens_in', 'tokens_out') }} as total_tokens,
        count(rating) as ratings,
        {{ sum_count('rating') }} as rating_points,
        {{ count_where("event_type = 'conversation.ended'") }} as ended_conversations,
        {{ count_where('resolved') }} as resolved_conversations,
        {{ count_where('handed_off') }} as handoffs,
        {{ sum_count('message_count') }} as conversation_messages,
        max(load_id) as loaded_through,
    from facts
    where agent_id is not null
    group by tenant_id, date, agent_id
)

select
    tenant_id,
    date,
    agent_id,
    conversations,
    messages_sent,
    unique_users,
    response_time_ms,
    {{ percentile('response_time_percentiles', 1) }} as p95_response_time_ms,
    errors,
    total_tokens,
    ratings,
    rating_points,
    ended_conversations,
    resolved_conversations,
    handoffs,
    conversation_messages,
    loaded_through,
from measured
