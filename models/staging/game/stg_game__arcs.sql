{{ config(meta={
    'event_types': ['arc.progressed'],
    'envelope': ['event_id', 'session_id'],
    'left_out': ['world', 'adventure', 'locale', 'model', 'content_version'],
}) }}

{{ stage(source('lake', 'game')) }}
