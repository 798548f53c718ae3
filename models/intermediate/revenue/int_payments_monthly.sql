{{ config(
    materialized='incremental', incremental_strategy='touched', meta={'partition': ['tenant_id', 'month']},
) }}

{%- call touched_partitions() %}
    select tenant_id, month from (
        select tenant_id, load_id, {{ month_of('occurred_at') }} as month from {{ ref('stg_billing__payments') }}
    ) as events
    where {{ is_new() }}
{%- endcall %}

with

dated as (
    select
        tenant_id,
        {{ month_of('occurred_at') }} as month,
        event_type,
        amount_usd,
        load_id,
    from {{ ref('stg_billing__payments') }}
),

payments as (
    select dated.*
    from dated
    {{ in_touched_partitions('dated') }}
)

select
    tenant_id,
    month,
    {{ sum_money("case when event_type = 'payment.succeeded' then amount_usd end") }} as payments_usd,
    {{ count_where("event_type = 'payment.failed'") }} as failed_payments,
    max(load_id) as loaded_through,
from payments
group by tenant_id, month
