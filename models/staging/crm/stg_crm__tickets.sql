{{ config(meta={'event_types': ['ticket.opened', 'ticket.resolved']}) }}

{{ stage(source('lake', 'crm')) }}
