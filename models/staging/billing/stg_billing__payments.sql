{{ config(meta={'event_types': ['payment.succeeded', 'payment.failed']}) }}

{{ stage(source('lake', 'billing')) }}
