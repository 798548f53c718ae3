{{ config(
    materialized='incremental', incremental_strategy='touched', meta={'partition': ['date']},
) }}

{%- set group = ['date'] + game_daily_dimensions() + ['locale'] %}
{%- set counts = [
    'loot_drops', 'vendor_visits', 'vendor_trades', 'craft_attempts', 'craft_successes', 'recruits', 'dialogues',
    'dialogue_candidates', 'romance_prompts', 'romance_consents', 'event_checks', 'events_triggered',
] %}
{#- What each event counts as, by the model that stages it. -#}
{%- set sources = [
    (ref('stg_game__loot'), [], {'loot_drops': '1'}),
    (ref('stg_game__vendor_visits'), ['traded'],
        {'vendor_visits': '1', 'vendor_trades': 'case when traded then 1 else 0 end'}),
    (ref('stg_game__crafts'), ['succeeded'],
        {'craft_attempts': '1', 'craft_successes': 'case when succeeded then 1 else 0 end'}),
    (ref('stg_game__party'), ['event_type'], {'recruits': "case when event_type = 'npc.joined' then 1 else 0 end"}),
    (ref('stg_game__dialogues'), ['event_type', 'candidates'], {
        'dialogues': "case when event_type = 'dialogue.selected' then 1 else 0 end",
        'dialogue_candidates': "case when event_type = 'dialogue.selected' then candidates else 0 end",
    }),
    (ref('stg_game__romances'), ['consented'],
        {'romance_prompts': '1', 'romance_consents': 'case when consented then 1 else 0 end'}),
    (ref('stg_game__world_events'), ['triggered'],
        {'event_checks': '1', 'events_triggered': 'case when triggered then 1 else 0 end'}),
] %}

{%- call touched_partitions() %}
    {{ days_of_new_events([
        ref('stg_game__loot'), ref('stg_game__vendor_visits'), ref('stg_game__crafts'), ref('stg_game__party'),
        ref('stg_game__dialogues'), ref('stg_game__romances'), ref('stg_game__world_events'),
    ]) }}
{%- endcall %}

with

{% for relation, columns, measures in sources -%}
events_{{ loop.index }} as (
    {{ game_events(relation, game_daily_dimensions() + ['locale'], columns) }}
),

counted_{{ loop.index }} as (
    select
        {{ group | join(',\n        ') }},
        {%- for count in counts %}
        {{ sum_count(measures[count]) if count in measures else 'cast(0 as bigint)' }} as {{ count }},
        {%- endfor %}
        max(load_id) as loaded_through,
    from events_{{ loop.index }}
    group by {{ group | join(', ') }}
),

{% endfor -%}

counted as (
    {%- for source in sources %}
    select * from counted_{{ loop.index }}
    {{ 'union all' if not loop.last }}
    {%- endfor %}
)

select
    {{ group | join(',\n    ') }},
    {%- for count in counts %}
    {{ sum_count(count) }} as {{ count }},
    {%- endfor %}
    max(loaded_through) as loaded_through,
from counted
group by {{ group | join(', ') }}
