{{ config(materialized='table', meta={'boundary': 'instant'}) }}

with

-- The window and the one before it, and what is left of the day on which that began.
recent_events as (
    {{ source_events('occurred_at >= ' ~ recent_day() ~ ' and occurred_at <= ' ~ as_of()) }}
),

earlier_days as (
    select
        source,
        max(last_event_at) as last_event_at,
        max(load_id) as loaded_through,
    from {{ ref('int_source_days') }}
    where date < {{ recent_day() }}
    group by source
),

seen as (
    select
        source,
        last_event_at as occurred_at,
        loaded_through as load_id,
        0 as is_recent,
    from earlier_days
    union all
    select
        source,
        occurred_at,
        load_id,
        1 as is_recent,
    from recent_events
),

newest as (
    {%- for back in [0, 1] %}
    {%- set ends_at = hours_ago(24 * back) %}
    {%- set begins_at = hours_ago(24 * (back + 1)) %}
    select
        source,
        {{ back }} as periods_back,
        max(case when occurred_at <= {{ ends_at }} then occurred_at end) as newest_event_at,
        {{ ends_at }} as ends_at,
        sum(case when occurred_at > {{ begins_at }} and occurred_at <= {{ ends_at }} then is_recent else 0 end) as events,
        max(load_id) as loaded_through,
    from seen
    group by source
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),

sources as (
    select
        'global' as scope,
        source as scope_ref,
        '24h' as window_type,
        periods_back,
        {{ microseconds_between('newest_event_at', 'ends_at') }} as silence,
        events,
        loaded_through,
    from newest
),

worst as (
    select
        scope,
        cast('' as varchar) as scope_ref,
        window_type,
        periods_back,
        max(silence) as silence,
        sum(events) as events,
        max(loaded_through) as loaded_through,
    from sources
    group by scope, window_type, periods_back
),

silences as (
    select * from sources
    union all
    select * from worst
),

kpis as (
    {{ kpi_rows('freshness_hours', 'silences', 'events', 'silence', hours_in_microseconds(1)) }}
)

select
    kpi,
    scope,
    scope_ref,
    window_type,
    periods_back,
    numerator,
    denominator,
    measure,
    sample_size,
    loaded_through,
from kpis
