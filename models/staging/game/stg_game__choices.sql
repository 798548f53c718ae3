{{ config(meta={
    'event_types': ['choice.made'],
    'envelope': ['session_id'],
    'left_out': ['world', 'adventure', 'locale', 'model', 'content_version'],
}) }}

{{ stage(source('lake', 'game')) }}
