{{ config(
    materialized='incremental', incremental_strategy='touched', meta={'partition': ['tenant_id', 'topic', 'date']},
) }}

{%- call touched_partitions() %}
    select tenant_id, topic, date from ({{ conversation_days_of_new_events() }}) as found
{%- endcall %}

with

started as (
    select
        *,
        started_on as date,
    from {{ ref('int_conversations') }}
),

conversations as (
    select started.*
    from started
    {{ in_touched_partitions('started') }}
),

measured as (
    select
        tenant_id,
        topic,
        date,
        count(*) as conversations,
        count(duration_ms) as ended_conversations,
        {{ count_where('is_resolved') }} as resolved_conversations,
        {{ count_where('is_handed_off') }} as handed_off_conversations,
        avg(duration_ms) as avg_duration_ms,
        avg(message_count) as avg_conversation_length,
        {{ sum_count('ratings') }} as ratings,
        sum(rating_points) as rating_points,
        {{ sum_count('messages_sent') }} as messages_sent,
        sum(response_time_ms) as response_time_ms,
        max(loaded_through) as loaded_through,
    from conversations
    group by tenant_id, topic, date
)

select
    tenant_id,
    topic,
    date,
    conversations,
    ended_conversations,
    avg_duration_ms,
    avg_conversation_length,
    {{ rate('resolved_conversations', 'ended_conversations') }} as resolution_rate,
    {{ rate('handed_off_conversations', 'ended_conversations') }} as handoff_rate,
    ratings,
    {{ rate('rating_points', 'ratings') }} as avg_rating,
    messages_sent,
    {{ rate('response_time_ms', 'messages_sent') }} as avg_response_time_ms,
    loaded_through,
from measured
