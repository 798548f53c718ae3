{{ config(meta={'event_types': ['api.called'], 'envelope': ['event_id', 'user_id']}) }}

{{ stage(source('lake', 'platform')) }}
