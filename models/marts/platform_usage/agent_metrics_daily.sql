{{ config(
    materialized='incremental', incremental_strategy='touched', meta={'partition': ['tenant_id', 'date']},
) }}

{%- call touched_partitions() %}
    select tenant_id, date from {{ ref('int_agent_days') }} where {{ is_new('loaded_through') }}
{%- endcall %}

with

days as (
    select days.*
    from {{ ref('int_agent_days') }} as days
    {{ in_touched_partitions('days') }}
)

select
    tenant_id,
    agent_id,
    date,
    conversations,
    messages_sent,
    unique_users,
    {{ rate('response_time_ms', 'messages_sent') }} as avg_response_time_ms,
    p95_response_time_ms,
    errors,
    {{ rate('errors', 'messages_sent') }} as error_rate,
    total_tokens,
    {{ rate('rating_points', 'ratings') }} as avg_rating,
    ended_conversations,
    resolved_conversations,
    {{ rate('resolved_conversations', 'ended_conversations') }} as resolution_rate,
    handoffs,
    {{ rate('handoffs', 'ended_conversations') }} as handoff_rate,
    {{ rate('conversation_messages', 'ended_conversations') }} as avg_conversation_length,
    loaded_through,
from days
