{{ config(
    materialized='incremental', incremental_strategy='touched', meta={'partition': ['week']},
) }}

{{ funnel(activation_funnel(), ref('int_activation_funnel')) }}
