"""Faults of experiments."""

from planted import keys, one_row

READOUTS = "experiments.experiment_readouts"
HEALTH = "experiments.experiment_health"
PARAMETERS = "experiments.experiment_parameter_sets"
STATISTICS = "experiments.experiment_statistics"

FAULTS = {
    **keys(READOUTS, "metric"),
    f"{READOUTS}.counts": one_row(READOUTS, "units = null"),
    f"{READOUTS}.units_behind_each_row": one_row(READOUTS, "units = 0"),
    f"{READOUTS}.measures": one_row(READOUTS, "variance = -1"),
    f"{READOUTS}.rates": one_row(READOUTS, "p_value = 1.5"),
    f"{READOUTS}.significance_accepted": one_row(READOUTS, "significance = 'maybe'"),
    f"{READOUTS}.no_comparison_with_itself": one_row(READOUTS, "diff = 0", "variation = control"),
    f"{READOUTS}.others_are_judged": one_row(READOUTS, "significance = null", "variation <> control"),
    f"{READOUTS}.significance_fits": one_row(READOUTS, "significance = 'significant', units = 29"),
    f"{READOUTS}.adjusted_is_larger": one_row(READOUTS, "p_value = 0.5, p_value_adjusted = 0.4"),
    f"{READOUTS}.diff_within_ci_low": one_row(READOUTS, "ci_low = diff + 1", "diff is not null"),
    f"{READOUTS}.diff_within_sequential_ci_low": one_row(
        READOUTS, "sequential_ci_low = diff + 1", "sequential_ci_low is not null"
    ),
    f"{READOUTS}.cuped_diff_within_cuped_ci_low": one_row(
        READOUTS, "cuped_ci_low = cuped_diff + 1", "cuped_diff is not null"
    ),
    f"{READOUTS}.all_statistics": one_row(READOUTS, "units = units + 1"),
    f"{READOUTS}.game_units_are_those_of_health": one_row(READOUTS, "units = units + 1", "metric = 'completion'"),
    **keys(HEALTH, "experiment"),
    f"{HEALTH}.counts": one_row(HEALTH, "crossovers = null"),
    f"{HEALTH}.rates": one_row(HEALTH, "srm_p_value = 2"),
    f"{HEALTH}.mismatch_fits": one_row(HEALTH, "has_sample_ratio_mismatch = true, srm_p_value = 0.5"),
    f"{HEALTH}.exposures_in_order": one_row(HEALTH, "last_exposure_at = first_exposure_at - interval 1 second"),
    f"{HEALTH}.variations_are_json": one_row(HEALTH, "units_by_variation = '{'"),
    f"{HEALTH}.all_units": one_row(HEALTH, "units = units + 1"),
    f"{HEALTH}.all_crossovers": one_row(HEALTH, "crossovers = crossovers + 1"),
    **keys(PARAMETERS, "variation"),
    f"{PARAMETERS}.counts": one_row(PARAMETERS, "units = -1"),
    f"{PARAMETERS}.parameters_are_json": one_row(PARAMETERS, "parameters = 'none'"),
    f"{PARAMETERS}.all_units": one_row(PARAMETERS, "units = units + 1"),
    f"{PARAMETERS}.every_set_of_the_reference_table": one_row(PARAMETERS, "parameters = null"),
    **keys(STATISTICS, "metric"),
    f"{STATISTICS}.counts": one_row(STATISTICS, "units = null"),
    f"{STATISTICS}.kind_accepted": one_row(STATISTICS, "kind = 'median'"),
    f"{STATISTICS}.measures": one_row(STATISTICS, "squares_numerator = -1"),
    f"{STATISTICS}.products_are_bounded": one_row(STATISTICS, "products_denominator = 1e18"),
    f"{STATISTICS}.binary_is_a_share": one_row(STATISTICS, "sum_numerator = units + 1", "kind = 'binary'"),
}
