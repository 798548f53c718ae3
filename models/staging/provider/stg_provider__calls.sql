{{ config(meta={'event_types': ['provider.called']}) }}

{{ stage(source('lake', 'provider')) }}
