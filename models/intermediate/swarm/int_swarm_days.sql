{{ config(
    materialized='incremental', incremental_strategy='touched', meta={'partition': ['tenant_id', 'swarm_id', 'date']},
) }}

{%- call touched_partitions() %}
    select tenant_id, swarm_id, date from ({{ swarm_days_of_new_events() }}) as found
{%- endcall %}

with

assigned as (
    select
        tenant_id,
        swarm_id,
        assigned_on as date,
        resolved_at,
        succeeded,
        resolution_microseconds,
        is_escalated,
        loaded_through,
    from {{ ref('int_swarm_tasks') }}
    where assigned_on is not null
),

tasks as (
    select assigned.*
    from assigned
    {{ in_touched_partitions('assigned') }}
),

checked as (
    select
        tenant_id,
        swarm_id,
        cast(occurred_at as date) as date,
        compliant,
        load_id,
    from {{ ref('stg_swarm__policy_checks') }}
),

checks as (
    select checked.*
    from checked
    {{ in_touched_partitions('checked') }}
),

task_measures as (
    select
        tenant_id,
        swarm_id,
        date,
        count(*) as assignments,
        count(resolved_at) as resolutions,
        {{ count_where('succeeded') }} as successful_resolutions,
        {{ count_where('is_escalated') }} as escalations,
        {{ sum_count('resolution_microseconds') }} as resolution_microseconds,
        avg(resolution_microseconds) / 60e6 as mttr_minutes,
        {{ percentiles('resolution_microseconds', [0.9]) }} as resolution_percentiles,
        max(loaded_through) as loaded_through,
    from tasks
    group by tenant_id, swarm_id, date
),

check_measures as (
    select
        tenant_id,
        swarm_id,
        date,
        count(*) as policy_checks,
        {{ count_where('compliant') }} as compliant_checks,
        max(load_id) as loaded_through,
    from checks
    group by tenant_id, swarm_id, date
)

select
    coalesce(task_measures.tenant_id, check_measures.tenant_id) as tenant_id,
    coalesce(task_measures.swarm_id, check_measures.swarm_id) as swarm_id,
    coalesce(task_measures.date, check_measures.date) as date,
    coalesce(task_measures.assignments, 0) as assignments,
    coalesce(task_measures.resolutions, 0) as resolutions,
    coalesce(task_measures.successful_resolutions, 0) as successful_resolutions,
    coalesce(task_measures.escalations, 0) as escalations,
    {{ rate('task_measures.successful_resolutions', 'task_measures.assignments') }} as efficiency_ratio,
    coalesce(task_measures.resolution_microseconds, 0) as resolution_microseconds,
    task_measures.mttr_minutes,
    {{ percentile('task_measures.resolution_percentiles', 1) }} / 60e6 as p90_resolution_minutes,
    coalesce(check_measures.policy_checks, 0) as policy_checks,
    coalesce(check_measures.compliant_checks, 0) as compliant_checks,
    greatest(
        coalesce(task_measures.loaded_through, 0), coalesce(check_measures.loaded_through, 0)
    ) as loaded_through,
from task_measures
full outer join check_measures
    on task_measures.tenant_id = check_measures.tenant_id
    and task_measures.swarm_id = check_measures.swarm_id
    and task_measures.date = check_measures.date
