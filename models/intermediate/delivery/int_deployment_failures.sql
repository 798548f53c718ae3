{{ config(
    materialized='incremental',
    incremental_strategy='touched',
    meta={'partition': ['tenant_id', 'service', 'deployment_id'], 'date_column': 'failed_on'},
) }}

{%- call touched_partitions() %}
    select tenant_id, service, deployment_id from (
        select tenant_id, service, deployment_id, load_id, cast(occurred_at as date) as failed_on
        from {{ ref('stg_delivery__failures') }}
        union all
        select tenant_id, service, deployment_id, load_id, cast(occurred_at as date) as failed_on
        from {{ ref('stg_delivery__restorations') }}
    ) as events
    where {{ is_new() }}
{%- endcall %}

with

failures as (
    select
        failures.tenant_id,
        failures.service,
        failures.deployment_id,
        failures.occurred_at,
        failures.load_id,
    from {{ ref('stg_delivery__failures') }} as failures
    {{ in_touched_partitions('failures') }}
),

restorations as (
    select
        restorations.tenant_id,
        restorations.service,
        restorations.deployment_id,
        restorations.occurred_at,
        restorations.load_id,
    from {{ ref('stg_delivery__restorations') }} as restorations
    {{ in_touched_partitions('restorations') }}
),

first_failures as (
    select
        tenant_id,
        service,
        deployment_id,
        min(occurred_at) as failed_at,
        max(load_id) as loaded_through,
    from failures
    group by tenant_id, service, deployment_id
),

restored as (
    select
        first_failures.tenant_id,
        first_failures.service,
        first_failures.deployment_id,
        first_failures.failed_at,
        min(
            case when restorations.occurred_at >= first_failures.failed_at then restorations.occurred_at end
        ) as restored_at,
        greatest(first_failures.loaded_through, coalesce(max(restorations.load_id), 0)) as loaded_through,
    from first_failures
    left join restorations
        on first_failures.tenant_id = restorations.tenant_id
        and first_failures.service = restorations.service
        and first_failures.deployment_id = restorations.deployment_id
    group by
        first_failures.tenant_id,
        first_failures.service,
        first_failures.deployment_id,
        first_failures.failed_at,
        first_failures.loaded_through
)

select
    tenant_id,
    service,
    deployment_id,
    cast(failed_at as date) as failed_on,
    failed_at,
    restored_at,
    {{ microseconds_between('failed_at', 'restored_at') }} as restore_microseconds,
    loaded_through,
from restored
