{{ config(meta={'event_types': ['agent.started'], 'left_out': ['execution_id', 'task_type', 'queue_ms']}) }}

{{ stage(source('lake', 'provider')) }}
