{{ config(
    materialized='incremental', incremental_strategy='touched', meta={'partition': ['tenant_id', 'service', 'date']},
) }}

{%- call touched_partitions() %}
    select tenant_id, service, date from {{ ref('int_production_deployments') }} where {{ is_new() }}
{%- endcall %}

with

deployments as (
    select deployments.*
    from {{ ref('int_production_deployments') }} as deployments
    {{ in_touched_partitions('deployments') }}
)

select
    tenant_id,
    service,
    date,
    count(*) as deployments,
    min(load_id) as first_load_id,
    max(load_id) as loaded_through,
from deployments
group by tenant_id, service, date
