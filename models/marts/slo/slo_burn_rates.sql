{{ config(materialized='table', meta={'boundary': 'instant', 'stale_rows_by': 'family'}) }}

with

windows as (
    select * from {{ ref('int_slo_windows') }}
    where window_type <> '30d'
)

select
    slo,
    window_type,
    {{ slo_family('indicator') }} as family,
    {{ as_of() }} as as_of,
    events,
    bad_events,
    {{ burn_rate('bad_events', 'events', 'error_budget_billionths') }} as burn_rate,
    false as is_stale,
    loaded_through,
from windows
