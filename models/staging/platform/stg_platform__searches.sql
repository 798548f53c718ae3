{{ config(meta={'event_types': ['search.performed'], 'envelope': ['event_id', 'user_id']}) }}

{{ stage(source('lake', 'platform')) }}
