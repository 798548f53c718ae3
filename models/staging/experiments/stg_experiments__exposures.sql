{{ config(meta={'event_types': ['experiment.exposed'], 'envelope': ['event_id', 'user_id']}) }}

{{ stage(source('lake', 'experiments')) }}
