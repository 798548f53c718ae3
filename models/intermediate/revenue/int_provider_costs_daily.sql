{{ config(
    materialized='incremental', incremental_strategy='touched', meta={'partition': ['tenant_id', 'date']},
) }}

{%- call touched_partitions() %}
    select tenant_id, date from (
        select tenant_id, load_id, cast(occurred_at as date) as date from {{ ref('int_provider_calls_priced') }}
    ) as events
    where {{ is_new() }}
{%- endcall %}

with

dated as (
    select
        tenant_id,
        cast(occurred_at as date) as date,
        cost_usd,
        load_id,
    from {{ ref('int_provider_calls_priced') }}
    {{ around_touched_dates('occurred_at') }}
),

calls as (
    select dated.*
    from dated
    {{ in_touched_partitions('dated') }}
)

select
    tenant_id,
    date,
    {{ sum_money('cost_usd') }} as cost_usd,
    max(load_id) as loaded_through,
from calls
group by tenant_id, date
