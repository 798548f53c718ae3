{{ config(
    materialized='incremental',
    incremental_strategy='touched',
    meta={'partition': ['tenant_id', 'session_id'], 'date_column': 'date'},
) }}

{{ funnel_entities(game_funnel()) }}
