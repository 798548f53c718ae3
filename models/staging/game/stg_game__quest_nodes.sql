{{ config(meta={
    'event_types': ['quest.node_entered', 'quest.node_completed'],
    'envelope': ['event_id', 'session_id'],
}) }}

{{ stage(source('lake', 'game')) }}
