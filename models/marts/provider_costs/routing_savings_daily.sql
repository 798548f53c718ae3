{{ config(
    materialized='incremental', incremental_strategy='touched', meta={'partition': ['tenant_id', 'date']},
) }}

{%- call touched_partitions() %}
    select tenant_id, date from {{ ref('int_executions_priced') }} where is_successful and {{ is_new() }}
{%- endcall %}

with

completed as (
    select executions.*
    from {{ ref('int_executions_priced') }} as executions
    {{ in_touched_partitions('executions') }}
    where executions.is_successful
),

measured as (
    select
        tenant_id,
        date,
        task_type,
        count(*) as executions,
        {{ sum_money('cost_usd') }} as actual_cost_usd,
        {{ sum_money('alternative_cost_usd') }} as alternative_cost_usd,
        max(load_id) as loaded_through,
    from completed
    group by tenant_id, date, task_type
)

select
    tenant_id,
    date,
    task_type,
    executions,
    actual_cost_usd,
    alternative_cost_usd,
    cast(alternative_cost_usd - actual_cost_usd as decimal(18, 6)) as savings_usd,
    {{ pct('alternative_cost_usd - actual_cost_usd', 'alternative_cost_usd') }} as savings_pct,
    loaded_through,
from measured
