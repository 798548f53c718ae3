{{ config(meta={'event_types': ['agent.completed', 'agent.failed', 'agent.timed_out'], 'envelope': ['event_id']}) }}

{{ stage(source('lake', 'provider')) }}
