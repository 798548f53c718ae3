{{ config(meta={'event_types': ['arc.progressed'], 'envelope': ['event_id', 'session_id']}) }}

{{ stage(source('lake', 'game')) }}
