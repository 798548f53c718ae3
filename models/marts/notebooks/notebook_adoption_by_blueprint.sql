{{ config(materialized='table', meta={'boundary': 'day'}) }}

with

workspaces as (
    select
        tenant_id,
        workspace_id,
        blueprint_id,
        adoption_mode,
        loaded_through,
    from {{ ref('notebook_adoption') }}
),

author_days as (
    select
        tenant_id,
        workspace_id,
        user_id,
    from {{ ref('int_workspace_author_days') }}
    where {{ in_complete_days('date', 30) }}
),

modes as (
    select
        tenant_id,
        blueprint_id,
        count(*) as workspaces,
        {{ count_where("adoption_mode = 'inactive'") }} as inactive_workspaces,
        {{ count_where("adoption_mode = 'automated'") }} as automated_workspaces,
        {{ count_where("adoption_mode = 'manual'") }} as manual_workspaces,
        max(loaded_through) as loaded_through,
    from workspaces
    group by tenant_id, blueprint_id
),

-- An author of several workspaces of the blueprint is one.
authors as (
    select
        workspaces.tenant_id,
        workspaces.blueprint_id,
        count(distinct author_days.user_id) as unique_authors,
    from workspaces
    inner join author_days
        on workspaces.tenant_id = author_days.tenant_id
        and workspaces.workspace_id = author_days.workspace_id
    group by workspaces.tenant_id, workspaces.blueprint_id
)

select
    modes.tenant_id,
    modes.blueprint_id,
    modes.workspaces,
    modes.inactive_workspaces,
    modes.automated_workspaces,
    modes.manual_workspaces,
    coalesce(authors.unique_authors, 0) as unique_authors,
    {{ rate('modes.workspaces - modes.inactive_workspaces', 'modes.workspaces') }} as coverage,
    modes.loaded_through,
from modes
left join authors
    on modes.tenant_id = authors.tenant_id
    and modes.blueprint_id = authors.blueprint_id
