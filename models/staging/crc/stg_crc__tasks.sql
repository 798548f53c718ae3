{{ config(meta={'event_types': ['crc.task_completed']}) }}

{{ stage(source('lake', 'crc')) }}
