{{ config(meta={
    'event_types': ['quest.node_entered', 'quest.node_completed'],
    'envelope': ['event_id', 'session_id'],
    'left_out': ['world', 'locale', 'model', 'content_version'],
}) }}

{{ stage(source('lake', 'game')) }}
