{{ config(materialized='table', meta={'boundary': 'instant', 'stale_rows_by': 'family'}) }}

with

windows as (
    select * from {{ ref('int_slo_windows') }}
),

objectives as (
    select
        slo,
        indicator,
        {{ slo_alert('page') }} as page,
        {{ slo_alert('ticket') }} as ticket,
        max(case when window_type = '30d' then events end) as events_30d,
        max(case when window_type = '30d' then bad_events end) as bad_events_30d,
        max(error_budget_billionths) as error_budget_billionths,
        max(loaded_through) as loaded_through,
    from windows
    group by slo, indicator
)

select
    slo,
    {{ slo_family('indicator') }} as family,
    {{ as_of() }} as as_of,
    page,
    ticket,
    events_30d,
    bad_events_30d,
    1 - {{ burn_rate('bad_events_30d', 'events_30d', 'error_budget_billionths') }} as budget_remaining,
    false as is_stale,
    loaded_through,
from objectives
