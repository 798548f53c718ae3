{{ config(meta={
    'event_types': ['conversation.started', 'conversation.ended'],
    'envelope': ['event_id', 'user_id', 'agent_id'],
}) }}

{{ stage(source('lake', 'platform')) }}
