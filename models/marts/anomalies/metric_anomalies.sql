{{ config(
    materialized='incremental',
    incremental_strategy='touched',
    meta={'partition': ['metric', 'tenant_id', 'entity', 'date'], 'boundary': 'local_day'},
) }}

{#-
    A value is in the baseline of its weekday in the 8 weeks after it. Values change with newer loads, and come in when the
    clock has passed their day; a day of CRC cycles can lose one to another day, too, and that without any newer load.
-#}
{%- call touched_partitions() %}
    with days as (
        select * from {{ ref('int_daily_metrics') }}
    ),

    clocks as (
        {{ metric_clocks() }}
    ),

    changed as (
        select metric, tenant_id, entity, date from days
        where {{ is_new('loaded_through') }}
        union all
        select days.metric, days.tenant_id, days.entity, days.date
        from days
        left join clocks on days.tenant_id = clocks.tenant_id
        where {{ is_complete_metric_day('days', 'clocks') }}
            is distinct from {{ is_complete_metric_day('days', 'clocks', before=true) }}
        union all
        select known.metric, known.tenant_id, known.entity, known.date
        from {{ this }} as known
        left join days
            on known.metric = days.metric
            and known.tenant_id = days.tenant_id
            and known.entity = days.entity
            and known.date = days.date
        where known.metric = 'crc_completions' and known.value is distinct from days.value
    )

    select changed.metric, changed.tenant_id, changed.entity, {{ add_days('changed.date', '7 * weeks.number') }} as date
    from changed
    cross join ({{ number_series(0, 8) }}) as weeks
{%- endcall %}

with

clocks as (
    {{ metric_clocks() }}
),

-- Of the touched days and of their baselines, which reach back 8 weeks.
recent as (
    select * from {{ ref('int_daily_metrics') }}
    {{ around_touched_dates('date', days_before=8 * 7) }}
),

days as (
    select days.*
    from recent as days
    left join clocks on days.tenant_id = clocks.tenant_id
    {%- if is_incremental() %}
    inner join (select distinct metric, tenant_id, entity from {{ touched_relation() }}) as touched
        on days.metric = touched.metric
        and days.tenant_id = touched.tenant_id
        and days.entity = touched.entity
    {%- endif %}
    where {{ is_complete_metric_day('days', 'clocks') }}
),

numbered as (
    select
        *,
        {{ weekday('date') }} as weekday,
        {{ dbt.datediff("cast('1970-01-01' as date)", 'date', 'day') }} as day_number,
    from days
),

-- The 8 days before that are of the same weekday, those of them that have a value.
compared as (
    select
        *,
        count(*) over baseline as baseline_days,
        {{ median_over('value', 'baseline') }} as baseline_median,
        {{ mad_over('value', 'baseline') }} as baseline_mad,
        max(loaded_through) over baseline as baseline_loaded_through,
    from numbered
    window baseline as (
        partition by metric, tenant_id, entity, weekday
        order by day_number range between 56 preceding and 7 preceding
    )
),

scored as (
    select
        compared.*,
        {{ robust_score('value', 'baseline_median', 'baseline_mad') }} as score,
    from compared
    {{ in_touched_partitions('compared') }}
)

select
    metric,
    tenant_id,
    entity,
    date,
    value,
    case when baseline_days >= 4 then baseline_median end as expected,
    case when baseline_days >= 4 then score end as score,
    baseline_days >= 4 and {{ is_robust_anomaly('score') }} as is_anomaly,
    greatest(loaded_through, coalesce(baseline_loaded_through, 0)) as loaded_through,
from scored
