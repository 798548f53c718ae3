{{ config(meta={'event_types': ['marketing.spent']}) }}

{{ stage(source('lake', 'crm')) }}
