{{ config(meta={
    'event_types': ['subscription.created', 'subscription.changed', 'subscription.cancelled'],
    'envelope': ['event_id'],
}) }}

{{ stage(source('lake', 'billing')) }}
