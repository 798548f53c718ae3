{{ config(materialized='incremental', incremental_strategy='append') }}

with

events as (
    {{ slo_events(is_new()) }}
)

select
    load_id,
    slo,
    {{ dbt.date_trunc('hour', 'occurred_at') }} as hour,
    count(*) as events,
    {{ count_where('is_bad') }} as bad_events,
from events
group by load_id, slo, {{ dbt.date_trunc('hour', 'occurred_at') }}
