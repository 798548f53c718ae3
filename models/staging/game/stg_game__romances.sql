{{ config(meta={
    'event_types': ['romance.prompted'],
    'envelope': ['session_id'],
    'left_out': ['npc_id'],
}) }}

{{ stage(source('lake', 'game')) }}
