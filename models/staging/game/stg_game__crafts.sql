{{ config(meta={
    'event_types': ['craft.attempted'],
    'envelope': ['session_id'],
    'left_out': ['recipe'],
}) }}

{{ stage(source('lake', 'game')) }}
