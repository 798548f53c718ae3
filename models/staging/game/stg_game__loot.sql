{{ config(meta={'event_types': ['loot.dropped'], 'envelope': ['event_id', 'session_id']}) }}

{{ stage(source('lake', 'game')) }}
