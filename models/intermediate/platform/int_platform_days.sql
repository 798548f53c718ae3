{{ config(
    materialized='incremental', incremental_strategy='touched', meta={'partition': ['tenant_id', 'date']},
) }}

{%- call touched_partitions() %}
    select tenant_id, date from ({{ new_local_dates(ref('int_platform_events')) }}) as found
{%- endcall %}

with

events as (
    {{ by_local_date(ref('int_platform_events'), ['event_type', 'load_id']) }}
),

messages as (
    {{ by_local_date(
        ref('stg_platform__messages'),
        ['event_type', 'agent_id', 'response_time_ms', 'tokens_in', 'tokens_out', 'errored'],
    ) }}
),

feedback as (
    {{ by_local_date(ref('stg_platform__feedback'), ['rating']) }}
),

api_calls as (
    {{ by_local_date(ref('stg_platform__api_calls'), ['status_code', 'bytes_out']) }}
),

event_measures as (
    select
        tenant_id,
        date,
        count(*) as events,
        {{ count_where("event_type = 'message.received'") }} as messages_received,
        {{ count_where("event_type = 'conversation.started'") }} as conversations,
        {{ count_where("event_type = 'workflow.executed'") }} as workflows_executed,
        {{ count_where("event_type = 'workflow.failed'") }} as workflows_failed,
        {{ count_where("event_type = 'search.performed'") }} as searches,
        {{ count_where("event_type = 'user.signed_up'") }} as signups,
        {{ count_where("event_type = 'user.logged_in'") }} as logins,
        {{ count_where("event_type = 'user.invited'") }} as invites,
        {{ count_where("event_type = 'document.uploaded'") }} as documents_uploaded,
        max(load_id) as loaded_through,
    from events
    group by tenant_id, date
),

message_measures as (
    select
        tenant_id,
        date,
        count(*) as messages_sent,
        count(distinct agent_id) as active_agents,
        {{ sum_count('tokens_in') }} as tokens_in,
        {{ sum_count('tokens_out') }} as tokens_out,
        {{ sum_count('tokens_in', 'tokens_out') }} as total_tokens,
        sum(response_time_ms) as response_time_ms,
        {{ percentiles('response_time_ms', [0.5, 0.95, 0.99]) }} as response_time_percentiles,
        {{ count_where('errored') }} as errors,
    from messages
    where event_type = 'message.sent'
    group by tenant_id, date
),

feedback_measures as (
    select
        tenant_id,
        date,
        count(*) as ratings,
        {{ sum_count('rating') }} as rating_points,
    from feedback
    group by tenant_id, date
),

api_measures as (
    select
        tenant_id,
        date,
        count(*) as api_calls,
        {{ count_where('status_code >= 500') }} as api_errors,
        {{ sum_count('bytes_out') }} as bytes_out,
    from api_calls
    group by tenant_id, date
)

select
    event_measures.tenant_id,
    event_measures.date,
    event_measures.events,
    coalesce(message_measures.messages_sent, 0) as messages_sent,
    event_measures.messages_received,
    event_measures.conversations,
    coalesce(message_measures.active_agents, 0) as active_agents,
    coalesce(message_measures.tokens_in, 0) as tokens_in,
    coalesce(message_measures.tokens_out, 0) as tokens_out,
    coalesce(message_measures.total_tokens, 0) as total_tokens,
    coalesce(message_measures.response_time_ms, 0) as response_time_ms,
    {{ percentile('message_measures.response_time_percentiles', 1) }} as p50_response_time_ms,
    {{ percentile('message_measures.response_time_percentiles', 2) }} as p95_response_time_ms,
    {{ percentile('message_measures.response_time_percentiles', 3) }} as p99_response_time_ms,
    coalesce(message_measures.errors, 0) as errors,
    coalesce(feedback_measures.ratings, 0) as ratings,
    coalesce(feedback_measures.rating_points, 0) as rating_points,
    event_measures.workflows_executed,
    event_measures.workflows_failed,
    coalesce(api_measures.api_calls, 0) as api_calls,
    coalesce(api_measures.api_errors, 0) as api_errors,
    coalesce(api_measures.bytes_out, 0) as bytes_out,
    event_measures.searches,
    event_measures.signups,
    event_measures.logins,
    event_measures.invites,
    event_measures.documents_uploaded,
    event_measures.loaded_through,
from event_measures
left join message_measures
    on event_measures.tenant_id = message_measures.tenant_id
    and event_measures.date = message_measures.date
left join feedback_measures
    on event_measures.tenant_id = feedback_measures.tenant_id
    and event_measures.date = feedback_measures.date
left join api_measures
    on event_measures.tenant_id = api_measures.tenant_id
    and event_measures.date = api_measures.date
