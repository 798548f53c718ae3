{{ config(
    materialized='incremental', incremental_strategy='touched', meta={'partition': ['tenant_id'], 'boundary': 'local_day'},
) }}

{%- call touched_partitions() %}
    select tenant_id from (
        {{ tenants_of_changed_windows(ref('int_usage_hours'), days_back=28, load_column='load_id') }}
    ) as found
{%- endcall %}

with

windows as (
    {{ tenant_windows(ref('int_usage_hours'), [28]) }}
),

recent as (
    select
        hours.tenant_id,
        hours.metric,
        {{ weekday('hours.date') }} as day_of_week,
        cast(hours.hour as varchar) as hour,
        hours.events,
        hours.load_id,
    from {{ ref('int_usage_hours') }} as hours
    inner join windows
        on hours.tenant_id = windows.tenant_id
        and hours.date >= windows.first_date
        and hours.date < windows.end_date
),

cells as (
    select
        tenant_id,
        metric,
        day_of_week,
        hour,
        {{ sum_count('events') }} as events,
        max(load_id) as loaded_through,
    from recent
    group by tenant_id, metric, day_of_week, hour
),

compared as (
    select
        *,
        sum(events) over (partition by tenant_id, metric) as all_events,
        max(events) over (partition by tenant_id, metric) as most_events,
        max(loaded_through) over (partition by tenant_id, metric) as all_loaded_through,
    from cells
)

select
    tenant_id,
    metric,
    day_of_week,
    hour,
    events,
    {{ rate('events', 'all_events') }} as share,
    events = most_events as is_peak,
    all_loaded_through as loaded_through,
from compared
