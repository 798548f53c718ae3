{{ config(meta={
    'event_types': ['world.event_checked'],
    'envelope': ['session_id'],
    'left_out': ['event'],
}) }}

{{ stage(source('lake', 'game')) }}
