{{ config(meta={'event_types': ['dashboard.viewed'], 'envelope': ['event_id', 'user_id']}) }}

{{ stage(source('lake', 'platform')) }}
