{{ config(
    materialized='incremental', incremental_strategy='touched', meta={'partition': ['tenant_id', 'date']},
) }}

{%- call touched_partitions() %}
    select tenant_id, date from {{ ref('int_platform_days') }} where {{ is_new('loaded_through') }}
{%- endcall %}

with

events as (
    {{ by_local_date(ref('int_platform_events'), ['user_id', 'load_id']) }}
)

select
    tenant_id,
    date,
    user_id,
    count(*) as events,
    max(load_id) as loaded_through,
from events
where user_id is not null
group by tenant_id, date, user_id
