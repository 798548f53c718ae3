{{ config(meta={
    'event_types': ['user.signed_up', 'user.logged_in', 'user.invited'],
    'envelope': ['event_id', 'user_id'],
}) }}

{{ stage(source('lake', 'platform')) }}
