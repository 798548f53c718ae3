{{ config(materialized='incremental', incremental_strategy='append') }}

with

deployments as (
    select
        load_id,
        tenant_id,
        service,
        deployment_id,
        occurred_at,
        committed_at,
    from {{ ref('stg_delivery__deployments') }}
    where environment = 'production' and succeeded and {{ is_new() }}
)

select
    load_id,
    tenant_id,
    service,
    deployment_id,
    cast(occurred_at as date) as date,
    {{ month_of('occurred_at') }} as month,
    {{ microseconds_between('committed_at', 'occurred_at') }} as lead_time_microseconds,
from deployments
