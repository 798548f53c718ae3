{{ config(meta={'event_types': ['swarm.task_assigned']}) }}

{{ stage(source('lake', 'swarm')) }}
