{{ config(meta={'event_types': ['feature.used'], 'envelope': ['event_id', 'user_id']}) }}

{{ stage(source('lake', 'platform')) }}
