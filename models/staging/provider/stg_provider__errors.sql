{{ config(meta={'event_types': ['provider.errored']}) }}

{{ stage(source('lake', 'provider')) }}
