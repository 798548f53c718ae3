{{ config(
    materialized='incremental', incremental_strategy='touched', meta={'partition': ['tenant_id', 'date']},
) }}

{%- call touched_partitions() %}
    select tenant_id, date from {{ ref('int_executions_priced') }} where {{ is_new() }}
{%- endcall %}

with

executions as (
    select executions.*
    from {{ ref('int_executions_priced') }} as executions
    {{ in_touched_partitions('executions') }}
),

measured as (
    {{ execution_measures(['tenant_id', 'date', 'provider', 'task_type']) }}
)

select
    tenant_id,
    date,
    provider,
    task_type,
    {{ execution_columns() }}
from measured
