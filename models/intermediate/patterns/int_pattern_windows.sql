{{ config(
    materialized='incremental',
    incremental_strategy='touched',
    meta={'partition': ['tenant_id', 'pattern_id', 'window_type'], 'boundary': 'instant'},
) }}

{#-
    A new execution touches all windows of its pattern, also those that it doesn't lie in: it may be its user's first. A clock
    that goes on touches the windows that an execution enters, leaves, or passes a quarter of; one that went back touches all.
-#}
{%- call touched_partitions() %}
    select executions.tenant_id, executions.pattern_id, windows.window_type
    from {{ ref('int_pattern_executions') }} as executions
    cross join ({{ pattern_windows() }}) as windows
    where {{ is_new('executions.loaded_through') }}
        or (
            executions.occurred_at <= {{ as_of() }}
            and (executions.occurred_at > {{ as_of_before() }} or {{ as_of_before() }} is null)
        )
    union all
    select tenant_id, pattern_id, window_type from {{ this }}
    where next_change_at <= {{ as_of() }}
    union all
    select patterns.tenant_id, patterns.pattern_id, windows.window_type
    from {{ this }} as patterns
    cross join ({{ pattern_windows() }}) as windows
    where patterns.window_type = 'all_time' and {{ as_of() }} < {{ as_of_before() }}
{%- endcall %}

with

history as (
    select * from {{ ref('int_pattern_executions') }}
),

windows as (
    {{ pattern_windows() }}
),

wanted as (
    {% if is_incremental() -%}
    select
        tenant_id,
        pattern_id,
        window_type,
    from {{ touched_relation() }}
    {%- else -%}
    select
        patterns_seen.tenant_id,
        patterns_seen.pattern_id,
        windows.window_type,
    from (
        select distinct
            tenant_id,
            pattern_id
        from history
    ) as patterns_seen
    cross join windows
    {%- endif %}
),

{{ pattern_window_measures(as_of()) }}

select
    tenant_id,
    pattern_id,
    window_type,
    first_at,
    last_at,
    total_executions,
    first_quarter_executions,
    second_quarter_executions,
    third_quarter_executions,
    fourth_quarter_executions,
    unique_contexts,
    unique_users,
    first_half_users,
    retained_users,
    new_users,
    peak_daily_executions,
    success_count,
    timeout_count,
    quality_gate_failures,
    known_fields,
    avg_quality_score,
    avg_execution_time_ms,
    p50_execution_time_ms,
    p95_execution_time_ms,
    p99_execution_time_ms,
    min_execution_time_ms,
    max_execution_time_ms,
    stddev_execution_time_ms,
    total_execution_time_ms,
    next_change_at,
    loaded_through,
from measured
