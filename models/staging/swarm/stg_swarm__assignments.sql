{{ config(meta={'event_types': ['swarm.task_assigned'], 'envelope': ['event_id']}) }}

{{ stage(source('lake', 'swarm')) }}
