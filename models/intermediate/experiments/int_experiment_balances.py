"""Whether the variations of an experiment have equal shares of its units, as far as chance allows: chi-square."""

import json

from scipy.special import chdtrc

COLUMNS = {"experiment": "varchar", "srm_p_value": "double"}


def model(dbt, session):
    """One row for each experiment of int_experiment_arms; a variation that only crossovers saw has no share."""
    counts = {}
    for experiment, units in dbt.ref("int_experiment_arms").project("experiment, units").fetchall():
        counts.setdefault(experiment, []).extend([units] if units else [])
    rows = [{"experiment": name, "srm_p_value": imbalance(units)} for name, units in sorted(counts.items())]
    text = json.dumps(rows).replace("'", "''")
    return session.sql(f"select unnest(from_json('{text}', '{json.dumps([COLUMNS])}'), recursive := true)")


def imbalance(counts):
    """p-value of equal shares, given the units of each variation; None with less than two variations, or no unit."""
    if len(counts) < 2 or not sum(counts):
        return None
    expected = sum(counts) / len(counts)
    return float(chdtrc(len(counts) - 1, sum((count - expected) ** 2 for count in counts) / expected))
