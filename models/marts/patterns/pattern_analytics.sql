{{ config(materialized='table', meta={'boundary': 'instant'}) }}

with

windows as (
    {{ pattern_windows() }}
),

measured as (
    select * from {{ ref('int_pattern_windows') }}
),

{{ pattern_window_timing(as_of()) }}

select
    {{ pattern_window_columns() }}
from timed
