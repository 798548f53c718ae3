{{ config(
    materialized='incremental', incremental_strategy='touched', meta={'partition': ['date']},
) }}

{%- call touched_partitions() %}
{{ days_of_new_events([ref('stg_game__boss_fights')]) }}
{%- endcall %}

with

fights as (
    {{ game_events(ref('stg_game__boss_fights'), ['world'], ['boss_id', 'won', 'duration_ms']) }}
),

measured as (
    select
        date,
        world,
        boss_id,
        count(*) as fights,
        {{ count_where('won') }} as wins,
        {{ percentiles('case when won then duration_ms end', [0.5, 0.9, 0.95]) }} as ttk_percentiles,
        max(load_id) as loaded_through,
    from fights
    group by date, world, boss_id
)

select
    date,
    world,
    boss_id,
    fights,
    wins,
    {{ percentile('ttk_percentiles', 1) }} as p50_ttk_ms,
    {{ percentile('ttk_percentiles', 2) }} as p90_ttk_ms,
    {{ percentile('ttk_percentiles', 3) }} as p95_ttk_ms,
    loaded_through,
from measured
