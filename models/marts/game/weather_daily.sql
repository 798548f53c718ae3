{{ config(
    materialized='incremental', incremental_strategy='touched', meta={'partition': ['date']},
) }}

{%- call touched_partitions() %}
{{ days_of_new_events([ref('stg_game__world_ticks')]) }}
{%- endcall %}

with

events as (
    {{ game_events(ref('stg_game__world_ticks'), ['world'], ['region', 'weather']) }}
),

counted as (
    select
        date,
        world,
        region,
        weather,
        count(*) as ticks,
        max(load_id) as loaded_through,
    from events
    group by date, world, region, weather
)

select
    date,
    world,
    region,
    weather,
    ticks,
    {{ rate('ticks', 'sum(ticks) over (partition by date, world, region)') }} as share,
    max(loaded_through) over (partition by date, world, region) as loaded_through,
from counted
