{{ config(
    materialized='incremental', incremental_strategy='touched', meta={'partition': ['date']},
) }}

{%- set grain = ['date', 'adventure', 'quest_id', 'node_id'] %}

{#- New events of a session may move its last node from one day to another; turns decide who was stuck. -#}
{%- call touched_partitions() %}
    with days as (
        {{ days_of_new_events([
            ref('stg_game__quest_nodes'), ref('stg_game__dialogues'), ref('stg_game__turns'),
        ]) }}
    ),

    changed as (
        select distinct tenant_id, session_id from {{ ref('stg_game__quest_nodes') }}
        where load_id > {{ model_state().loaded_through }}
    )

    select date from days
    union all
    select ends.entered_on as date
    from {{ ref('int_game_quest_ends') }} as ends
    inner join changed on {{ same('ends', 'changed', ['tenant_id', 'session_id']) }}
    union all
    select cast(max(nodes.occurred_at) as date) as date
    from {{ ref('stg_game__quest_nodes') }} as nodes
    inner join changed on {{ same('nodes', 'changed', ['tenant_id', 'session_id']) }}
    where nodes.event_type = 'quest.node_entered' and nodes.load_id <= {{ model_state().loaded_through }}
    group by nodes.tenant_id, nodes.session_id
{%- endcall %}

with

nodes as (
    {{ game_events(
        ref('stg_game__quest_nodes'), ['adventure'], ['event_type', 'tenant_id', 'session_id', 'quest_id', 'node_id']
    ) }}
),

visits as (
    select
        {{ grain | join(',\n        ') }},
        tenant_id,
        session_id,
        {{ count_where("event_type = 'quest.node_entered'") }} > 0 as is_entered,
        {{ count_where("event_type = 'quest.node_completed'") }} > 0 as is_completed,
        max(load_id) as loaded_through,
    from nodes
    group by {{ grain | join(', ') }}, tenant_id, session_id
),

counted as (
    select
        {% for column in grain %}visits.{{ column }},
        {% endfor -%}
        {{ count_where('visits.is_entered') }} as entered,
        {{ count_where('visits.is_completed') }} as completed,
        {{ count_where('visits.is_entered and days.is_stuck') }} as stuck,
        greatest(max(visits.loaded_through), coalesce(max(days.loaded_through), 0)) as loaded_through,
    from visits
    left join {{ ref('int_game_session_days') }} as days
        on {{ same('visits', 'days', ['date', 'tenant_id', 'session_id']) }}
    group by {% for column in grain %}visits.{{ column }}{{ ', ' if not loop.last }}{% endfor %}
),

ends as (
    select
        entered_on as date,
        adventure,
        quest_id,
        node_id,
        loaded_through,
    from {{ ref('int_game_quest_ends') }}
    where is_dropped
),

dropped as (
    select
        {% for column in grain %}ends.{{ column }},
        {% endfor -%}
        count(*) as dropped,
        max(ends.loaded_through) as loaded_through,
    from ends
    {{ in_touched_partitions('ends') }}
    group by {% for column in grain %}ends.{{ column }}{{ ', ' if not loop.last }}{% endfor %}
),

dialogues as (
    {{ game_events(ref('stg_game__dialogues'), ['adventure'], ['event_type', 'node_id']) }}
),

blocked as (
    select
        date,
        adventure,
        node_id,
        count(*) as dialogue_blocks,
        max(load_id) as loaded_through,
    from dialogues
    where event_type = 'dialogue.blocked'
    group by date, adventure, node_id
)

select
    {% for column in grain %}counted.{{ column }},
    {% endfor -%}
    counted.entered,
    counted.completed,
    coalesce(dropped.dropped, 0) as dropped,
    {{ rate('coalesce(dropped.dropped, 0)', 'counted.entered') }} as dropoff_rate,
    coalesce(blocked.dialogue_blocks, 0) as dialogue_blocks,
    {{ rate('counted.stuck', 'counted.entered') }} as stuck_rate,
    greatest(counted.loaded_through, coalesce(dropped.loaded_through, 0), coalesce(blocked.loaded_through, 0))
        as loaded_through,
from counted
left join dropped on {{ same('counted', 'dropped', grain) }}
left join blocked on {{ same('counted', 'blocked', ['date', 'adventure', 'node_id']) }}
