{{ config(
    materialized='incremental',
    incremental_strategy='touched',
    meta={'partition': ['tenant_id', 'conversation_id'], 'date_column': 'started_on'},
) }}

{%- call touched_partitions() %}
    select tenant_id, conversation_id from (
        select tenant_id, conversation_id, load_id, cast(occurred_at as date) as started_on
        from {{ ref('stg_platform__conversations') }}
        union all
        select tenant_id, conversation_id, load_id, cast(occurred_at as date) as started_on
        from {{ ref('stg_platform__messages') }}
        union all
        select tenant_id, conversation_id, load_id, cast(occurred_at as date) as started_on
        from {{ ref('stg_platform__feedback') }}
    ) as events
    where {{ is_new() }}
{%- endcall %}

with

events as (
    select events.*
    from {{ ref('stg_platform__conversations') }} as events
    {{ in_touched_partitions('events') }}
),

messages as (
    select
        messages.tenant_id,
        messages.conversation_id,
        count(messages.response_time_ms) as messages_sent,
        sum(messages.response_time_ms) as response_time_ms,
        max(messages.load_id) as loaded_through,
    from {{ ref('stg_platform__messages') }} as messages
    {{ in_touched_partitions('messages') }}
    where messages.event_type = 'message.sent'
    group by messages.tenant_id, messages.conversation_id
),

feedback as (
    select
        feedback.tenant_id,
        feedback.conversation_id,
        count(*) as ratings,
        sum(feedback.rating) as rating_points,
        max(feedback.load_id) as loaded_through,
    from {{ ref('stg_platform__feedback') }} as feedback
    {{ in_touched_partitions('feedback') }}
    group by feedback.tenant_id, feedback.conversation_id
),

conversations as (
    select
        tenant_id,
        conversation_id,
        {{ first_row(['occurred_at', 'topic'], "event_type = 'conversation.started'") }} as started,
        {{ first_row(
            ['topic', 'duration_ms', 'message_count', 'resolved', 'handed_off'], "event_type = 'conversation.ended'"
        ) }} as ended,
        max(load_id) as loaded_through,
    from events
    group by tenant_id, conversation_id
),

starts as (
    select
        *,
        {{ of_row('started', 'occurred_at') }} as occurred_at,
    from conversations
    where started is not null
)

select
    starts.tenant_id,
    starts.conversation_id,
    {{ local_date('starts') }} as started_on,
    {{ conversation_topic('starts.started', 'starts.ended') }} as topic,
    {{ of_row('starts.ended', 'duration_ms') }} as duration_ms,
    {{ of_row('starts.ended', 'message_count') }} as message_count,
    {{ of_row('starts.ended', 'resolved') }} as is_resolved,
    {{ of_row('starts.ended', 'handed_off') }} as is_handed_off,
    coalesce(messages.messages_sent, 0) as messages_sent,
    coalesce(messages.response_time_ms, 0) as response_time_ms,
    coalesce(feedback.ratings, 0) as ratings,
    coalesce(feedback.rating_points, 0) as rating_points,
    greatest(
        starts.loaded_through, coalesce(messages.loaded_through, 0), coalesce(feedback.loaded_through, 0)
    ) as loaded_through,
from starts
{{ tenant_calendar('starts') }}
left join messages
    on starts.tenant_id = messages.tenant_id
    and starts.conversation_id = messages.conversation_id
left join feedback
    on starts.tenant_id = feedback.tenant_id
    and starts.conversation_id = feedback.conversation_id
