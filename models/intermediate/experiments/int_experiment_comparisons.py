"""What the sufficient statistics of an experiment say: each variation against the control, metric by metric.

Binary metrics: two-proportion z test, pooled for the p-value, unpooled for the interval. Means: Welch's t test (Welch,
1947). Ratios: delta method on units. CUPED: Deng, Xu, Kohavi and Walker, 2013. Always-valid interval: the asymptotic
confidence sequence of Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (Annals of Statistics, 2024), narrowest at 5,000
units. False discovery rate: Benjamini and Hochberg, 1995. All intervals are of 95%.
"""

import json
from math import isfinite, log, sqrt

from scipy.special import ndtr, ndtri, stdtr, stdtrit

ALPHA = 0.05
POWER = 0.8
MIN_UNITS = 30
#: Of numbers that cancel out, so small a part is what rounding has left.
ROUNDING = 1e-11
#: Units at which the always-valid interval is at its narrowest, compared with the fixed one.
TUNED_AT = 5_000

COLUMNS = {
    "experiment": "varchar",
    "variation": "varchar",
    "metric": "varchar",
    "mean": "double",
    "variance": "double",
    "control": "varchar",
    "control_mean": "double",
    "diff": "double",
    "relative_diff": "double",
    "ci_low": "double",
    "ci_high": "double",
    "p_value": "double",
    "p_value_adjusted": "double",
    "significance": "varchar",
    "minimum_detectable_effect": "double",
    "sequential_ci_low": "double",
    "sequential_ci_high": "double",
    "cuped_diff": "double",
    "cuped_ci_low": "double",
    "cuped_ci_high": "double",
    "cuped_p_value": "double",
}


def model(dbt, session):
    """One row for each experiment, variation and metric of experiment_statistics."""
    statistics = dbt.ref("experiment_statistics")
    rows = [dict(zip(statistics.columns, row, strict=True)) for row in statistics.fetchall()]
    text = json.dumps(compare(rows)).replace("'", "''")
    return session.sql(f"select unnest(from_json('{text}', '{json.dumps([COLUMNS])}'), recursive := true)")


def compare(statistics):
    """Rows of COLUMNS, of rows of experiment_statistics; a number that can't be known is None."""
    found = []
    for experiment in sorted({row["experiment"] for row in statistics}):
        of_experiment = [row for row in statistics if row["experiment"] == experiment]
        control = control_of({row["variation"] for row in of_experiment})
        controls = {row["metric"]: row for row in of_experiment if row["variation"] == control}
        rows = [compared(row, control, controls.get(row["metric"])) for row in of_experiment]
        known = [row for row in rows if row["p_value"] is not None]
        for row, adjusted in zip(known, adjust([row["p_value"] for row in known]), strict=True):
            row["p_value_adjusted"] = adjusted
            if row["significance"] != "insufficient_data" and adjusted < ALPHA:
                row["significance"] = "significant"
        found += rows
    return found


def control_of(variations):
    """The variation named 'control', else the alphabetically first."""
    return "control" if "control" in variations else min(variations)


def compared(row, control_name, control):
    """One row of COLUMNS; without comparison for the control itself, and where the control has no unit. A number that
    is too large for a double is None."""
    found = comparison(row, control_name, control)
    return {name: None if isinstance(value, float) and not isfinite(value) else value for name, value in found.items()}


def comparison(row, control_name, control):
    """The row of COLUMNS, as it is computed."""
    mean, variance = moments(row)
    result = dict.fromkeys(COLUMNS) | {name: row[name] for name in ("experiment", "variation", "metric")}
    result |= {"mean": mean, "variance": variance, "control": control_name}
    if row["variation"] == control_name:
        return result
    enough = control is not None and min(row["units"], control["units"]) >= MIN_UNITS
    result["significance"] = "not_significant" if enough else "insufficient_data"
    if control is None:
        return result
    base, base_variance = moments(control)
    result["control_mean"] = base
    if mean is None or base is None:
        return result
    diff = mean - base
    relative = diff / base if base else None
    result |= {"diff": diff, "relative_diff": relative if relative is not None and isfinite(relative) else None}
    if variance is None or base_variance is None:
        return result
    parts = (variance / row["units"], base_variance / control["units"])
    error = sqrt(sum(parts))
    tail = t_tail(parts, row["units"], control["units"]) if row["kind"] == "mean" else None
    result |= interval("ci", diff, error, tail)
    result["p_value"] = p_value(diff, pooled_error(row, control) if row["kind"] == "binary" else error, tail)
    result["minimum_detectable_effect"] = float(ndtri(1 - ALPHA / 2) + ndtri(POWER)) * error
    width = always_valid_width(row["units"] + control["units"], error)
    result |= {"sequential_ci_low": diff - width, "sequential_ci_high": diff + width}
    return result | cuped(row, control, diff)


