{{ config(
    materialized='incremental', incremental_strategy='touched', meta={'partition': ['date']},
) }}

{%- call touched_partitions() %}
{{ days_of_new_events([ref('stg_game__party')]) }}
{%- endcall %}

with

events as (
    {{ game_events(ref('stg_game__party'), ['world'], ['event_type', 'npc_id', 'succeeded']) }}
)

select
    date,
    world,
    npc_id,
    {{ count_where("event_type = 'npc.joined'") }} as joins,
    {{ count_where("event_type = 'npc.dismissed'") }} as dismissals,
    {{ count_where("event_type = 'check.delegated'") }} as delegated_checks,
    {{ count_where("event_type = 'check.delegated' and succeeded") }} as delegated_successes,
    max(load_id) as loaded_through,
from events
group by date, world, npc_id
