{{ config(meta={'event_types': ['deployment.finished']}) }}

{{ stage(source('lake', 'delivery')) }}
