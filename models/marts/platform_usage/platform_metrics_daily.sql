{{ config(
    materialized='incremental', incremental_strategy='touched', meta={'partition': ['tenant_id', 'date']},
) }}

{%- call touched_partitions() %}
    select tenant_id, date from {{ ref('int_platform_days') }} where {{ is_new('loaded_through') }}
{%- endcall %}

with

days as (
    select days.*
    from {{ ref('int_platform_days') }} as days
    {{ in_touched_partitions('days') }}
),

user_days as (
    select user_days.*
    from {{ ref('int_platform_user_days') }} as user_days
    {{ in_touched_partitions('user_days') }}
),

users as (
    select
        tenant_id,
        date,
        count(*) as unique_users,
    from user_days
    group by tenant_id, date
)

select
    days.tenant_id,
    days.date,
    days.messages_sent + days.messages_received as messages,
    days.messages_sent,
    days.conversations,
    coalesce(users.unique_users, 0) as unique_users,
    days.active_agents,
    days.tokens_in,
    days.tokens_out,
    days.total_tokens,
    {{ rate('days.response_time_ms', 'days.messages_sent') }} as avg_response_time_ms,
    days.p50_response_time_ms,
    days.p95_response_time_ms,
    days.p99_response_time_ms,
    days.errors,
    {{ rate('days.errors', 'days.messages_sent') }} as error_rate,
    {{ rate('days.rating_points', 'days.ratings') }} as avg_rating,
    days.ratings,
    days.workflows_executed + days.workflows_failed as workflow_executions,
    days.workflows_failed as workflow_failures,
    days.api_calls,
    days.api_errors,
    days.bytes_out,
    days.searches,
    days.signups,
    days.logins,
    days.invites,
    days.documents_uploaded,
    days.loaded_through,
from days
left join users
    on days.tenant_id = users.tenant_id
    and days.date = users.date
