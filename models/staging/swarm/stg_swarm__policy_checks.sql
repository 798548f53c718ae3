{{ config(meta={'event_types': ['swarm.policy_checked']}) }}

{{ stage(source('lake', 'swarm')) }}
