{{ config(meta={'event_types': ['service.restored'], 'envelope': ['event_id']}) }}

{{ stage(source('lake', 'delivery')) }}
