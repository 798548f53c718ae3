{{ config(
    materialized='incremental', incremental_strategy='touched', meta={'partition': ['date']},
) }}

{%- call touched_partitions() %}
    select date from {{ ref('int_game_session_ages') }} where {{ is_new('loaded_through') }}
{%- endcall %}

with

ages as (
    select ages.*
    from {{ ref('int_game_session_ages') }} as ages
    {{ in_touched_partitions('ages') }}
),

measured as (
    select
        date,
        session_age_bucket,
        world,
        adventure,
        {{ sum_count('turns') }} as turns,
        count(*) as sessions,
        {{ percentiles_of_lists('latencies_ms', [0.95]) }} as latency_percentiles,
        {{ sum_count('softlock_hints') }} as softlock_hints,
        max(loaded_through) as loaded_through,
    from ages
    group by date, session_age_bucket, world, adventure
)

select
    date,
    session_age_bucket,
    world,
    adventure,
    turns,
    sessions,
    {{ percentile('latency_percentiles', 1) }} as p95_latency_ms,
    softlock_hints,
    loaded_through,
from measured
