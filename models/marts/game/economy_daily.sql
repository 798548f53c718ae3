{{ config(
    materialized='incremental', incremental_strategy='touched', meta={'partition': ['date']},
) }}

{%- call touched_partitions() %}
    {{ days_of_new_events([
        ref('stg_game__turns'), ref('stg_game__vendor_visits'), ref('stg_game__crafts'), ref('stg_game__loot'),
    ]) }}
{%- endcall %}

with

turns as (
    {{ game_events(ref('stg_game__turns'), ['world'], ['gold_delta']) }}
),

visits as (
    {{ game_events(ref('stg_game__vendor_visits'), ['world'], ['traded', 'margin']) }}
),

crafts as (
    {{ game_events(ref('stg_game__crafts'), ['world'], ['succeeded']) }}
),

drops as (
    {{ game_events(ref('stg_game__loot'), ['world']) }}
),

turned as (
    select
        date,
        world,
        sum({{ gold_in('gold_delta') }}) as currency_in,
        sum({{ gold_out('gold_delta') }}) as currency_out,
        max(load_id) as loaded_through,
    from turns
    group by date, world
),

visited as (
    select
        date,
        world,
        count(*) as vendor_visits,
        {{ count_where('traded') }} as trades,
        avg(margin) as avg_margin,
        max(load_id) as loaded_through,
    from visits
    group by date, world
),

crafted as (
    select
        date,
        world,
        count(*) as craft_attempts,
        {{ count_where('succeeded') }} as craft_successes,
        max(load_id) as loaded_through,
    from crafts
    group by date, world
),

dropped as (
    select
        date,
        world,
        count(*) as loot_drops,
        max(load_id) as loaded_through,
    from drops
    group by date, world
),

days as (
    select
        date,
        world,
        max(loaded_through) as loaded_through
    from (
        select
            date,
            world,
            loaded_through
        from turned
        union all
        select
            date,
            world,
            loaded_through
        from visited
        union all
        select
            date,
            world,
            loaded_through
        from crafted
        union all
        select
            date,
            world,
            loaded_through
        from dropped
    ) as seen
    group by date, world
)

select
    days.date,
    days.world,
    coalesce(turned.currency_in, 0) as currency_in,
    coalesce(turned.currency_out, 0) as currency_out,
    coalesce(visited.vendor_visits, 0) as vendor_visits,
    coalesce(visited.trades, 0) as trades,
    visited.avg_margin,
    coalesce(crafted.craft_attempts, 0) as craft_attempts,
    coalesce(crafted.craft_successes, 0) as craft_successes,
    coalesce(dropped.loot_drops, 0) as loot_drops,
    days.loaded_through,
from days
left join turned on {{ same('days', 'turned', ['date', 'world']) }}
left join visited on {{ same('days', 'visited', ['date', 'world']) }}
left join crafted on {{ same('days', 'crafted', ['date', 'world']) }}
left join dropped on {{ same('days', 'dropped', ['date', 'world']) }}
