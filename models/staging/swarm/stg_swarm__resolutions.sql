{{ config(meta={'event_types': ['swarm.task_resolved']}) }}

{{ stage(source('lake', 'swarm')) }}
