{{ config(meta={'event_types': ['swarm.task_escalated'], 'envelope': ['event_id']}) }}

{{ stage(source('lake', 'swarm')) }}
