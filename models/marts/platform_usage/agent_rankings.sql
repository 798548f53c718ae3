{{ config(
    materialized='incremental', incremental_strategy='touched', meta={'partition': ['tenant_id'], 'boundary': 'local_day'},
) }}

{%- call touched_partitions() %}
    select tenant_id from ({{ tenants_of_changed_windows(ref('int_agent_days'), days_back=30) }}) as found
{%- endcall %}

with

windows as (
    {{ tenant_windows(ref('int_agent_days'), [7, 30]) }}
),

measured as (
    select
        windows.tenant_id,
        windows.window_days,
        days.agent_id,
        {{ sum_count('days.conversations') }} as conversations,
        {{ sum_count('days.messages_sent') }} as messages_sent,
        {{ rate('sum(days.response_time_ms)', 'sum(days.messages_sent)') }} as avg_response_time_ms,
        {{ rate('sum(days.rating_points)', 'sum(days.ratings)') }} as avg_rating,
        {{ rate('sum(days.resolved_conversations)', 'sum(days.ended_conversations)') }} as resolution_rate,
        {{ rate('sum(days.errors)', 'sum(days.messages_sent)') }} as error_rate,
        max(days.loaded_through) as loaded_through,
    from {{ ref('int_agent_days') }} as days
    inner join windows
        on days.tenant_id = windows.tenant_id
        and days.date >= windows.first_date
        and days.date < windows.end_date
    -- a message to an agent counts in none of the columns
    where days.conversations + days.messages_sent + days.ratings + days.ended_conversations > 0
    group by windows.tenant_id, windows.window_days, days.agent_id
)

select
    tenant_id,
    window_days,
    agent_id,
    conversations,
    messages_sent,
    avg_response_time_ms,
    avg_rating,
    resolution_rate,
    error_rate,
    rank() over (partition by tenant_id, window_days order by messages_sent desc) as rank_by_messages,
    rank() over (partition by tenant_id, window_days order by avg_rating desc nulls last) as rank_by_rating,
    -- a DOUBLE sum shows its order in the last digits: they decide no rank
    rank() over (
        partition by tenant_id, window_days order by round(avg_response_time_ms, 6) asc nulls last
    ) as rank_by_response_time,
    rank() over (
        partition by tenant_id, window_days order by resolution_rate desc nulls last
    ) as rank_by_resolution_rate,
    loaded_through,
from measured
