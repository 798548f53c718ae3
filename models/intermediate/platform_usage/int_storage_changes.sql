{{ config(materialized='incremental', incremental_strategy='append') }}

with

documents as (
    select
        load_id,
        tenant_id,
        occurred_at,
        storage_class,
        case when event_type = 'document.uploaded' then size_bytes else 0 end as bytes_added,
        case when event_type = 'document.deleted' then size_bytes else 0 end as bytes_removed,
    from {{ ref('stg_platform__documents') }}
    where {{ is_new() }}
),

dated as (
    select
        documents.*,
        {{ local_date('documents') }} as date,
    from documents
    {{ tenant_calendar('documents') }}
)

select
    load_id,
    tenant_id,
    storage_class,
    date,
    {{ to_wide('sum(bytes_added)') }} as bytes_added,
    {{ to_wide('sum(bytes_removed)') }} as bytes_removed,
from dated
group by load_id, tenant_id, storage_class, date
