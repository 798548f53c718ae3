{{ config(meta={'event_types': ['swarm.policy_checked'], 'envelope': ['event_id']}) }}

{{ stage(source('lake', 'swarm')) }}
