{{ config(
    materialized='incremental', incremental_strategy='touched', meta={'partition': ['date']},
) }}

{%- set grain = ['date', 'world', 'adventure', 'content_version'] %}

{#- Whatever happens in a session counts on the day on which it began: before and now, where its start is another. -#}
{%- call touched_partitions() %}
    with started as (
        select tenant_id, session_id, started_on as date, loaded_through from {{ ref('int_game_sessions') }}
        union all
        select tenant_id, session_id, cast(min(occurred_at) as date) as date, 0 as loaded_through
        from {{ ref('stg_game__sessions') }}
        where load_id <= {{ model_state().loaded_through }}
        group by tenant_id, session_id
    ),

    changed as (
        {%- for relation in [
            ref('stg_game__sessions'), ref('stg_game__turns'), ref('stg_game__choices'), ref('stg_game__arcs'),
            ref('stg_game__dialogues'), ref('stg_game__completions'),
        ] %}
        select tenant_id, session_id from {{ relation }} where load_id > {{ model_state().loaded_through }}
{{ 'union' if not loop.last }}
{%- endfor %}
    )

    select started.date
    from started
    inner join changed on started.tenant_id = changed.tenant_id and started.session_id = changed.session_id
    union all
    select date from started where {{ is_new('loaded_through') }}
{%- endcall %}

with

started as (
    select
        tenant_id,
        session_id,
        started_on as date,
        world,
        adventure,
        content_version,
        loaded_through,
    from {{ ref('int_game_sessions') }}
),

sessions as (
    select started.*
    from started
    {{ in_touched_partitions('started') }}
),

played as (
    select
        days.tenant_id,
        days.session_id,
        sum(days.gold_in) as gold_in,
        sum(days.gold_out) as gold_out,
        {{ sum_count('days.items_acquired') }} as items_acquired,
        max(days.loaded_through) as loaded_through,
    from {{ ref('int_game_session_days') }} as days
    inner join sessions on {{ same('days', 'sessions', ['tenant_id', 'session_id']) }}
    group by days.tenant_id, days.session_id
),

completed as (
    select
        completions.tenant_id,
        completions.session_id,
        max(completions.load_id) as loaded_through,
    from {{ ref('stg_game__completions') }} as completions
    inner join sessions on {{ same('completions', 'sessions', ['tenant_id', 'session_id']) }}
    group by completions.tenant_id, completions.session_id
),

arcs as (
    select
        arcs.tenant_id,
        arcs.session_id,
        arcs.arc_id,
        max(arcs.progress) as progress,
        max(arcs.load_id) as loaded_through,
    from {{ ref('stg_game__arcs') }} as arcs
    inner join sessions on {{ same('arcs', 'sessions', ['tenant_id', 'session_id']) }}
    group by arcs.tenant_id, arcs.session_id, arcs.arc_id
),

progressed as (
    select
        tenant_id,
        session_id,
        avg(progress) as progress,
        max(loaded_through) as loaded_through,
    from arcs
    group by tenant_id, session_id
),

measured as (
    select
        {% for column in grain %}sessions.{{ column }},
        {% endfor -%}
        count(*) as sessions,
        count(completed.session_id) as completions,
        avg(progressed.progress) as arc_progress_rate,
        sum(coalesce(played.gold_in, 0)) as gold_in,
        sum(coalesce(played.gold_out, 0)) as gold_out,
        {{ sum_count('played.items_acquired') }} as items_acquired,
        greatest(
            max(sessions.loaded_through),
            coalesce(max(played.loaded_through), 0),
            coalesce(max(completed.loaded_through), 0),
            coalesce(max(progressed.loaded_through), 0)
        ) as loaded_through,
    from sessions
    left join played on {{ same('sessions', 'played', ['tenant_id', 'session_id']) }}
    left join completed on {{ same('sessions', 'completed', ['tenant_id', 'session_id']) }}
    left join progressed on {{ same('sessions', 'progressed', ['tenant_id', 'session_id']) }}
    group by {% for column in grain %}sessions.{{ column }}{{ ', ' if not loop.last }}{% endfor %}
),

choices as (
    select
        {% for column in grain %}sessions.{{ column }},
        {% endfor -%}
        choices.node_id,
        choices.choice_id,
        count(*) as choices,
        max(choices.load_id) as loaded_through,
    from {{ ref('stg_game__choices') }} as choices
    inner join sessions on {{ same('choices', 'sessions', ['tenant_id', 'session_id']) }}
    group by {% for column in grain %}sessions.{{ column }}, {% endfor %}choices.node_id, choices.choice_id
),

nodes as (
    select
        {{ grain | join(',\n        ') }},
        node_id,
        sum(choices) as choices,
        {{ entropy_bits('choices') }} as entropy_bits,
        max(loaded_through) as loaded_through,
    from choices
    group by {{ grain | join(', ') }}, node_id
),

choice_entropy as (
    select
        {{ grain | join(',\n        ') }},
        {{ rate('sum(choices * entropy_bits)', 'sum(choices)') }} as choice_entropy_bits,
        max(loaded_through) as loaded_through,
    from nodes
    group by {{ grain | join(', ') }}
),

dialogues as (
    select
        {% for column in grain %}sessions.{{ column }},
        {% endfor -%}
        dialogues.dialogue_id,
        count(*) as dialogues,
        max(dialogues.load_id) as loaded_through,
    from {{ ref('stg_game__dialogues') }} as dialogues
    inner join sessions on {{ same('dialogues', 'sessions', ['tenant_id', 'session_id']) }}
    where dialogues.event_type = 'dialogue.selected'
    group by {% for column in grain %}sessions.{{ column }}, {% endfor %}dialogues.dialogue_id
),

dialogue_entropy as (
    select
        {{ grain | join(',\n        ') }},
        {{ entropy_bits('dialogues') }} as dialogue_entropy_bits,
        max(loaded_through) as loaded_through,
    from dialogues
    group by {{ grain | join(', ') }}
)

select
    {% for column in grain %}measured.{{ column }},
    {% endfor -%}
    measured.sessions,
    measured.completions,
    {{ rate('measured.completions', 'measured.sessions') }} as completion_rate,
    measured.arc_progress_rate,
    choice_entropy.choice_entropy_bits,
    dialogue_entropy.dialogue_entropy_bits,
    measured.gold_in,
    measured.gold_out,
    {{ rate('measured.gold_in - measured.gold_out', 'measured.sessions') }} as gold_delta_per_session,
    {{ rate('measured.items_acquired', 'measured.sessions') }} as items_per_session,
    greatest(
        measured.loaded_through,
        coalesce(choice_entropy.loaded_through, 0),
        coalesce(dialogue_entropy.loaded_through, 0)
    ) as loaded_through,
from measured
left join choice_entropy on {{ same('measured', 'choice_entropy', grain) }}
left join dialogue_entropy on {{ same('measured', 'dialogue_entropy', grain) }}
