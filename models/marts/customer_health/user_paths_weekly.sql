{{ config(
    materialized='incremental', incremental_strategy='touched', meta={'partition': ['week']},
) }}

{%- set reach = '30' %}

{#- An event is the earlier one of a transition into the next, which may lie in the next week. -#}
{%- call touched_partitions() %}
    with new_events as (
        select occurred_at, week
        from (
            select user_id, occurred_at, {{ week_of('occurred_at') }} as week, load_id
            from {{ ref('int_platform_events') }}
        ) as events
        where user_id is not null and {{ is_new() }}
    )

    select week from new_events
    union all
    select {{ week_of(dbt.dateadd('minute', reach, 'occurred_at')) }} as week from new_events
{%- endcall %}

with

events as (
    select
        events.user_id,
        events.event_type,
        events.event_id,
        events.occurred_at,
        events.load_id,
    from {{ ref('int_platform_events') }} as events
    {{ around_touched_dates('events.occurred_at', date='week', days=7) }}
),

-- Those of the touched weeks, and those from which a transition may lead into one.
users_events as (
    select * from events
    where user_id is not null
    {%- if is_incremental() %}
        and (
            {{ week_of('occurred_at') }} in (select week from {{ touched_relation() }})
            or {{ week_of(dbt.dateadd('minute', reach, 'occurred_at')) }} in (select week from {{ touched_relation() }})
        )
    {%- endif %}
),

paired as (
    select
        user_id,
        event_type as to_event,
        occurred_at,
        load_id,
        lag(event_type) over path as from_event,
        lag(occurred_at) over path as occurred_at_before,
        lag(load_id) over path as load_id_before,
    from users_events
    window path as (partition by user_id order by occurred_at, event_id)
),

transitions as (
    select
        {{ week_of('occurred_at') }} as week,
        from_event,
        to_event,
        user_id,
        {{ microseconds_between('occurred_at_before', 'occurred_at') }} as microseconds_between,
        greatest(load_id, load_id_before) as load_id,
    from paired
    where occurred_at <= {{ dbt.dateadd('minute', reach, 'occurred_at_before') }}
),

measured as (
    select
        transitions.week,
        transitions.from_event,
        transitions.to_event,
        count(*) as transitions,
        count(distinct transitions.user_id) as users,
        {{ percentiles('transitions.microseconds_between', [0.5]) }} as medians,
        max(transitions.load_id) as loaded_through,
    from transitions
    {{ in_touched_partitions('transitions') }}
    group by transitions.week, transitions.from_event, transitions.to_event
)

select
    week,
    from_event,
    to_event,
    transitions,
    users,
    {{ percentile('medians', 1) }} / 1e6 as median_seconds_between,
    loaded_through,
from measured
