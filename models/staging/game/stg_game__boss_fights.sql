{{ config(meta={'event_types': ['boss.fought'], 'envelope': ['event_id', 'session_id']}) }}

{{ stage(source('lake', 'game')) }}
