{{ config(materialized='incremental', incremental_strategy='append') }}

with

events as (
    {{ source_events(is_new()) }}
)

select
    load_id,
    source,
    cast(occurred_at as date) as date,
    max(occurred_at) as last_event_at,
from events
group by load_id, source, cast(occurred_at as date)
