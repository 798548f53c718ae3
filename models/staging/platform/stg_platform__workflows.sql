{{ config(meta={
    'event_types': ['workflow.created', 'workflow.executed', 'workflow.failed'],
    'envelope': ['event_id', 'user_id'],
}) }}

{{ stage(source('lake', 'platform')) }}
