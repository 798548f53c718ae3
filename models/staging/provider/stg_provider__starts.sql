{{ config(meta={'event_types': ['agent.started']}) }}

{{ stage(source('lake', 'provider')) }}
