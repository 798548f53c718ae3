{{ config(materialized='incremental', incremental_strategy='append') }}

with

rate_limits as (
    select
        load_id,
        event_type,
        occurred_at,
        tenant_id,
        provider,
        model,
    from {{ ref('stg_provider__rate_limits') }}
    where {{ is_new() }}
),

errors as (
    select
        load_id,
        event_type,
        occurred_at,
        tenant_id,
        provider,
        model,
    from {{ ref('stg_provider__errors') }}
    where {{ is_new() }}
),

faults as (
    select * from rate_limits
    union all
    select * from errors
)

select
    faults.load_id,
    faults.event_type,
    faults.tenant_id,
    {{ local_date('faults') }} as date,
    faults.provider,
    faults.model,
from faults
{{ tenant_calendar('faults') }}
