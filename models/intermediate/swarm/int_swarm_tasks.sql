{{ config(
    materialized='incremental',
    incremental_strategy='touched',
    meta={'partition': ['tenant_id', 'swarm_id', 'task_id'], 'date_column': 'assigned_on'},
) }}

{%- call touched_partitions() %}
    select tenant_id, swarm_id, task_id from (
        select tenant_id, swarm_id, task_id, load_id, cast(occurred_at as date) as assigned_on
        from {{ ref('stg_swarm__assignments') }}
        union all
        select tenant_id, swarm_id, task_id, load_id, cast(occurred_at as date) as assigned_on
        from {{ ref('stg_swarm__resolutions') }}
        union all
        select tenant_id, swarm_id, task_id, load_id, cast(occurred_at as date) as assigned_on
        from {{ ref('stg_swarm__escalations') }}
    ) as events
    where {{ is_new() }}
{%- endcall %}

with

assignments as (
    select
        assignments.tenant_id,
        assignments.swarm_id,
        assignments.task_id,
        assignments.occurred_at,
        assignments.load_id,
    from {{ ref('stg_swarm__assignments') }} as assignments
    {{ in_touched_partitions('assignments') }}
),

resolutions as (
    select
        resolutions.tenant_id,
        resolutions.swarm_id,
        resolutions.task_id,
        resolutions.occurred_at,
        resolutions.succeeded,
        resolutions.load_id,
        row_number() over (
            partition by resolutions.tenant_id, resolutions.swarm_id, resolutions.task_id
            order by resolutions.occurred_at, resolutions.event_id
        ) as place,
    from {{ ref('stg_swarm__resolutions') }} as resolutions
    {{ in_touched_partitions('resolutions') }}
),

escalations as (
    select
        escalations.tenant_id,
        escalations.swarm_id,
        escalations.task_id,
        escalations.load_id,
    from {{ ref('stg_swarm__escalations') }} as escalations
    {{ in_touched_partitions('escalations') }}
),

-- What each event says of its task, NULL where it says nothing.
facts as (
    select
        tenant_id,
        swarm_id,
        task_id,
        occurred_at as assigned_at,
        cast(null as timestamp) as resolved_at,
        cast(null as boolean) as succeeded,
        0 as escalated,
        load_id,
    from assignments
    union all
    select
        tenant_id,
        swarm_id,
        task_id,
        null as assigned_at,
        case when place = 1 then occurred_at end as resolved_at,
        case when place = 1 then succeeded end as succeeded,
        0 as escalated,
        load_id,
    from resolutions
    union all
    select
        tenant_id,
        swarm_id,
        task_id,
        null as assigned_at,
        null as resolved_at,
        null as succeeded,
        1 as escalated,
        load_id,
    from escalations
),

tasks as (
    select
        tenant_id,
        swarm_id,
        task_id,
        min(assigned_at) as assigned_at,
        min(resolved_at) as resolved_at,
        min(case when succeeded then 1 when not succeeded then 0 end) = 1 as succeeded,
        max(escalated) = 1 as is_escalated,
        max(load_id) as loaded_through,
    from facts
    group by tenant_id, swarm_id, task_id
)

select
    tenant_id,
    swarm_id,
    task_id,
    cast(assigned_at as date) as assigned_on,
    assigned_at,
    resolved_at,
    succeeded,
    {{ microseconds_between('assigned_at', 'resolved_at') }} as resolution_microseconds,
    is_escalated,
    loaded_through,
from tasks
