{{ config(meta={'event_types': ['service.restored']}) }}

{{ stage(source('lake', 'delivery')) }}
