"""experiments: readouts of experiments on users and game sessions, and their health."""

from expectations import Expectation, accepted, counts, holds, mart, measures, nothing, rates, reconciles, suite

ARMS = "intermediate.int_experiment_arms"

COMPARISONS = (
    "control_mean", "diff", "relative_diff", "ci_low", "ci_high", "p_value", "p_value_adjusted", "significance",
    "minimum_detectable_effect", "sequential_ci_low", "sequential_ci_high", "cuped_diff", "cuped_ci_low",
    "cuped_ci_high", "cuped_p_value",
)  # fmt: skip


def _within(low: str, value: str, high: str) -> Expectation:
    return holds(f"{value}_within_{low}", f"coalesce({value} between {low} and {high}, true)", low, value, high)


SUITE = suite(
    "experiments",
    mart(
        "experiment_readouts",
        key=["experiment", "variation", "metric"],
        fed_by="experiments.experiment_statistics",
        expect=[
            counts("units"),
            holds("units_behind_each_row", "units > 0", "units"),
            measures("variance", "minimum_detectable_effect"),
            rates("p_value", "p_value_adjusted", "cuped_p_value"),
            accepted("significance", "insufficient_data", "significant", "not_significant"),
            holds(
                "no_comparison_with_itself",
                f"variation <> control or coalesce({', '.join(f'cast({c} as varchar)' for c in COMPARISONS)}) is null",
                *COMPARISONS,
            ),
            holds("others_are_judged", "(variation = control) = (significance is null)", "significance", "variation"),
            holds(
                "significance_fits",
                "(significance = 'significant') is not true or (p_value_adjusted < 0.05 and units >= 30)",
                "significance",
                "p_value_adjusted",
                "units",
            ),
            holds("adjusted_is_larger", "coalesce(p_value_adjusted >= p_value, true)", "p_value_adjusted", "p_value"),
            _within("ci_low", "diff", "ci_high"),
            _within("sequential_ci_low", "diff", "sequential_ci_high"),
            _within("cuped_ci_low", "cuped_diff", "cuped_ci_high"),
            reconciles(
                "all_statistics", "sum(units)", "sum(units)", "experiments.experiment_statistics", by=["experiment"]
            ),
            nothing(
                "game_units_are_those_of_health",
                """
                select mart.experiment, mart.variation from mart
                inner join intermediate.int_experiment_sessions as s using (experiment, variation)
                where mart.metric = 'completion' and not s.is_crossover
                group by mart.experiment, mart.variation, mart.units
                having count(*) <> mart.units
                """,
                "The units of a game metric are all sessions of that variation, crossovers apart.",
                "units",
            ),
        ],
    ),
    mart(
        "experiment_health",
        key=["experiment"],
        fed_by=ARMS,
        expect=[
            counts("units", "crossovers"),
            rates("srm_p_value"),
            holds("mismatch_fits", "has_sample_ratio_mismatch = coalesce(srm_p_value < 0.001, false)", "srm_p_value"),
            holds("exposures_in_order", "first_exposure_at <= last_exposure_at", "first_exposure_at"),
            holds("variations_are_json", "json_valid(units_by_variation)", "units_by_variation"),
            reconciles("all_units", "sum(units)", "sum(units)", ARMS, by=["experiment"]),
            reconciles("all_crossovers", "sum(crossovers)", "sum(crossovers)", ARMS, by=["experiment"]),
        ],
    ),
    mart(
        "experiment_parameter_sets",
        key=["experiment", "variation"],
        fed_by="reference.experiment_parameters",
        expect=[
            counts("units"),
            holds("parameters_are_json", "coalesce(json_valid(parameters), true)", "parameters"),
            reconciles("all_units", "sum(units)", "sum(units)", "experiments.experiment_health", by=["experiment"]),
            nothing(
                "every_set_of_the_reference_table",
                """
                select experiment, variation from reference.experiment_parameters
                except
                select experiment, variation from mart where parameters is not null
                """,
                "Every row of the reference table is there.",
                "parameters",
            ),
        ],
    ),
    mart(
        "experiment_statistics",
        key=["experiment", "variation", "metric"],
        fed_by="intermediate.int_experiment_sessions where not is_crossover",
        expect=[
            counts("units"),
            accepted("kind", "binary", "mean", "ratio"),
            measures("sum_denominator", "squares_numerator", "squares_denominator", "squares_covariate"),
            holds(
                "products_are_bounded",
                " and ".join(
                    f"coalesce(abs(products_{other}) <= 1e-9 + 1.001 * sqrt(squares_numerator * squares_{other}), true)"
                    for other in ("denominator", "covariate")
                ),
                "products_denominator",
                "products_covariate",
            ),
            holds("binary_is_a_share", "kind <> 'binary' or sum_numerator <= units", "sum_numerator", "units"),
        ],
    ),
)
