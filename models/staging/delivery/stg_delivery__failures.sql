{{ config(meta={'event_types': ['deployment.failed_in_use'], 'envelope': ['event_id']}) }}

{{ stage(source('lake', 'delivery')) }}
