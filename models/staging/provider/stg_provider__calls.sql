{{ config(meta={
    'event_types': ['provider.called'],
    'left_out': ['execution_id', 'task_type'],
}) }}

{{ stage(source('lake', 'provider')) }}
