{{ config(
    materialized='incremental', incremental_strategy='touched', meta={'partition': ['channel', 'month']},
) }}

{%- call touched_partitions() %}
    select channel, month from (
        select channel, load_id, {{ month_of('occurred_at') }} as month from {{ ref('stg_crm__marketing_spend') }}
        union all
        select channel, load_id, {{ month_of('occurred_at') }} as month from {{ ref('stg_crm__acquisitions') }}
    ) as events
    where {{ is_new() }}
{%- endcall %}

with

events as (
    select
        channel,
        {{ month_of('occurred_at') }} as month,
        amount_usd,
        cast(null as varchar) as customer_id,
        load_id,
    from {{ ref('stg_crm__marketing_spend') }}
    union all
    select
        channel,
        {{ month_of('occurred_at') }} as month,
        0 as amount_usd,
        tenant_id as customer_id,
        load_id,
    from {{ ref('stg_crm__acquisitions') }}
),

touched_events as (
    select events.*
    from events
    {{ in_touched_partitions('events') }}
)

select
    channel,
    month,
    {{ sum_money('amount_usd') }} as spend_usd,
    count(distinct customer_id) as customers_acquired,
    max(load_id) as loaded_through,
from touched_events
group by channel, month
