{{ config(meta={
    'event_types': ['agent.completed', 'agent.failed', 'agent.timed_out'],
    'left_out': ['execution_id', 'error_code'],
}) }}

{{ stage(source('lake', 'provider')) }}
