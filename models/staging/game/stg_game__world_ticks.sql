{{ config(meta={
    'event_types': ['world.ticked'],
    'envelope': ['session_id'],
    'left_out': ['adventure', 'locale', 'model', 'content_version'],
}) }}

{{ stage(source('lake', 'game')) }}
