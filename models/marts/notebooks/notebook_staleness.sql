{{ config(materialized='table', meta={'boundary': 'instant'}) }}

with

complete_days as (
    select
        tenant_id,
        notebook_id,
        date,
        runs,
        automated_runs,
        first_run_at,
        last_run_at,
        loaded_through,
    from {{ ref('int_notebook_days') }}
    where date < {{ clock_day() }}
),

-- Of the data clock's own day, what had happened by then.
running_day as (
    select
        tenant_id,
        notebook_id,
        {{ clock_day() }} as date,
        count(*) as runs,
        {{ count_where("trigger = 'automation'") }} as automated_runs,
        min(occurred_at) as first_run_at,
        max(occurred_at) as last_run_at,
        max(load_id) as loaded_through,
    from {{ ref('stg_notebooks__runs') }}
    where occurred_at >= {{ clock_day() }} and occurred_at <= {{ as_of() }}
    group by tenant_id, notebook_id
),

days as (
    select * from complete_days
    union all
    select * from running_day
),

notebooks as (
    select
        tenant_id,
        notebook_id,
        {{ sum_count('runs') }} as runs,
        min(first_run_at) as first_run_at,
        max(last_run_at) as last_run_at,
        sum(case when {{ in_complete_days('date', 7) }} then runs end) as runs_7d,
        sum(case when {{ in_complete_days('date', 7) }} then automated_runs end) as automated_runs_7d,
        sum(case when {{ in_complete_days('date', 7, ago=7) }} then runs end) as previous_runs_7d,
        sum(case when {{ in_complete_days('date', 7, ago=7) }} then automated_runs end) as previous_automated_runs_7d,
        max(loaded_through) as loaded_through,
    from days
    group by tenant_id, notebook_id
),

-- All gaps of a notebook together are the time from its first run to its last.
timed as (
    select
        *,
        runs - 1 as gaps,
        {{ microseconds_between('first_run_at', 'last_run_at') }} as gap_microseconds,
        {{ microseconds_between('last_run_at', as_of()) }} as idle_microseconds,
    from notebooks
)

select
    tenant_id,
    notebook_id,
    runs,
    last_run_at,
    idle_microseconds / 3600e6 as hours_since_last_run,
    {{ rate('gap_microseconds', 'gaps') }} / 3600e6 as mean_hours_between_runs,
    gaps > 0 and {{ to_wide('idle_microseconds') }} * gaps > 3 * {{ to_wide('gap_microseconds') }} as is_stale,
    {{ rate('automated_runs_7d', 'runs_7d') }} - {{ rate('previous_automated_runs_7d', 'previous_runs_7d') }}
        as automation_drift,
    loaded_through,
from timed
