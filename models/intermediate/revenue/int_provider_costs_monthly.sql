{{ config(
    materialized='incremental', incremental_strategy='touched', meta={'partition': ['tenant_id', 'month']},
) }}

{%- call touched_partitions() %}
    select tenant_id, month from (
        select tenant_id, load_id, {{ month_of('occurred_at') }} as month from {{ ref('int_provider_calls_priced') }}
    ) as events
    where {{ is_new() }}
{%- endcall %}

with

dated as (
    select
        tenant_id,
        {{ month_of('occurred_at') }} as month,
        cost_usd,
        load_id,
    from {{ ref('int_provider_calls_priced') }}
),

calls as (
    select dated.*
    from dated
    {{ in_touched_partitions('dated') }}
)

select
    tenant_id,
    month,
    {{ sum_money('cost_usd') }} as cost_usd,
    max(load_id) as loaded_through,
from calls
group by tenant_id, month