def moments(row):
    """Mean and variance of a unit: p(1-p), the sample's, or var(numerator - R x denominator) / mean(denominator)^2."""
    n, total = row["units"], row["sum_denominator"]
    if not n or not total:
        return None, None
    mean = row["sum_numerator"] / total
    if row["kind"] == "binary":
        return mean, mean * (1 - mean)
    if n < 2:
        return mean, None
    if row["kind"] == "ratio":
        squares = residual(row, mean, "denominator")
    else:
        squares = unless_rounding(row["squares_numerator"], ROUNDING * n * mean * mean)
    scale = total / n
    return mean, squares / (n - 1) / scale / scale


def residual(row, slope, other):
    """The sum of squares of numerator - slope x the other, about their means; 0 if one follows from the other."""
    squares = row["squares_numerator"] + slope * slope * row[f"squares_{other}"]
    return unless_rounding(squares - 2 * slope * row[f"products_{other}"], squares)


def unless_rounding(squares, of):
    """What is left of a sum of squares that others were taken from; 0 for what rounding leaves, above zero or below."""
    return squares if squares > ROUNDING * of else 0.0


def t_tail(parts, n, m):
    """Welch's degrees of freedom of two squared standard errors; None without any variance."""
    both = sum(parts)
    if not both or not isfinite(both):
        return None
    first, second = (part / both for part in parts)
    return 1 / (first * first / (n - 1) + second * second / (m - 1))


def interval(name, diff, error, degrees=None):
    """The 95% interval by the normal distribution, or by Student's t."""
    factor = float(ndtri(1 - ALPHA / 2) if degrees is None else stdtrit(degrees, 1 - ALPHA / 2))
    return {f"{name}_low": diff - factor * error, f"{name}_high": diff + factor * error}


def p_value(diff, error, degrees=None):
    """Two-sided; None where nothing varies."""
    if not error:
        return None
    score = -abs(diff / error)
    return float(2 * (ndtr(score) if degrees is None else stdtr(degrees, score)))


def pooled_error(row, control):
    """Standard error of the difference of two proportions if they were the same."""
    n, m = row["units"], control["units"]
    share = (row["sum_numerator"] + control["sum_numerator"]) / (n + m)
    return sqrt(share * (1 - share) * (1 / n + 1 / m))


def always_valid_width(units, error):
    """Half the width of an interval that holds at all sample sizes at once, however often one looks."""
    rho = (-2 * log(ALPHA) + log(-2 * log(ALPHA) + 1)) / TUNED_AT
    spread = units * rho + 1
    return error * sqrt(units) * sqrt(2 * spread / (units**2 * rho) * log(sqrt(spread) / ALPHA))


def cuped(row, control, diff):
    """The difference, with what the units did before accounted for; empty where that is unknown or constant."""
    names = ("squares_covariate", "products_covariate", "sum_covariate")
    if any(one[name] is None for one in (row, control) for name in names):
        return {}
    squares = row["squares_covariate"] + control["squares_covariate"]
    if not squares:
        return {}
    theta = (row["products_covariate"] + control["products_covariate"]) / squares
    before = row["sum_covariate"] / row["units"] - control["sum_covariate"] / control["units"]
    parts = [residual(one, theta, "covariate") / (one["units"] - 1) / one["units"] for one in (row, control)]
    adjusted, error = diff - theta * before, sqrt(sum(parts))
    degrees = t_tail(parts, row["units"], control["units"])
    found = {"cuped_diff": adjusted, "cuped_p_value": p_value(adjusted, error, degrees)}
    return found | interval("cuped_ci", adjusted, error, degrees)


def adjust(p_values):
    """Benjamini and Hochberg's adjusted p-values, in the order given."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index], reverse=True)
    found, least = [0.0] * len(p_values), 1.0
    for place, index in enumerate(order):
        least = min(least, p_values[index] * (len(p_values) / (len(p_values) - place)))
        found[index] = least
    return found
