{{ config(meta={'event_types': ['provider.errored'], 'envelope': ['event_id']}) }}

{{ stage(source('lake', 'provider')) }}
