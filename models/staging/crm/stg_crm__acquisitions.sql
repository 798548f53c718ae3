{{ config(meta={'event_types': ['customer.acquired'], 'envelope': ['event_id']}) }}

{{ stage(source('lake', 'crm')) }}
