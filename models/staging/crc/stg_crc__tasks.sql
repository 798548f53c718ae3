{{ config(meta={'event_types': ['crc.task_completed'], 'left_out': ['task_id']}) }}

{{ stage(source('lake', 'crc')) }}
