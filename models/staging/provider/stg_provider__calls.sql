{{ config(meta={'event_types': ['provider.called'], 'envelope': ['event_id']}) }}

{{ stage(source('lake', 'provider')) }}
