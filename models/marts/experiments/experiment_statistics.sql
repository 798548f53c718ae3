{{ config(materialized='table', meta={'boundary': 'instant'}) }}

with

sessions as (
    select * from {{ ref('int_experiment_sessions') }}
    where not is_crossover
),

-- A user counts once the 14 days after the exposure have passed.
users as (
    select * from {{ ref('int_experiment_users') }}
    where not is_crossover and {{ dbt.dateadd('day', 14, 'first_exposed_at') }} <= {{ as_of() }}
),

metric_values as (
    {{ metric_values('sessions', session_metrics()) }}
    union all
    {{ metric_values('users', user_metrics()) }}
)

select
    experiment,
    variation,
    metric,
    kind,
    count(*) as units,
    sum(numerator) as sum_numerator,
    sum(denominator) as sum_denominator,
    sum(covariate) as sum_covariate,
    var_pop({{ squarable('numerator') }}) * count(*) as squares_numerator,
    var_pop({{ squarable('denominator') }}) * count(*) as squares_denominator,
    var_pop({{ squarable('covariate') }}) * count(*) as squares_covariate,
    covar_pop({{ squarable('numerator') }}, {{ squarable('denominator') }}) * count(*) as products_denominator,
    covar_pop({{ squarable('numerator') }}, {{ squarable('covariate') }}) * count(*) as products_covariate,
    max(loaded_through) as loaded_through,
from metric_values
group by experiment, variation, metric, kind
