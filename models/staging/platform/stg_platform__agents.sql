{{ config(meta={
    'event_types': ['agent.created', 'agent.updated', 'agent.deployed', 'agent.deleted'],
    'envelope': ['event_id', 'user_id', 'agent_id'],
}) }}

{{ stage(source('lake', 'platform')) }}
