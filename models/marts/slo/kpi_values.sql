{{ config(materialized='table', meta={'boundary': 'instant', 'stale_rows_by': 'family'}) }}

with

catalogue as (
    {{ kpi_catalogue() }}
),

kpis as (
    select * from {{ ref('int_kpi_windows') }}
    union all
    select * from {{ ref('int_kpi_days') }}
    union all
    select * from {{ ref('int_kpi_freshness') }}
),

rated as (
    select
        *,
        {{ rate('numerator', 'denominator') }} as ratio,
    from kpis
),

compared as (
    select
        kpi,
        scope,
        scope_ref,
        window_type,
        max(case when periods_back = 0 then coalesce(measure, ratio) end) as value,
        max(case when periods_back = 1 then coalesce(measure, ratio) end) as previous_value,
        max(case when periods_back = 0 then sample_size end) as sample_size,
        max(case when periods_back = 0 and ratio is not null then numerator end) as exact_numerator,
        max(case when periods_back = 0 and ratio is not null then denominator end) as exact_denominator,
        max(loaded_through) as loaded_through,
    from rated
    group by kpi, scope, scope_ref, window_type
)

select
    compared.kpi,
    compared.scope,
    compared.scope_ref,
    compared.window_type,
    catalogue.family,
    {{ as_of() }} as as_of,
    compared.value,
    compared.previous_value,
    compared.sample_size,
    compared.exact_numerator,
    compared.exact_denominator,
    false as is_stale,
    compared.loaded_through,
from compared
inner join catalogue on compared.kpi = catalogue.kpi
