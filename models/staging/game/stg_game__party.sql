{{ config(meta={
    'event_types': ['npc.joined', 'npc.dismissed', 'check.delegated'],
    'envelope': ['session_id'],
}) }}

{{ stage(source('lake', 'game')) }}
