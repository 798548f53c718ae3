{{ config(meta={'event_types': ['deployment.finished'], 'envelope': ['event_id']}) }}

{{ stage(source('lake', 'delivery')) }}
