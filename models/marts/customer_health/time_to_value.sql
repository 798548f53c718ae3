{{ config(
    materialized='incremental', incremental_strategy='touched', meta={'partition': ['tenant_id']},
) }}

{%- call touched_partitions() %}
    select tenant_id from {{ ref('int_steps_to_value') }} where {{ is_new() }}
{%- endcall %}

with

steps as (
    select steps.*
    from {{ ref('int_steps_to_value') }} as steps
    {{ in_touched_partitions('steps') }}
),

firsts as (
    select
        tenant_id,
        {%- for step, _, _ in steps_to_value() %}
        min(case when step = '{{ step }}' then taken_at end) as {{ step }}_at,
        {%- endfor %}
        max(load_id) as loaded_through,
    from steps
    group by tenant_id
)

select
    tenant_id,
    signed_up_at,
    first_agent_at,
    first_deploy_at,
    first_conversation_at,
    first_resolved_at,
    {{ hours_to('first_agent') }} as hours_to_first_agent,
    {{ hours_to('first_deploy') }} as hours_to_first_deploy,
    {{ hours_to('first_conversation') }} as hours_to_first_conversation,
    {{ hours_to('first_resolved') }} as hours_to_first_resolved,
    {{ hours_to('first_resolved') }} as hours_to_value,
    loaded_through,
from firsts
