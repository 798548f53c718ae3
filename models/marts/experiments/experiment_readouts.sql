{{ config(materialized='table', meta={'boundary': 'instant'}) }}

with

statistics as (
    select * from {{ ref('experiment_statistics') }}
),

comparisons as (
    select * from {{ ref('int_experiment_comparisons') }}
),

parameters as (
    select * from {{ ref('experiment_parameters') }}
)

select
    statistics.experiment,
    statistics.variation,
    statistics.metric,
    statistics.units,
    comparisons.mean,
    comparisons.variance,
    comparisons.control,
    comparisons.control_mean,
    comparisons.diff,
    comparisons.relative_diff,
    comparisons.ci_low,
    comparisons.ci_high,
    comparisons.p_value,
    comparisons.p_value_adjusted,
    comparisons.significance,
    comparisons.minimum_detectable_effect,
    comparisons.sequential_ci_low,
    comparisons.sequential_ci_high,
    comparisons.cuped_diff,
    comparisons.cuped_ci_low,
    comparisons.cuped_ci_high,
    comparisons.cuped_p_value,
    parameters.parameters,
    statistics.loaded_through,
from statistics
inner join comparisons on {{ same('statistics', 'comparisons', ['experiment', 'variation', 'metric']) }}
left join parameters on {{ same('statistics', 'parameters', ['experiment', 'variation']) }}
