{{ config(materialized='table') }}

with

arms as (
    select * from {{ ref('int_experiment_arms') }}
),

counted as (
    select
        experiment,
        {{ sum_count('units') }} as units,
        {{ json_counts('variation', 'units', 'units > 0') }} as units_by_variation,
        {{ sum_count('crossovers') }} as crossovers,
        min(first_exposed_at) as first_exposure_at,
        max(last_exposed_at) as last_exposure_at,
        max(loaded_through) as loaded_through,
    from arms
    group by experiment
)

select
    counted.experiment,
    counted.units,
    counted.units_by_variation,
    balances.srm_p_value,
    coalesce(balances.srm_p_value < 0.001, false) as has_sample_ratio_mismatch,
    counted.crossovers,
    counted.first_exposure_at,
    counted.last_exposure_at,
    counted.loaded_through,
from counted
inner join {{ ref('int_experiment_balances') }} as balances on counted.experiment = balances.experiment
