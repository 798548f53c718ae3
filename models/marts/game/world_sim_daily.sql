{{ config(
    materialized='incremental', incremental_strategy='touched', meta={'partition': ['date']},
) }}

{%- call touched_partitions() %}
{{ days_of_new_events([ref('stg_game__world_events'), ref('stg_game__world_ticks')]) }}
{%- endcall %}

with

checks as (
    {{ game_events(ref('stg_game__world_events'), ['world'], ['region', 'triggered']) }}
),

ticks as (
    {{ game_events(ref('stg_game__world_ticks'), ['world'], ['region', 'drift']) }}
),

events as (
    select
        date,
        world,
        region,
        1 as checks,
        case when triggered then 1 else 0 end as triggers,
        cast(null as double) as drift,
        load_id,
    from checks
    union all
    select
        date,
        world,
        region,
        0 as checks,
        0 as triggers,
        drift,
        load_id,
    from ticks
)

select
    date,
    world,
    region,
    {{ sum_count('checks') }} as event_checks,
    {{ sum_count('triggers') }} as events_triggered,
    coalesce(sum(drift), 0) as net_drift,
    max(load_id) as loaded_through,
from events
group by date, world, region
