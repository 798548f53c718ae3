{{ config(meta={'event_types': ['adventure.completed'], 'envelope': ['event_id', 'session_id']}) }}

{{ stage(source('lake', 'game')) }}
