{{ config(meta={
    'event_types': ['provider.called'],
    'envelope': ['event_id'],
    'left_out': ['execution_id', 'task_type'],
}) }}

{{ stage(source('lake', 'provider')) }}
