{{ config(materialized='table', meta={'publish': true, 'key': ['date_day']}) }}

with

days as (
    {{ date_series("cast('2000-01-01' as date)", "cast('2049-12-31' as date)") }}
)

select cast(date_day as date) as date_day
from days
