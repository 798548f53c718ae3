{{ config(
    materialized='incremental', incremental_strategy='touched', meta={'partition': ['tenant_id', 'pattern_id', 'date']},
) }}

{%- call touched_partitions() %}
    select tenant_id, pattern_id, date from (
        select tenant_id, pattern_id, cast(occurred_at as date) as date, loaded_through
        from {{ ref('int_pattern_executions') }}
    ) as executions
    where {{ is_new('loaded_through') }}
{%- endcall %}

with

dated as (
    select
        *,
        cast(occurred_at as date) as date,
    from {{ ref('int_pattern_executions') }}
    {{ around_touched_dates('occurred_at') }}
),

executions as (
    select dated.*
    from dated
    {{ in_touched_partitions('dated') }}
),

measured as (
    select
        tenant_id,
        pattern_id,
        date,
        count(*) as executions,
        {{ count_where('succeeded') }} as successes,
        count(distinct user_id) as unique_users,
        avg(execution_time_ms) as avg_execution_time_ms,
        {{ percentiles('execution_time_ms', [0.5, 0.95, 0.99]) }} as execution_time_percentiles,
        avg(quality_score) as avg_quality_score,
        max(loaded_through) as loaded_through,
    from executions
    group by tenant_id, pattern_id, date
)

select
    tenant_id,
    pattern_id,
    date,
    executions,
    successes,
    {{ rate('successes', 'executions') }} as success_rate,
    unique_users,
    avg_execution_time_ms,
    {{ percentile('execution_time_percentiles', 1) }} as p50_execution_time_ms,
    {{ percentile('execution_time_percentiles', 2) }} as p95_execution_time_ms,
    {{ percentile('execution_time_percentiles', 3) }} as p99_execution_time_ms,
    avg_quality_score,
    loaded_through,
from measured
