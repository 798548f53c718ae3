{{ config(
    materialized='incremental',
    incremental_strategy='touched',
    meta={'partition': ['tenant_id', 'blueprint_id', 'workspace_id', 'date']},
) }}

{#-
    A new task changes the day on which its cycle began, or, if it is the cycle's first, the day before the news and the day
    now; each of them is in the baseline of the 7 days after it. An earlier first day of the group gives a baseline to days
    that had none.
-#}
{%- call touched_partitions() %}
    with tasks as (
        select tenant_id, blueprint_id, workspace_id, cycle_id, load_id, cast(occurred_at as date) as date
        from {{ ref('stg_crc__tasks') }}
    ),

    new_cycles as (
        select distinct tenant_id, blueprint_id, workspace_id, cycle_id from tasks
        where {{ is_new() }}
    ),

    starts as (
        select
            tasks.tenant_id,
            tasks.blueprint_id,
            tasks.workspace_id,
            min(tasks.date) as date_now,
            min(case when tasks.load_id <= {{ model_state().loaded_through }} then tasks.date end) as date_before,
        from tasks
        inner join new_cycles
            on tasks.tenant_id = new_cycles.tenant_id
            and tasks.blueprint_id = new_cycles.blueprint_id
            and tasks.workspace_id = new_cycles.workspace_id
            and tasks.cycle_id = new_cycles.cycle_id
        group by tasks.tenant_id, tasks.blueprint_id, tasks.workspace_id, tasks.cycle_id
    ),

    changed as (
        select tenant_id, blueprint_id, workspace_id, date_now as date from starts
        union all
        select tenant_id, blueprint_id, workspace_id, date_before as date from starts
        where date_before is not null
    ),

    first_days as (
        select
            known.tenant_id,
            known.blueprint_id,
            known.workspace_id,
            known.first_day as first_day_before,
            min(starts.date_now) as first_day,
        from starts
        inner join (
            select tenant_id, blueprint_id, workspace_id, min(date) as first_day from {{ this }}
            group by tenant_id, blueprint_id, workspace_id
        ) as known
            on starts.tenant_id = known.tenant_id
            and starts.blueprint_id = known.blueprint_id
            and starts.workspace_id = known.workspace_id
        group by known.tenant_id, known.blueprint_id, known.workspace_id, known.first_day
        having min(starts.date_now) < known.first_day
    )

    select tenant_id, blueprint_id, workspace_id, {{ add_days('changed.date', 'days.number') }} as date
    from changed
    cross join ({{ number_series(0, 7) }}) as days
    union all
    select tenant_id, blueprint_id, workspace_id, {{ add_days('first_day_before', 'days.number') }} as date
    from first_days
    cross join ({{ number_series(0, 6) }}) as days
    where {{ add_days('first_day_before', 'days.number') }} >= {{ add_days('first_day', 7) }}
{%- endcall %}

with

{% if is_incremental() -%}
-- The touched days, and of each the 7 days before that its baseline is made of.
days_read as (
    select distinct
        touched.tenant_id,
        touched.blueprint_id,
        touched.workspace_id,
        {{ add_days('touched.date', '-days_before.number') }} as date,
    from {{ touched_relation() }} as touched
    cross join ({{ number_series(0, 7) }}) as days_before
),
{%- endif %}

cycles as (
    select
        cycles.tenant_id,
        cycles.blueprint_id,
        cycles.workspace_id,
        cycles.cycle_id,
        cycles.started_on as date,
        cycles.completions,
        cycles.loaded_through,
    from {{ ref('crc_cycles') }} as cycles
    {%- if is_incremental() %}
    inner join days_read
        on cycles.tenant_id = days_read.tenant_id
        and cycles.blueprint_id = days_read.blueprint_id
        and cycles.workspace_id = days_read.workspace_id
        and cycles.started_on = days_read.date
    {%- endif %}
),

first_days as (
    select
        tenant_id,
        blueprint_id,
        workspace_id,
        min(started_on) as first_day,
    from {{ ref('crc_cycles') }}
    group by tenant_id, blueprint_id, workspace_id
),

blueprints as (
    select
        blueprint_id,
        blueprint_name,
        team,
    from {{ ref('blueprints') }}
),

daily as (
    select
        tenant_id,
        blueprint_id,
        workspace_id,
        date,
        count(*) as cycles,
        {{ sum_count('completions') }} as completions,
        {{ percentiles('completions', [0.5, 0.9, 0.99]) }} as completion_percentiles,
        max(loaded_through) as loaded_through,
    from cycles
    group by tenant_id, blueprint_id, workspace_id, date
),

compared as (
    select
        *,
        coalesce(sum(completions) over week_before, 0) as completions_week_before,
        max(loaded_through) over week_before as week_loaded_through,
    from daily
    window week_before as (
        partition by tenant_id, blueprint_id, workspace_id order by date
        range between interval '7 days' preceding and interval '1 day' preceding
    )
),

days as (
    select compared.*
    from compared
    {{ in_touched_partitions('compared') }}
),

-- Over the tasks of the cycles that began on the day, whenever they ended.
cycle_times as (
    select
        cycles.tenant_id,
        cycles.blueprint_id,
        cycles.workspace_id,
        cycles.date,
        {{ percentiles('tasks.cycle_time_ms', [0.5, 0.9, 0.99]) }} as cycle_time_percentiles,
    from cycles
    inner join {{ ref('stg_crc__tasks') }} as tasks
        on cycles.tenant_id = tasks.tenant_id
        and cycles.blueprint_id = tasks.blueprint_id
        and cycles.workspace_id = tasks.workspace_id
        and cycles.cycle_id = tasks.cycle_id
    {{ in_touched_partitions('cycles') }}
    group by cycles.tenant_id, cycles.blueprint_id, cycles.workspace_id, cycles.date
),

measured as (
    select
        days.*,
        blueprints.blueprint_name,
        blueprints.team,
        cycle_times.cycle_time_percentiles,
        case
            when days.date >= {{ add_days('first_days.first_day', 7) }} then days.completions_week_before
        end as baseline_completions,
    from days
    inner join first_days
        on days.tenant_id = first_days.tenant_id
        and days.blueprint_id = first_days.blueprint_id
        and days.workspace_id = first_days.workspace_id
    inner join cycle_times
        on days.tenant_id = cycle_times.tenant_id
        and days.blueprint_id = cycle_times.blueprint_id
        and days.workspace_id = cycle_times.workspace_id
        and days.date = cycle_times.date
    left join blueprints on days.blueprint_id = blueprints.blueprint_id
)

select
    tenant_id,
    blueprint_id,
    blueprint_name,
    team,
    workspace_id,
    date,
    cycles,
    completions,
    {{ rate('completions', 'cycles') }} as mean_completions_per_cycle,
    {{ percentile('completion_percentiles', 1) }} as p50_completions_per_cycle,
    {{ percentile('completion_percentiles', 2) }} as p90_completions_per_cycle,
    {{ percentile('completion_percentiles', 3) }} as p99_completions_per_cycle,
    {{ percentile('cycle_time_percentiles', 1) }} as p50_cycle_time_ms,
    {{ percentile('cycle_time_percentiles', 2) }} as p90_cycle_time_ms,
    {{ percentile('cycle_time_percentiles', 3) }} as p99_cycle_time_ms,
    {{ rate('baseline_completions', 7) }} as baseline_7d,
    {{ pct('7 * completions - baseline_completions', 'baseline_completions') }} as deviation_pct,
    -- in whole numbers: |deviation| > 50% and a baseline of 10 or more a day
    coalesce(
        baseline_completions >= 7 * 10 and 2 * abs(7 * completions - baseline_completions) > baseline_completions, false
    ) as is_anomaly,
    greatest(loaded_through, coalesce(week_loaded_through, 0)) as loaded_through,
from measured
