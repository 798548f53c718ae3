{{ config(meta={
    'event_types': ['adventure.completed'],
    'envelope': ['session_id'],
    'left_out': ['world', 'adventure', 'locale', 'model', 'content_version'],
}) }}

{{ stage(source('lake', 'game')) }}
