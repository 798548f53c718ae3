{{ config(materialized='table') }}

with

arms as (
    select
        experiment,
        variation,
        units,
        loaded_through,
    from {{ ref('int_experiment_arms') }}
    where units > 0
),

parameters as (
    select
        experiment,
        variation,
        parameters,
    from {{ ref('experiment_parameters') }}
)

select
    coalesce(parameters.experiment, arms.experiment) as experiment,
    coalesce(parameters.variation, arms.variation) as variation,
    parameters.parameters,
    coalesce(arms.units, 0) as units,
    coalesce(arms.loaded_through, 0) as loaded_through,
from parameters
full outer join arms on {{ same('parameters', 'arms', ['experiment', 'variation']) }}
