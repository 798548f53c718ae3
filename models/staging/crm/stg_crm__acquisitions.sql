{{ config(meta={'event_types': ['customer.acquired']}) }}

{{ stage(source('lake', 'crm')) }}
