{{ config(meta={'event_types': ['experiment.exposed'], 'envelope': ['user_id']}) }}

{{ stage(source('lake', 'experiments')) }}
