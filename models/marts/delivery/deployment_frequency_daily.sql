{{ config(
    materialized='incremental',
    incremental_strategy='touched',
    meta={'partition': ['tenant_id', 'service', 'date'], 'boundary': 'day'},
) }}

{%- set clock_day = 'cast(' ~ as_of() ~ ' as date)' %}
{%- set clock_day_before = 'cast(' ~ as_of_before() ~ ' as date)' %}

{#-
    A deployment shows in the windows of 30 days. A service's new first day brings the days up to its old first day, or up to
    the data clock; a data clock on another day brings, or takes, the days between.
-#}
{%- call touched_partitions() %}
    with daily as (
        select * from {{ ref('int_deployments_daily') }}
    ),

    spans as (
        select tenant_id, service, date as first_day, {{ add_days('date', 29) }} as last_day from daily
        where {{ is_new('loaded_through') }}
        union all
        select
            tenant_id,
            service,
            min(date) as first_day,
            coalesce(
                min(case when first_load_id <= {{ model_state().loaded_through }} then date end), {{ clock_day }}
            ) as last_day,
        from daily
        group by tenant_id, service
        having coalesce(
            min(date) < min(case when first_load_id <= {{ model_state().loaded_through }} then date end), true
        )
        union all
        select
            tenant_id,
            service,
            greatest(
                least(coalesce({{ clock_day }}, min(date)), coalesce({{ clock_day_before }}, min(date))), min(date)
            ) as first_day,
            greatest({{ clock_day }}, {{ clock_day_before }}) as last_day,
        from daily
        where {{ day_passed() }}
        group by tenant_id, service
    ),

    calendar as (
        {{ date_series('(select min(first_day) from spans)', '(select max(last_day) from spans)') }}
    )

    select spans.tenant_id, spans.service, calendar.date_day as date
    from spans
    inner join calendar on calendar.date_day between spans.first_day and spans.last_day
{%- endcall %}

with

daily as (
    select * from {{ ref('int_deployments_daily') }}
),

services as (
    select
        tenant_id,
        service,
        min(date) as first_day,
        max(date) as last_day,
    from daily
    group by tenant_id, service
),

{% if is_incremental() -%}
days as (
    select touched.tenant_id, touched.service, touched.date, services.first_day
    from {{ touched_relation() }} as touched
    inner join services
        on touched.tenant_id = services.tenant_id
        and touched.service = services.service
        and touched.date >= services.first_day
),
{%- else -%}
calendar as (
    {{ date_series(
        '(select min(first_day) from services)',
        '(select greatest(max(last_day), coalesce(' ~ clock_day ~ ', max(last_day))) from services)'
    ) }}
),

days as (
    select
        services.tenant_id,
        services.service,
        calendar.date_day as date,
        services.first_day,
    from services
    inner join calendar
        on calendar.date_day >= services.first_day
        and calendar.date_day <= greatest(services.last_day, coalesce({{ clock_day }}, services.last_day))
),
{%- endif %}

days_before as (
    {{ number_series(0, 29) }}
),

windows as (
    select
        days.tenant_id,
        days.service,
        days.date,
        days.first_day,
        {{ sum_count('case when days_before.number = 0 then daily.deployments end') }} as deployments,
        {{ sum_count('case when days_before.number < 7 then daily.deployments end') }} as deployments_7d,
        {{ sum_count('daily.deployments') }} as deployments_30d,
        {{ sum_count('case when days_before.number between 7 and 13 then daily.deployments end') }}
            as deployments_7d_before,
        max(daily.loaded_through) as loaded_through,
    from days
    cross join days_before
    left join daily
        on days.tenant_id = daily.tenant_id
        and days.service = daily.service
        and {{ add_days('days.date', '-days_before.number') }} = daily.date
    group by days.tenant_id, days.service, days.date, days.first_day
),

compared as (
    select
        windows.tenant_id,
        windows.service,
        windows.date,
        windows.deployments,
        windows.deployments_7d,
        windows.deployments_30d,
        windows.deployments_7d - windows.deployments_7d_before as delta_7d,
        coalesce(windows.loaded_through, first_days.loaded_through) as loaded_through,
    from windows
    inner join daily as first_days
        on windows.tenant_id = first_days.tenant_id
        and windows.service = first_days.service
        and windows.first_day = first_days.date
    where windows.deployments > 0 or windows.date <= {{ clock_day }}
)

select
    tenant_id,
    service,
    date,
    deployments,
    deployments_7d,
    deployments_30d,
    {{ rate('deployments_7d', 7) }} as moving_average_7d,
    delta_7d,
    case
        when delta_7d > 0 then 'accelerating'
        when delta_7d < 0 then 'slowing'
        else 'steady'
    end as trend,
    loaded_through,
from compared
