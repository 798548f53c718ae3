{{ config(meta={'event_types': ['world.ticked'], 'envelope': ['event_id', 'session_id']}) }}

{{ stage(source('lake', 'game')) }}
