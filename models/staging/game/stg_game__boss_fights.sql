{{ config(meta={
    'event_types': ['boss.fought'],
    'envelope': ['session_id'],
    'left_out': ['adventure', 'locale', 'model', 'content_version'],
}) }}

{{ stage(source('lake', 'game')) }}
