{{ config(meta={'event_types': ['data.exported'], 'envelope': ['event_id', 'user_id']}) }}

{{ stage(source('lake', 'platform')) }}
