{{ config(meta={
    'event_types': ['loot.dropped'],
    'envelope': ['session_id'],
    'left_out': ['item', 'quantity'],
}) }}

{{ stage(source('lake', 'game')) }}
