{{ config(
    materialized='incremental', incremental_strategy='touched', meta={'partition': ['tenant_id', 'date']},
) }}

{#- A run changes its own day and that of the notebook's next run, of any kind or its own: their gaps begin with it. -#}
{%- call touched_partitions() %}
    with new_runs as (
        {{ new_utc_dates(ref('stg_notebooks__runs'), ['tenant_id', 'notebook_id', 'trigger']) }}
    ),

    later_days as (
        select
            new_runs.tenant_id,
            new_runs.notebook_id,
            new_runs.trigger,
            new_runs.date,
            days.date as later_date,
            case
                when new_runs.trigger = 'automation' then days.last_automated_run_at
                else days.last_manual_run_at
            end is not null as is_of_kind,
        from new_runs
        inner join {{ ref('int_notebook_days') }} as days
            on new_runs.tenant_id = days.tenant_id
            and new_runs.notebook_id = days.notebook_id
            and new_runs.date < days.date
    )

    select tenant_id, date from new_runs
    union all
    select tenant_id, min(later_date) as date from later_days
    group by tenant_id, notebook_id, trigger, date
    union all
    select tenant_id, min(later_date) as date from later_days
    where is_of_kind
    group by tenant_id, notebook_id, trigger, date
{%- endcall %}

with

runs as (
    {{ by_utc_date(
        ref('stg_notebooks__runs'),
        ['tenant_id', 'notebook_id', 'scope', 'trigger', 'succeeded', 'occurred_at', 'event_id'],
    ) }}
),

policies as (
    select
        scope,
        min_runs_per_hour,
    from {{ ref('notebook_policies') }}
),

notebooks as (
    select distinct
        tenant_id,
        notebook_id,
    from runs
),

-- Of each day on which one of these notebooks ran: when it ran last before that day.
days as (
    select
        days.tenant_id,
        days.notebook_id,
        days.date,
        max(days.last_run_at) over days_before as previous_run_at,
        max(days.last_automated_run_at) over days_before as previous_automated_run_at,
        max(days.last_manual_run_at) over days_before as previous_manual_run_at,
        greatest(
            days.loaded_through,
            coalesce(
                lag(days.loaded_through) over (partition by days.tenant_id, days.notebook_id order by days.date), 0
            )
        ) as loaded_through,
    from {{ ref('int_notebook_days') }} as days
    inner join notebooks
        on days.tenant_id = notebooks.tenant_id
        and days.notebook_id = notebooks.notebook_id
    window days_before as (
        partition by days.tenant_id, days.notebook_id order by days.date
        rows between unbounded preceding and 1 preceding
    )
),

ordered as (
    select
        *,
        lag(occurred_at) over (
            partition by tenant_id, notebook_id, date order by occurred_at, event_id
        ) as previous_run_at,
        lag(occurred_at) over (
            partition by tenant_id, notebook_id, date, trigger order by occurred_at, event_id
        ) as previous_run_of_kind_at,
    from runs
),

gaps as (
    select
        ordered.tenant_id,
        ordered.scope,
        ordered.date,
        ordered.trigger,
        ordered.succeeded,
        {{ microseconds_between(
            'coalesce(ordered.previous_run_at, days.previous_run_at)', 'ordered.occurred_at'
        ) }} as gap_microseconds,
        {{ microseconds_between(
            "coalesce(ordered.previous_run_of_kind_at, case when ordered.trigger = 'automation' "
            ~ "then days.previous_automated_run_at else days.previous_manual_run_at end)",
            'ordered.occurred_at',
        ) }} as gap_of_kind_microseconds,
        days.loaded_through,
    from ordered
    inner join days
        on ordered.tenant_id = days.tenant_id
        and ordered.notebook_id = days.notebook_id
        and ordered.date = days.date
),

measured as (
    select
        tenant_id,
        scope,
        date,
        count(*) as runs,
        {{ count_where("trigger = 'automation'") }} as automated_runs,
        {{ count_where("trigger = 'manual'") }} as manual_runs,
        {{ count_where('succeeded') }} as successful_runs,
        avg(gap_microseconds) / 60e6 as mean_minutes_between_runs,
        avg(case when trigger = 'automation' then gap_of_kind_microseconds end) / 60e6
            as mean_minutes_between_automated,
        avg(case when trigger = 'manual' then gap_of_kind_microseconds end) / 60e6 as mean_minutes_between_manual,
        max(loaded_through) as loaded_through,
    from gaps
    group by tenant_id, scope, date
),

paced as (
    select
        measured.*,
        {{ rate('measured.runs', 24) }} as cadence_per_hour,
        coalesce(policies.min_runs_per_hour, 0.05) as min_runs_per_hour,
    from measured
    left join policies on measured.scope = policies.scope
)

select
    tenant_id,
    scope,
    date,
    runs,
    automated_runs,
    manual_runs,
    successful_runs,
    {{ rate('successful_runs', 'runs') }} as success_rate,
    mean_minutes_between_runs,
    mean_minutes_between_automated,
    mean_minutes_between_manual,
    cadence_per_hour,
    min_runs_per_hour,
    cadence_per_hour < min_runs_per_hour as below_policy,
    loaded_through,
from paced
