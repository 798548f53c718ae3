{{ config(materialized='table') }}

with

units as (
    {%- for relation in [ref('int_experiment_sessions'), ref('int_experiment_users')] %}
    select
        experiment,
        variation,
        is_crossover,
        first_exposed_at,
        last_exposed_at,
        loaded_through,
    from {{ relation }}
    {{ 'union all' if not loop.last }}
    {%- endfor %}
)

select
    experiment,
    variation,
    {{ count_where('not is_crossover') }} as units,
    {{ count_where('is_crossover') }} as crossovers,
    min(first_exposed_at) as first_exposed_at,
    max(last_exposed_at) as last_exposed_at,
    max(loaded_through) as loaded_through,
from units
group by experiment, variation
