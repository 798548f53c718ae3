{{ config(materialized='incremental', incremental_strategy='append') }}

with

steps as (
    {%- for step, model_name, condition in steps_to_value() %}
    select
        tenant_id,
        '{{ step }}' as step,
        min(occurred_at) as taken_at,
        max(load_id) as load_id,
    from {{ ref(model_name) }}
    where {{ condition }} and {{ is_new() }}
    group by tenant_id
    {{ 'union all' if not loop.last }}
    {%- endfor %}
)

select
    steps.load_id,
    steps.tenant_id,
    steps.step,
    steps.taken_at,
from steps
{%- if is_incremental() %}
left join (
    select
        tenant_id,
        step,
        min(taken_at) as taken_at,
    from {{ this }}
    group by tenant_id, step
) as known
    on steps.tenant_id = known.tenant_id
    and steps.step = known.step
where known.taken_at is null or steps.taken_at < known.taken_at
{%- endif %}
