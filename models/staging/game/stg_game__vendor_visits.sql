{{ config(meta={
    'event_types': ['vendor.visited'],
    'envelope': ['session_id'],
    'left_out': ['vendor', 'gold_delta'],
}) }}

{{ stage(source('lake', 'game')) }}
