{{ config(
    materialized='incremental', incremental_strategy='touched', meta={'partition': ['date']},
) }}

{%- set grain = ['date'] + game_daily_dimensions() + ['locale'] %}
{%- set group = ['date'] + game_daily_dimensions() %}
{%- set counts = [
    'loot_drops', 'vendor_visits', 'vendor_trades', 'craft_attempts', 'craft_successes', 'recruits', 'dialogues',
    'dialogue_candidates', 'romance_prompts', 'romance_consents', 'event_checks', 'events_triggered',
] %}

{%- call touched_partitions() %}
    select date from {{ ref('int_game_session_hours') }} where {{ is_new('loaded_through') }}
    union all
    select date from {{ ref('int_game_extras_daily') }} where {{ is_new('loaded_through') }}
{%- endcall %}

with

locales as (
    select locales.*
    from {{ ref('int_game_locales') }} as locales
    {{ in_touched_partitions('locales') }}
),

plays as (
    select
        {% for column in group %}plays.{{ column }},
        {% endfor -%}
        locales.shown_locale as locale,
        plays.tenant_id,
        plays.session_id,
        {% for column in turn_sums(grain) %}plays.{{ column }},
        {% endfor -%}
        days.is_stuck,
        plays.loaded_through,
    from {{ ref('int_game_session_hours') }} as plays
    inner join locales on {{ same('plays', 'locales', grain) }}
    inner join {{ ref('int_game_session_days') }} as days
        on {{ same('plays', 'days', ['date', 'tenant_id', 'session_id']) }}
),

sessions as (
    {{ session_measures(grain) }}
),

measured as (
    {{ turn_measures(grain) }}
),

-- Where a group shows no locale, or some merged, events of a locale without a turn that day belong to what is merged.
merged as (
    select
        {{ group | join(',\n        ') }},
        max(shown_locale) as locale,
    from locales
    where is_merged
    group by {{ group | join(', ') }}
),

extras as (
    select
        {% for column in group %}extras.{{ column }},
        {% endfor -%}
        coalesce(locales.shown_locale, merged.locale) as locale,
        {%- for count in counts %}
        {{ sum_count('extras.' ~ count) }} as {{ count }},
        {%- endfor %}
        max(extras.loaded_through) as loaded_through,
    from {{ ref('int_game_extras_daily') }} as extras
    left join locales on {{ same('extras', 'locales', grain) }}
    left join merged on {{ same('extras', 'merged', group) }}
    {{ in_touched_partitions('extras') }}
    group by {% for column in group %}extras.{{ column }}, {% endfor %}coalesce(locales.shown_locale, merged.locale)
)

select
    {% for column in grain %}measured.{{ column }},
    {% endfor -%}
    {{ turn_columns() }}
    measured.avg_ticks,
    measured.avg_sim_ticks,
    measured.tool_calls_per_turn,
    measured.acts_per_turn,
    measured.choices_per_turn,
    measured.softlock_hint_rate,
    measured.econ_velocity,
    measured.items_per_turn,
    {{ rate('coalesce(extras.loot_drops, 0)', 'measured.turns') }} as loot_rate,
    {{ rate('coalesce(extras.vendor_visits, 0)', 'measured.turns') }} as vendor_visit_rate,
    {{ rate('coalesce(extras.craft_attempts, 0)', 'measured.turns') }} as craft_attempt_rate,
    {{ rate('extras.craft_successes', 'extras.craft_attempts') }} as craft_success_rate,
    {{ rate('extras.vendor_trades', 'extras.vendor_visits') }} as vendor_trade_rate,
    {{ rate('coalesce(extras.recruits, 0)', 'sessions.sessions') }} as party_recruit_rate,
    {{ rate('extras.dialogue_candidates', 'extras.dialogues') }} as dialogue_candidate_avg,
    {{ rate('extras.romance_consents', 'extras.romance_prompts') }} as romance_consent_rate,
    {{ rate('extras.events_triggered', 'extras.event_checks') }} as event_trigger_rate,
    greatest(measured.loaded_through, sessions.loaded_through, coalesce(extras.loaded_through, 0)) as loaded_through,
from measured
inner join sessions on {{ same('measured', 'sessions', grain) }}
left join extras on {{ same('measured', 'extras', grain) }}
