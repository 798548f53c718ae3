{{ config(meta={'event_types': ['feedback.submitted'], 'envelope': ['event_id', 'user_id', 'agent_id']}) }}

{{ stage(source('lake', 'platform')) }}
