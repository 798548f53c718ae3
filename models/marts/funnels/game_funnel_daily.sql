{{ config(
    materialized='incremental', incremental_strategy='touched', meta={'partition': ['date']},
) }}

{{ funnel(game_funnel(), ref('int_game_funnel')) }}
