{{ config(materialized='incremental', incremental_strategy='append') }}

with

tickets as (
    select * from {{ ref('stg_crm__tickets') }}
    where {{ is_new() }}
)

select
    tickets.load_id,
    tickets.tenant_id,
    tickets.ticket_id,
    {{ local_date('tickets') }} as date,
    tickets.event_type = 'ticket.opened' as is_opening,
    coalesce(tickets.severity = 'urgent', false) as is_urgent,
from tickets
{{ tenant_calendar('tickets') }}
