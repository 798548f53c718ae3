{{ config(
    materialized='incremental', incremental_strategy='touched', meta={'partition': ['tenant_id', 'service', 'month']},
) }}

{%- call touched_partitions() %}
    select tenant_id, service, month from {{ ref('int_production_deployments') }} where {{ is_new() }}
    union all
    select deployments.tenant_id, deployments.service, deployments.month
    from {{ ref('int_production_deployments') }} as deployments
    inner join {{ ref('int_deployment_failures') }} as failures
        on deployments.tenant_id = failures.tenant_id
        and deployments.service = failures.service
        and deployments.deployment_id = failures.deployment_id
    where {{ is_new('failures.loaded_through') }}
{%- endcall %}

with

deployments as (
    select deployments.*
    from {{ ref('int_production_deployments') }} as deployments
    {{ in_touched_partitions('deployments') }}
),

failures as (
    select
        tenant_id,
        service,
        deployment_id,
        restore_microseconds,
        loaded_through,
    from {{ ref('int_deployment_failures') }}
),

measured as (
    select
        deployments.tenant_id,
        deployments.service,
        deployments.month,
        count(*) as deployments,
        {{ percentiles('deployments.lead_time_microseconds', [0.5]) }} as lead_time_percentiles,
        count(failures.deployment_id) as failed_deployments,
        {{ percentiles('failures.restore_microseconds', [0.5]) }} as restore_percentiles,
        greatest(max(deployments.load_id), coalesce(max(failures.loaded_through), 0)) as loaded_through,
    from deployments
    left join failures
        on deployments.tenant_id = failures.tenant_id
        and deployments.service = failures.service
        and deployments.deployment_id = failures.deployment_id
    group by deployments.tenant_id, deployments.service, deployments.month
),

rated as (
    select
        tenant_id,
        service,
        month,
        extract(day from {{ dbt.last_day('month', 'month') }}) as month_days,
        deployments,
        failed_deployments,
        {{ percentile('lead_time_percentiles', 1) }} / 3600e6 as median_lead_time_hours,
        {{ rate('failed_deployments', 'deployments') }} as change_failure_rate,
        {{ percentile('restore_percentiles', 1) }} / 3600e6 as median_hours_to_restore,
        loaded_through,
    from measured
)

select
    tenant_id,
    service,
    month,
    deployments,
    median_lead_time_hours,
    change_failure_rate,
    median_hours_to_restore,
    {{ dora_band(
        'deployments', 'month_days', 'failed_deployments', 'median_lead_time_hours', 'median_hours_to_restore'
    ) }} as dora_band,
    loaded_through,
from rated
