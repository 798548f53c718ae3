{{ config(meta={'event_types': ['choice.made'], 'envelope': ['event_id', 'session_id']}) }}

{{ stage(source('lake', 'game')) }}
