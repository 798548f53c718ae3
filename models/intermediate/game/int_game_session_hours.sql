{{ config(
    materialized='incremental', incremental_strategy='touched', meta={'partition': ['date']},
) }}

{%- call touched_partitions() %}
{{ days_of_new_events([ref('stg_game__turns')]) }}
{%- endcall %}

with

turns as (
    {{ game_events(ref('stg_game__turns'), ['occurred_at', 'tenant_id', 'session_id']) }}
),

hours as (
    select
        *,
        {{ dbt.date_trunc('hour', 'occurred_at') }} as hour,
    from turns
)

select
    date,
    hour,
    {{ game_daily_dimensions() | join(',\n    ') }},
    locale,
    tenant_id,
    session_id,
    max(load_id) as loaded_through,
from hours
group by date, hour, {{ game_daily_dimensions() | join(', ') }}, locale, tenant_id, session_id
