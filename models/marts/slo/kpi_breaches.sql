{{ config(materialized='table', meta={'boundary': 'instant', 'stale_rows_by': 'family'}) }}

with

catalogue as (
    {{ kpi_catalogue() }}
),

thresholds as (
    select
        thresholds.*,
        coalesce(thresholds.window_type, catalogue.shortest_window) as watched_window,
    from {{ ref('kpi_thresholds') }} as thresholds
    inner join catalogue on thresholds.kpi = catalogue.kpi
    where thresholds.enabled
),

kpis as (
    select * from {{ ref('kpi_values') }}
)

select
    thresholds.threshold_id,
    kpis.scope,
    kpis.scope_ref,
    kpis.window_type,
    kpis.family,
    kpis.as_of,
    kpis.kpi,
    kpis.value,
    cast(thresholds.value as double) as threshold_value,
    thresholds.operator,
    thresholds.severity,
    thresholds.suggested_actions,
    kpis.is_stale,
    kpis.loaded_through,
from thresholds
inner join kpis
    on thresholds.kpi = kpis.kpi
    and thresholds.scope = kpis.scope
    and thresholds.watched_window = kpis.window_type
    and coalesce(thresholds.scope_ref, kpis.scope_ref) = kpis.scope_ref
where {{ breaks_threshold('kpis', 'thresholds.operator', 'thresholds.value') }}
