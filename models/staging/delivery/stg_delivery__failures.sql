{{ config(meta={'event_types': ['deployment.failed_in_use']}) }}

{{ stage(source('lake', 'delivery')) }}
