{{ config(meta={'event_types': ['document.uploaded', 'document.deleted'], 'envelope': ['event_id', 'user_id']}) }}

{{ stage(source('lake', 'platform')) }}
