{{ config(meta={'event_types': ['world.event_checked'], 'envelope': ['event_id', 'session_id']}) }}

{{ stage(source('lake', 'game')) }}
