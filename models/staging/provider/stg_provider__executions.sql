{{ config(meta={'event_types': ['agent.completed', 'agent.failed', 'agent.timed_out']}) }}

{{ stage(source('lake', 'provider')) }}
