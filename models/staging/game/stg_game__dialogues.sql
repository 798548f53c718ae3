{{ config(meta={'event_types': ['dialogue.selected', 'dialogue.blocked'], 'envelope': ['session_id']}) }}

{{ stage(source('lake', 'game')) }}
