{{ config(
    materialized='incremental', incremental_strategy='touched', meta={'partition': ['tenant_id', 'swarm_id', 'date']},
) }}

{#- A day's ratio is in the baseline of the 28 days after it. -#}
{%- call touched_partitions() %}
    select changed.tenant_id, changed.swarm_id, {{ add_days('changed.date', 'days.number') }} as date
    from ({{ swarm_days_of_new_events() }}) as changed
    cross join ({{ number_series(0, 28) }}) as days
{%- endcall %}

with

days as (
    select days.*
    from {{ ref('int_swarm_days') }} as days
    {{ in_touched_partitions('days') }}
),

known as (
    select
        tenant_id,
        swarm_id,
        date,
        efficiency_ratio,
        loaded_through,
    from {{ ref('int_swarm_days') }}
    where efficiency_ratio is not null
),

days_before as (
    {{ number_series(1, 28) }}
),

compared as (
    select
        days.tenant_id,
        days.swarm_id,
        days.date,
        {{ add_days('days.date', '-days_before.number') }} as known_on,
    from days
    cross join days_before
),

-- One row per day and known ratio of the 28 days before it.
baseline as (
    select
        compared.tenant_id,
        compared.swarm_id,
        compared.date,
        known.efficiency_ratio,
        known.loaded_through,
    from compared
    inner join known
        on compared.tenant_id = known.tenant_id
        and compared.swarm_id = known.swarm_id
        and compared.known_on = known.date
),

centres as (
    select
        tenant_id,
        swarm_id,
        date,
        {{ percentiles('efficiency_ratio', [0.5]) }} as medians,
        max(loaded_through) as loaded_through,
    from baseline
    group by tenant_id, swarm_id, date
    having count(*) >= 7
),

deviations as (
    select
        baseline.tenant_id,
        baseline.swarm_id,
        baseline.date,
        abs(baseline.efficiency_ratio - {{ percentile('centres.medians', 1) }}) as deviation,
    from baseline
    inner join centres
        on baseline.tenant_id = centres.tenant_id
        and baseline.swarm_id = centres.swarm_id
        and baseline.date = centres.date
),

spreads as (
    select
        tenant_id,
        swarm_id,
        date,
        {{ percentiles('deviation', [0.5]) }} as mads,
    from deviations
    group by tenant_id, swarm_id, date
),

judged as (
    select
        days.*,
        {{ percentile('centres.medians', 1) }} as baseline_median,
        {{ percentile('spreads.mads', 1) }} as baseline_mad,
        centres.loaded_through as baseline_loaded_through,
    from days
    left join centres
        on days.tenant_id = centres.tenant_id
        and days.swarm_id = centres.swarm_id
        and days.date = centres.date
    left join spreads
        on days.tenant_id = spreads.tenant_id
        and days.swarm_id = spreads.swarm_id
        and days.date = spreads.date
)

select
    tenant_id,
    swarm_id,
    date,
    assignments,
    resolutions,
    successful_resolutions,
    escalations,
    efficiency_ratio,
    mttr_minutes,
    p90_resolution_minutes,
    policy_checks,
    {{ rate('compliant_checks', 'policy_checks') }} as governance_score,
    coalesce(
        baseline_mad > 0 and abs(efficiency_ratio - baseline_median) > 3 * 1.4826 * baseline_mad, false
    ) as is_outlier,
    greatest(loaded_through, coalesce(baseline_loaded_through, 0)) as loaded_through,
from judged
