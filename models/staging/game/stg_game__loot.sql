{{ config(meta={
    'event_types': ['loot.dropped'],
    'envelope': ['event_id', 'session_id'],
    'left_out': ['item', 'quantity'],
}) }}

{{ stage(source('lake', 'game')) }}
