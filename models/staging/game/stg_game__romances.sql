{{ config(meta={'event_types': ['romance.prompted'], 'envelope': ['event_id', 'session_id']}) }}

{{ stage(source('lake', 'game')) }}
