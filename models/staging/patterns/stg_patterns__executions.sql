{{ config(meta={
    'event_types': ['pattern.executed'],
    'envelope': ['user_id', 'agent_id'],
    'left_out': ['execution_id'],
}) }}

{{ stage(source('lake', 'patterns')) }}
