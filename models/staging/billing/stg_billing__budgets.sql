{{ config(meta={'event_types': ['budget.set'], 'envelope': ['event_id']}) }}

{{ stage(source('lake', 'billing')) }}
