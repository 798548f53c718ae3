{{ config(materialized='view') }}

with

crc_days as (
    select * from {{ ref('crc_throughput_daily') }}
),

pattern_days as (
    select * from {{ ref('pattern_metrics_daily') }}
),

execution_days as (
    select * from {{ ref('execution_rollup_daily') }}
),

platform_days as (
    select * from {{ ref('platform_metrics_daily') }}
),

call_days as (
    select * from {{ ref('provider_calls_daily') }}
    where calls > 0
)

select
    'crc_completions' as metric,
    tenant_id,
    {{ joined_by_slash('blueprint_id', 'workspace_id') }} as entity,
    date,
    false as is_local,
    cast(completions as double) as value,
    loaded_through,
from crc_days
union all
select
    'pattern_executions' as metric,
    tenant_id,
    pattern_id as entity,
    date,
    false as is_local,
    cast(executions as double) as value,
    loaded_through,
from pattern_days
union all
select
    'agent_executions' as metric,
    tenant_id,
    task_type as entity,
    date,
    true as is_local,
    cast(sum(total_executions) as double) as value,
    max(loaded_through) as loaded_through,
from execution_days
group by tenant_id, task_type, date
union all
select
    'messages' as metric,
    tenant_id,
    tenant_id as entity,
    date,
    true as is_local,
    cast(messages as double) as value,
    loaded_through,
from platform_days
union all
select
    'provider_cost_usd' as metric,
    tenant_id,
    provider as entity,
    date,
    true as is_local,
    cast({{ sum_money('cost_usd') }} as double) as value,
    max(loaded_through) as loaded_through,
from call_days
group by tenant_id, provider, date
