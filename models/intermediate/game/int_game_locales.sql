{{ config(
    materialized='incremental',
    incremental_strategy='touched',
    meta={'partition': ['date'], 'vars': ['k_anonymity_min']},
) }}

{%- set k = var('k_anonymity_min') | int %}
{%- set group = ['date'] + game_daily_dimensions() %}
{%- set hourly_group = ['date'] + game_dimensions() %}

{%- call touched_partitions() %}
    select date from {{ ref('int_game_session_hours') }} where {{ is_new('loaded_through') }}
{%- endcall %}

with

plays as (
    select plays.*
    from {{ ref('int_game_session_hours') }} as plays
    {{ in_touched_partitions('plays') }}
),

sessions as (
    select distinct {{ group | join(', ') }}, locale, tenant_id, session_id from plays
),

locales as (
    select
        {{ group | join(',\n        ') }},
        locale,
        count(*) as sessions,
    from sessions
    group by {{ group | join(', ') }}, locale
),

placed as (
    select
        *,
        row_number() over (partition by {{ group | join(', ') }} order by sessions, locale) as place,
    from locales
),

-- A session that was played in several locales counts with the first of them: so the counts add up to different sessions.
first_places as (
    select
        {% for column in group %}sessions.{{ column }},
        {% endfor -%}
        min(placed.place) as place,
    from sessions
    inner join placed on {{ same('sessions', 'placed', group + ['locale']) }}
    group by {% for column in group %}sessions.{{ column }}, {% endfor %}sessions.tenant_id, sessions.session_id
),

gained as (
    select
        {{ group | join(',\n        ') }},
        place,
        count(*) as sessions,
    from first_places
    group by {{ group | join(', ') }}, place
),

-- The different sessions of the smaller locales together.
before as (
    select
        placed.*,
        coalesce(
            sum(gained.sessions) over (
                partition by {% for column in group %}placed.{{ column }}{{ ', ' if not loop.last }}{% endfor %}
                order by placed.place
                rows between unbounded preceding and 1 preceding
            ),
            0
        ) as sessions_before,
    from placed
    left join gained on {{ same('placed', 'gained', group + ['place']) }}
),

judged as (
    select
        *,
        sessions < {{ k }} or sessions_before between 1 and {{ k - 1 }} as is_merged,
    from before
),

shown as (
    select
        *,
        case
            when min(case when is_merged then 1 else 0 end) over (partition by {{ group | join(', ') }}) = 1 then '(all)'
            when is_merged then '(other)'
            else locale
        end as shown_locale,
    from judged
),

-- Hours are finer than days, and a content version less: what would be too small in one of them is shown in none.
hourly_locales as (
    select
        {{ hourly_group | join(',\n        ') }},
        hour,
        locale,
        count(*) as sessions,
    from (
        select distinct {{ hourly_group | join(', ') }}, hour, locale, tenant_id, session_id from plays
    ) as hourly_sessions
    group by {{ hourly_group | join(', ') }}, hour, locale
),

smallest_hours as (
    select
        {{ hourly_group | join(',\n        ') }},
        min(sessions) as sessions,
    from hourly_locales
    group by {{ hourly_group | join(', ') }}
)

select
    {% for column in group %}shown.{{ column }},
    {% endfor -%}
    shown.locale,
    shown.sessions,
    shown.is_merged,
    shown.shown_locale,
    case
        when
            smallest_hours.sessions >= {{ k }}
            and max(case when shown.is_merged then 1 else 0 end) over (
                partition by {% for column in hourly_group %}shown.{{ column }}{{ ', ' if not loop.last }}{% endfor %}
            ) = 0
            then shown.locale
        else '(all)'
    end as hourly_locale,
from shown
inner join smallest_hours on {{ same('shown', 'smallest_hours', hourly_group) }}
