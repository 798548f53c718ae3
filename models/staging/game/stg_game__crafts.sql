{{ config(meta={'event_types': ['craft.attempted'], 'envelope': ['event_id', 'session_id']}) }}

{{ stage(source('lake', 'game')) }}
