{{ config(
    materialized='incremental', incremental_strategy='touched', meta={'partition': ['tenant_id'], 'boundary': 'local_day'},
) }}

{%- call touched_partitions() %}
    select tenant_id from ({{ tenants_of_changed_windows(ref('int_agent_days')) }}) as found
{%- endcall %}

with

weeks as (
    {{ tenant_windows(ref('int_agent_days'), [7]) }}
),

days as (
    select days.*
    from {{ ref('int_agent_days') }} as days
    {{ in_touched_partitions('days') }}
    where days.conversations + days.messages_sent + days.ratings > 0
),

agents as (
    select
        tenant_id,
        agent_id,
        min(date) as first_day,
    from days
    group by tenant_id, agent_id
),

days_of_week as (
    {{ number_series(0, 6) }}
),

calendar as (
    select
        agents.tenant_id,
        agents.agent_id,
        {{ add_days('weeks.first_date', 'days_of_week.number') }} as date,
        agents.first_day,
    from agents
    inner join weeks
        on agents.tenant_id = weeks.tenant_id
        and agents.first_day < weeks.end_date
    cross join days_of_week
)

select
    calendar.tenant_id,
    calendar.agent_id,
    calendar.date,
    coalesce(days.conversations, 0) as conversations,
    {{ rate('days.response_time_ms', 'days.messages_sent') }} as avg_response_time_ms,
    {{ rate('days.rating_points', 'days.ratings') }} as avg_rating,
    coalesce(days.loaded_through, first_days.loaded_through) as loaded_through,
from calendar
inner join days as first_days
    on calendar.tenant_id = first_days.tenant_id
    and calendar.agent_id = first_days.agent_id
    and calendar.first_day = first_days.date
left join days
    on calendar.tenant_id = days.tenant_id
    and calendar.agent_id = days.agent_id
    and calendar.date = days.date
where calendar.date >= calendar.first_day
