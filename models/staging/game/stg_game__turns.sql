{{ config(meta={'event_types': ['turn.completed'], 'envelope': ['event_id', 'session_id']}) }}

{{ stage(source('lake', 'game')) }}
