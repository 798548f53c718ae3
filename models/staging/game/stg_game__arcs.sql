{{ config(meta={
    'event_types': ['arc.progressed'],
    'envelope': ['session_id'],
    'left_out': ['world', 'adventure', 'locale', 'model', 'content_version'],
}) }}

{{ stage(source('lake', 'game')) }}
