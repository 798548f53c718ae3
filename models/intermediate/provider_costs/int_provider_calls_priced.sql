{{ config(materialized='incremental', incremental_strategy='append') }}

with

calls as (
    select * from {{ ref('stg_provider__calls') }}
    where {{ is_new() }}
),

priced as (
    select
        calls.*,
        {{ local_date('calls') }} as date,
        case when calls.cost_usd is null then {{ priced_picos('calls') }} end as priced_picos,
    from calls
    {{ tenant_calendar('calls') }}
    {{ price_joins('calls') }}
)

select
    load_id,
    occurred_at,
    tenant_id,
    date,
    provider,
    model,
    succeeded,
    latency_ms,
    tokens_in,
    tokens_out,
    coalesce(cost_usd, {{ picos_to_money('priced_picos') }}) as cost_usd,
from priced
