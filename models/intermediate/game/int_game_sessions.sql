{{ config(
    materialized='incremental',
    incremental_strategy='touched',
    meta={'partition': ['tenant_id', 'session_id'], 'date_column': 'started_on'},
) }}

{%- call touched_partitions() %}
    select tenant_id, session_id from (
        select tenant_id, session_id, load_id, cast(occurred_at as date) as started_on
        from {{ ref('stg_game__sessions') }}
    ) as events
    where {{ is_new() }}
{%- endcall %}

with

starts as (
    select
        starts.*,
        row_number() over (
            partition by starts.tenant_id, starts.session_id order by starts.occurred_at, starts.event_id
        ) as place,
        max(starts.load_id) over (partition by starts.tenant_id, starts.session_id) as loaded_through,
    from {{ ref('stg_game__sessions') }} as starts
    {{ in_touched_partitions('starts') }}
)

select
    tenant_id,
    session_id,
    occurred_at as started_at,
    cast(occurred_at as date) as started_on,
    world,
    adventure,
    content_version,
    loaded_through,
from starts
where place = 1
