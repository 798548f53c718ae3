{{ config(meta={'event_types': ['provider.rate_limited'], 'envelope': ['event_id']}) }}

{{ stage(source('lake', 'provider')) }}
