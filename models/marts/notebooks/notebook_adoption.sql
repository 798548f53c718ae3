{{ config(materialized='table', meta={'boundary': 'day'}) }}

with

registered as (
    select
        tenant_id,
        workspace_id,
        blueprint_id,
    from {{ ref('workspaces') }}
),

workspace_days as (
    select
        tenant_id,
        workspace_id,
        date,
        runs,
        automated_runs,
        newest_blueprint_id,
        loaded_through,
        row_number() over (partition by tenant_id, workspace_id order by date desc) as recency,
    from {{ ref('int_workspace_days') }}
),

author_days as (
    select
        tenant_id,
        workspace_id,
        user_id,
    from {{ ref('int_workspace_author_days') }}
    where {{ in_complete_days('date', 30) }}
),

-- Every workspace ever seen, with what it did in the window.
seen as (
    select
        tenant_id,
        workspace_id,
        max(case when recency = 1 then newest_blueprint_id end) as newest_blueprint_id,
        {{ sum_count('case when ' ~ in_complete_days('date', 30) ~ ' then runs end') }} as runs,
        {{ sum_count('case when ' ~ in_complete_days('date', 30) ~ ' then automated_runs end') }} as automated_runs,
        max(loaded_through) as loaded_through,
    from workspace_days
    group by tenant_id, workspace_id
),

authors as (
    select
        tenant_id,
        workspace_id,
        count(distinct user_id) as unique_authors,
    from author_days
    group by tenant_id, workspace_id
),

workspaces as (
    select
        coalesce(registered.tenant_id, seen.tenant_id) as tenant_id,
        coalesce(registered.workspace_id, seen.workspace_id) as workspace_id,
        coalesce(registered.blueprint_id, seen.newest_blueprint_id) as blueprint_id,
        registered.workspace_id is not null as is_registered,
        coalesce(seen.runs, 0) as runs,
        coalesce(seen.automated_runs, 0) as automated_runs,
        coalesce(seen.loaded_through, 0) as loaded_through,
    from registered
    full outer join seen
        on registered.tenant_id = seen.tenant_id
        and registered.workspace_id = seen.workspace_id
)

select
    workspaces.tenant_id,
    workspaces.workspace_id,
    workspaces.blueprint_id,
    workspaces.is_registered,
    coalesce(authors.unique_authors, 0) as unique_authors,
    workspaces.runs,
    workspaces.automated_runs,
    {{ rate('workspaces.automated_runs', 'workspaces.runs') }} as automation_rate,
    case
        when workspaces.runs = 0 then 'inactive'
        when workspaces.automated_runs > 0 then 'automated'
        else 'manual'
    end as adoption_mode,
    workspaces.loaded_through,
from workspaces
left join authors
    on workspaces.tenant_id = authors.tenant_id
    and workspaces.workspace_id = authors.workspace_id
