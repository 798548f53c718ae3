{{ config(materialized='table', meta={'boundary': 'instant'}) }}

with

slos as (
    select
        slo,
        indicator,
        minimum_events,
        {{ error_budget_billionths('target') }} as error_budget_billionths,
    from {{ ref('slos') }}
),

windows as (
    {%- for window_type, minutes in slo_windows().items() %}
    select '{{ window_type }}' as window_type, {{ minutes_ago(minutes) }} as begins_at, {{ as_of() }} as ends_at
    {{- ' union all' if not loop.last }}
    {%- endfor %}
),

hours as (
    select * from {{ ref('int_slo_hours') }}
    where hour > {{ minutes_ago(slo_period_minutes()) }} and hour <= {{ as_of() }}
),

-- The hours in which a window begins or ends are only partly in it.
edge_events as (
    {{ slo_events(in_hours_of_edges('events.occurred_at')) }}
),

counted as (
    select
        hours.slo,
        windows.window_type,
        hours.events,
        hours.bad_events,
        hours.load_id,
    from hours
    inner join windows on {{ is_whole_hour('hours.hour', 'windows') }}
    union all
    select
        edge_events.slo,
        windows.window_type,
        1 as events,
        case when edge_events.is_bad then 1 else 0 end as bad_events,
        edge_events.load_id,
    from edge_events
    inner join windows
        on edge_events.occurred_at > windows.begins_at
        and edge_events.occurred_at <= windows.ends_at
        and not {{ is_whole_hour(dbt.date_trunc('hour', 'edge_events.occurred_at'), 'windows') }}
),

sums as (
    select
        slo,
        window_type,
        sum(events) as events,
        sum(bad_events) as bad_events,
        max(load_id) as loaded_through,
    from counted
    group by slo, window_type
)

select
    slos.slo,
    slos.indicator,
    windows.window_type,
    slos.minimum_events,
    slos.error_budget_billionths,
    {{ to_count('coalesce(sums.events, 0)') }} as events,
    {{ to_count('coalesce(sums.bad_events, 0)') }} as bad_events,
    coalesce(sums.loaded_through, 0) as loaded_through,
from slos
cross join windows
left join sums on slos.slo = sums.slo and windows.window_type = sums.window_type
