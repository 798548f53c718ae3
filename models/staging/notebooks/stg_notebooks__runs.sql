{{ config(meta={'event_types': ['notebook.executed'], 'envelope': ['event_id', 'user_id']}) }}

{{ stage(source('lake', 'notebooks')) }}
