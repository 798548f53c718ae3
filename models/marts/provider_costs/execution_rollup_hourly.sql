{{ config(
    materialized='incremental',
    incremental_strategy='touched',
    meta={'partition': ['tenant_id', 'hour'], 'boundary': 'day', 'ages_out': true},
    post_hook="{{ age_out() }}",
) }}

{%- call touched_partitions() %}
    select tenant_id, hour from {{ ref('int_executions_priced') }} where {{ is_new() }}
    union all
    {{ older_days_of_new_events(ref('int_executions_priced')) }}
    union all
    {{ days_held_again(ref('int_executions_priced')) }}
{%- endcall %}

with

executions as (
    select executions.*
    from {{ ref('int_executions_priced') }} as executions
    {{ in_touched_partitions('executions') }}
),

measured as (
    {{ execution_measures(['tenant_id', 'hour', 'provider', 'task_type']) }}
)

select
    tenant_id,
    hour,
    provider,
    task_type,
    {{ execution_columns() }}
from measured
