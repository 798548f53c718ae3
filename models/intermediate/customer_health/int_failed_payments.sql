{{ config(materialized='incremental', incremental_strategy='append') }}

with

payments as (
    select * from {{ ref('stg_billing__payments') }}
    where event_type = 'payment.failed' and {{ is_new() }}
)

select
    payments.load_id,
    payments.tenant_id,
    {{ local_date('payments') }} as date,
from payments
{{ tenant_calendar('payments') }}
