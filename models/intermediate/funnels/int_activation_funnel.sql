{{ config(
    materialized='incremental',
    incremental_strategy='touched',
    meta={'partition': ['tenant_id'], 'date_column': 'week'},
) }}

{{ funnel_entities(activation_funnel()) }}
