{{ config(meta={'event_types': ['provider.rate_limited']}) }}

{{ stage(source('lake', 'provider')) }}
