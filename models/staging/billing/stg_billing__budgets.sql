{{ config(meta={'event_types': ['budget.set']}) }}

{{ stage(source('lake', 'billing')) }}
