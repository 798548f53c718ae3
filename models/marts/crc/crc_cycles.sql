{{ config(
    materialized='incremental',
    incremental_strategy='touched',
    meta={'partition': ['tenant_id', 'blueprint_id', 'workspace_id', 'cycle_id'], 'date_column': 'started_on'},
) }}

{%- call touched_partitions() %}
    select tenant_id, blueprint_id, workspace_id, cycle_id from (
        select tenant_id, blueprint_id, workspace_id, cycle_id, load_id, cast(occurred_at as date) as started_on
        from {{ ref('stg_crc__tasks') }}
    ) as tasks
    where {{ is_new() }}
{%- endcall %}

with

tasks as (
    select
        tasks.tenant_id,
        tasks.blueprint_id,
        tasks.workspace_id,
        tasks.cycle_id,
        tasks.occurred_at,
        tasks.succeeded,
        tasks.cycle_time_ms,
        tasks.load_id,
    from {{ ref('stg_crc__tasks') }} as tasks
    {{ in_touched_partitions('tasks') }}
),

blueprints as (
    select
        blueprint_id,
        blueprint_name,
        team,
    from {{ ref('blueprints') }}
),

cycles as (
    select
        tenant_id,
        blueprint_id,
        workspace_id,
        cycle_id,
        {{ count_where('succeeded') }} as completions,
        {{ count_where('not succeeded') }} as failures,
        cast(min(occurred_at) as date) as started_on,
        min(case when succeeded then occurred_at end) as first_completed_at,
        max(case when succeeded then occurred_at end) as last_completed_at,
        {{ percentiles('cycle_time_ms', [0.5, 0.9, 0.99]) }} as cycle_time_percentiles,
        max(load_id) as loaded_through,
    from tasks
    group by tenant_id, blueprint_id, workspace_id, cycle_id
)

select
    cycles.tenant_id,
    cycles.blueprint_id,
    blueprints.blueprint_name,
    blueprints.team,
    cycles.workspace_id,
    cycles.cycle_id,
    cycles.completions,
    cycles.failures,
    cycles.started_on,
    cycles.first_completed_at,
    cycles.last_completed_at,
    {{ percentile('cycles.cycle_time_percentiles', 1) }} as p50_cycle_time_ms,
    {{ percentile('cycles.cycle_time_percentiles', 2) }} as p90_cycle_time_ms,
    {{ percentile('cycles.cycle_time_percentiles', 3) }} as p99_cycle_time_ms,
    cycles.loaded_through,
from cycles
left join blueprints on cycles.blueprint_id = blueprints.blueprint_id
