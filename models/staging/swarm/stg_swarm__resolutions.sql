{{ config(meta={'event_types': ['swarm.task_resolved'], 'envelope': ['event_id']}) }}

{{ stage(source('lake', 'swarm')) }}
