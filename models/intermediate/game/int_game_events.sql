{{ config(materialized='view') }}

with

events as (
    {%- for name in [
        'sessions', 'turns', 'choices', 'quest_nodes', 'arcs', 'party', 'loot', 'crafts', 'vendor_visits', 'dialogues',
        'romances', 'boss_fights', 'world_events', 'world_ticks', 'completions',
    ] %}
    select
        load_id,
        occurred_at,
        tenant_id,
        session_id,
        experiment,
        variation,
    from {{ ref('stg_game__' ~ name) }}
    {{ 'union all' if not loop.last }}
    {%- endfor %}
)

select
    load_id,
    occurred_at,
    tenant_id,
    session_id,
    experiment,
    variation,
from events
