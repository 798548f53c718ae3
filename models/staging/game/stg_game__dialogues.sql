{{ config(meta={'event_types': ['dialogue.selected', 'dialogue.blocked'], 'envelope': ['event_id', 'session_id']}) }}

{{ stage(source('lake', 'game')) }}
