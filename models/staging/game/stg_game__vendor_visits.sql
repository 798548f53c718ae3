{{ config(meta={'event_types': ['vendor.visited'], 'envelope': ['event_id', 'session_id']}) }}

{{ stage(source('lake', 'game')) }}
