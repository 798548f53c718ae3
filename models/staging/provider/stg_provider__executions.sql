{{ config(meta={
    'event_types': ['agent.completed', 'agent.failed', 'agent.timed_out'],
    'envelope': ['event_id'],
    'left_out': ['execution_id', 'error_code'],
}) }}

{{ stage(source('lake', 'provider')) }}
