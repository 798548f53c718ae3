{{ config(meta={
    'event_types': ['message.received', 'message.sent'],
    'envelope': ['event_id', 'user_id', 'agent_id'],
}) }}

{{ stage(source('lake', 'platform')) }}
