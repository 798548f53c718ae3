{{ config(
    materialized='incremental', incremental_strategy='touched', meta={'partition': ['tenant_id'], 'boundary': 'local_day'},
) }}

{%- set metrics = [
    'messages', 'conversations', 'unique_users', 'active_agents', 'total_tokens', 'api_calls', 'avg_response_time_ms',
    'error_rate', 'avg_rating', 'cost_usd',
] %}

{#- A document is stored, and paid for, on all later days: days before the windows count too. -#}
{%- call touched_partitions() %}
    select tenant_id from ({{ tenants_of_changed_windows(ref('int_platform_days')) }}) as found
    union all
    select tenant_id from ({{ tenants_of_changed_windows(ref('usage_cost_daily')) }}) as found
    union all
    select days.tenant_id
    from {{ ref('int_platform_days') }} as days
    left join {{ this }} as known on days.tenant_id = known.tenant_id
    where known.tenant_id is null
{%- endcall %}

with

windows as (
    {{ tenant_windows(ref('int_platform_days'), [1, 7, 30, 90], periods=2) }}
),

tenants_seen as (
    select
        tenant_id,
        min(loaded_through) as loaded_through,
    from {{ ref('int_platform_days') }}
    group by tenant_id
),

day_measures as (
    select
        windows.tenant_id,
        windows.window_days,
        windows.periods_back,
        {{ sum_count('days.messages_sent', 'days.messages_received') }} as messages,
        {{ sum_count('days.conversations') }} as conversations,
        {{ sum_count('days.total_tokens') }} as total_tokens,
        {{ sum_count('days.api_calls') }} as api_calls,
        {{ rate('sum(days.response_time_ms)', 'sum(days.messages_sent)') }} as avg_response_time_ms,
        {{ rate('sum(days.errors)', 'sum(days.messages_sent)') }} as error_rate,
        {{ rate('sum(days.rating_points)', 'sum(days.ratings)') }} as avg_rating,
        max(days.loaded_through) as loaded_through,
    from {{ ref('int_platform_days') }} as days
    inner join windows
        on days.tenant_id = windows.tenant_id
        and days.date >= windows.first_date
        and days.date < windows.end_date
    group by windows.tenant_id, windows.window_days, windows.periods_back
),

users as (
    select
        windows.tenant_id,
        windows.window_days,
        windows.periods_back,
        count(distinct user_days.user_id) as unique_users,
    from {{ ref('int_platform_user_days') }} as user_days
    inner join windows
        on user_days.tenant_id = windows.tenant_id
        and user_days.date >= windows.first_date
        and user_days.date < windows.end_date
    group by windows.tenant_id, windows.window_days, windows.periods_back
),

agents as (
    select
        windows.tenant_id,
        windows.window_days,
        windows.periods_back,
        count(distinct agent_days.agent_id) as active_agents,
    from {{ ref('int_agent_days') }} as agent_days
    inner join windows
        on agent_days.tenant_id = windows.tenant_id
        and agent_days.date >= windows.first_date
        and agent_days.date < windows.end_date
    where agent_days.messages_sent > 0
    group by windows.tenant_id, windows.window_days, windows.periods_back
),

costs as (
    select
        windows.tenant_id,
        windows.window_days,
        windows.periods_back,
        {{ sum_money('daily.total_cost_usd') }} as cost_usd,
        max(daily.loaded_through) as loaded_through,
    from {{ ref('usage_cost_daily') }} as daily
    inner join windows
        on daily.tenant_id = windows.tenant_id
        and daily.date >= windows.first_date
        and daily.date < windows.end_date
    group by windows.tenant_id, windows.window_days, windows.periods_back
),

-- What is stored at the end of the window's last day, over all classes of storage.
stores as (
    select
        windows.tenant_id,
        windows.window_days,
        {{ sum_count('daily.stored_bytes') }} as storage_bytes,
        max(daily.loaded_through) as loaded_through,
    from {{ ref('storage_daily') }} as daily
    inner join windows
        on daily.tenant_id = windows.tenant_id
        and daily.date = {{ add_days('windows.end_date', -1) }}
    where windows.periods_back = 0
    group by windows.tenant_id, windows.window_days
),

measured as (
    select
        windows.tenant_id,
        windows.window_days,
        windows.periods_back,
        coalesce(day_measures.messages, 0) as messages,
        coalesce(day_measures.conversations, 0) as conversations,
        coalesce(users.unique_users, 0) as unique_users,
        coalesce(agents.active_agents, 0) as active_agents,
        coalesce(day_measures.total_tokens, 0) as total_tokens,
        coalesce(day_measures.api_calls, 0) as api_calls,
        day_measures.avg_response_time_ms,
        day_measures.error_rate,
        day_measures.avg_rating,
        coalesce(costs.cost_usd, 0) as cost_usd,
        greatest(coalesce(day_measures.loaded_through, 0), coalesce(costs.loaded_through, 0)) as loaded_through,
    from windows
    left join day_measures
        on windows.tenant_id = day_measures.tenant_id
        and windows.window_days = day_measures.window_days
        and windows.periods_back = day_measures.periods_back
    left join users
        on windows.tenant_id = users.tenant_id
        and windows.window_days = users.window_days
        and windows.periods_back = users.periods_back
    left join agents
        on windows.tenant_id = agents.tenant_id
        and windows.window_days = agents.window_days
        and windows.periods_back = agents.periods_back
    left join costs
        on windows.tenant_id = costs.tenant_id
        and windows.window_days = costs.window_days
        and windows.periods_back = costs.periods_back
)

select
    current_window.tenant_id,
    current_window.window_days,
    {%- for metric in metrics %}
    current_window.{{ metric }},
    previous_window.{{ metric }} as previous_{{ metric }},
    {{ change_pct('current_window.' ~ metric, 'previous_window.' ~ metric) }} as {{ metric }}_change_pct,
    {%- endfor %}
    coalesce(stores.storage_bytes, 0) as storage_bytes,
    greatest(
        tenants_seen.loaded_through,
        current_window.loaded_through,
        previous_window.loaded_through,
        coalesce(stores.loaded_through, 0)
    ) as loaded_through,
from measured as current_window
inner join measured as previous_window
    on current_window.tenant_id = previous_window.tenant_id
    and current_window.window_days = previous_window.window_days
    and current_window.periods_back + 1 = previous_window.periods_back
inner join tenants_seen on current_window.tenant_id = tenants_seen.tenant_id
left join stores
    on current_window.tenant_id = stores.tenant_id
    and current_window.window_days = stores.window_days
