{{ config(meta={'event_types': ['session.started'], 'envelope': ['event_id', 'session_id']}) }}

{{ stage(source('lake', 'game')) }}
