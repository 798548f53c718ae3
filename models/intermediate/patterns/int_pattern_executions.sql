{{ config(materialized='view') }}

with

executions as (
    select * from {{ ref('stg_patterns__executions') }}
)

select
    tenant_id,
    pattern_id,
    occurred_at,
    user_id,
    agent_id,
    context_type,
    project,
    file_type,
    succeeded,
    timed_out,
    quality_gate_failed,
    execution_time_ms,
    quality_score,
    load_id as loaded_through,
from executions
