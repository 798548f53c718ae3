{{ config(meta={
    'event_types': ['npc.joined', 'npc.dismissed', 'check.delegated'],
    'envelope': ['event_id', 'session_id'],
}) }}

{{ stage(source('lake', 'game')) }}
