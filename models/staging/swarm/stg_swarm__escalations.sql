{{ config(meta={'event_types': ['swarm.task_escalated']}) }}

{{ stage(source('lake', 'swarm')) }}
