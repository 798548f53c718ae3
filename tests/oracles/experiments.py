"""The experiment marts in plain Python and scipy.stats: from event dicts, accepted once each, to rows by key."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from oracles.game import stuck_days

Event = dict[str, Any]
Row = dict[str, Any]
Key = tuple[Any, ...]
#: (numerator, denominator, covariate) by unit.
Values = list[tuple[float, float, float | None]]

SEED = Path(__file__).resolve().parents[2] / "seeds" / "experiment_parameters.csv"
KINDS = {
    "completion": "binary", "turns": "mean", "gold_delta": "mean", "avg_latency_ms": "ratio", "fallback_rate": "ratio",
    "stuck": "binary", "retained_7d": "binary", "messages": "mean", "conversations": "mean", "rating": "ratio",
}  # fmt: skip
MESSAGES = ("message.sent", "message.received")


def instant(event: Event) -> datetime:
    return datetime.fromisoformat(event["occurred_at"]).astimezone(UTC)


def exposures(events: Iterable[Event]) -> dict[str, dict[Key, list[tuple[datetime, str]]]]:
    """By experiment and unit, (when, variation) of each exposure, in order of time."""
    found: dict[str, dict[Key, list[tuple[datetime, str]]]] = defaultdict(lambda: defaultdict(list))
    for event in events:
        of = event["properties"]
        if event["source"] == "game" and of.get("experiment"):
            unit: Key = ("session", event["tenant_id"], event["session_id"])
        elif event["source"] == "experiments":
            unit = ("user", event["user_id"])
        else:
            continue
        found[of["experiment"]][unit].append((instant(event), of.get("variation") or "none"))
    for units in found.values():
        for shown in units.values():
            shown.sort()
    return found


def assigned(shown: list[tuple[datetime, str]]) -> str | None:
    """The variation of a unit; None for a crossover."""
    variations = {variation for _, variation in shown}
    return variations.pop() if len(variations) == 1 else None


def values(events: list[Event], as_of: datetime) -> dict[Key, dict[str, Values]]:
    """By (experiment, variation) and metric, what each unit adds."""
    sessions: dict[Key, list[Event]] = defaultdict(list)
    users: dict[Key, list[Event]] = defaultdict(list)
    for event in events:
        if event["source"] == "game":
            sessions[(event["tenant_id"], event["session_id"])].append(event)
        elif event["source"] == "platform" and event.get("user_id"):
            users[(event["user_id"],)].append(event)
    stuck = {who for who, _ in stuck_days(events)}
    found: dict[Key, dict[str, Values]] = defaultdict(lambda: defaultdict(list))
    for experiment, units in exposures(events).items():
        for (kind, *unit), shown in units.items():
            variation = assigned(shown)
            if variation is None:
                continue
            into = found[(experiment, variation)]
            who = tuple(unit)
            if kind == "session":
                measured = session_values(sessions[who], who in stuck)
            elif shown[0][0] + timedelta(days=14) <= as_of:
                measured = user_values(users.get(who, []), shown[0][0])
            else:
                continue
            for metric, value in measured.items():
                into[metric].append(value)
    return {key: metrics for key, metrics in found.items() if metrics}


def session_values(events: list[Event], is_stuck: bool) -> dict[str, tuple[float, float, float | None]]:
    turns = [event["properties"] for event in events if event["event_type"] == "turn.completed"]
    done = any(event["event_type"] == "adventure.completed" for event in events)
    return {
        "completion": (float(done), 1, None),
        "turns": (len(turns), 1, None),
        "gold_delta": (sum(turn["gold_delta"] for turn in turns), 1, None),
        "avg_latency_ms": (sum(turn["latency_ms"] for turn in turns), len(turns), None),
        "fallback_rate": (sum(turn["fell_back"] for turn in turns), len(turns), None),
        "stuck": (float(is_stuck), 1, None),
    }


def user_values(events: list[Event], exposed: datetime) -> dict[str, tuple[float, float, float | None]]:
    after = [event for event in events if exposed < instant(event) <= exposed + timedelta(days=14)]
    before = [event for event in events if exposed - timedelta(days=14) <= instant(event) < exposed]
    ratings = [event["properties"]["rating"] for event in after if event["event_type"] == "feedback.submitted"]

    def count(some: list[Event], *kinds: str) -> int:
        return sum(event["event_type"] in kinds for event in some)

    started = "conversation.started"
    return {
        "retained_7d": (float(any(instant(event) >= exposed + timedelta(days=7) for event in after)), 1, None),
        "messages": (count(after, *MESSAGES), 1, count(before, *MESSAGES)),
        "conversations": (count(after, started), 1, count(before, started)),
        "rating": (sum(ratings), len(ratings), None),
    }


def columns(units: Values) -> tuple[Any, Any]:
    return np.array([value[0] for value in units], dtype=float), np.array([value[1] for value in units], dtype=float)


def moments(kind: str, units: Values) -> tuple[float | None, float | None]:
    """Mean and variance of a unit."""
    numerators, denominators = columns(units)
    if not denominators.sum():
        return None, None
    ratio = numerators.sum() / denominators.sum()
    if kind == "binary":
        return ratio, ratio * (1 - ratio)
    if len(units) < 2:
        return ratio, None
    return ratio, float(np.var(numerators - ratio * denominators, ddof=1) / denominators.mean() ** 2)


def comparison(kind: str, units: Values, others: Values) -> Row:
    """Of a variation's units with those of the control."""
    (mean, variance), (base, base_variance) = moments(kind, units), moments(kind, others)
    row: Row = {"control_mean": base}
    if mean is None or base is None:
        return row
    row |= {"diff": mean - base, "relative_diff": (mean - base) / base if base else None}
    if variance is None or base_variance is None:
        return row
    n, m = len(units), len(others)
    error = np.sqrt(variance / n + base_variance / m)
    spread = stats.norm
    scale = error
    if kind == "mean" and error:
        test = stats.ttest_ind(columns(units)[0], columns(others)[0], equal_var=False)
        row["p_value"], spread = test.pvalue, stats.t(test.df)
    elif kind == "binary":
        pooled = (columns(units)[0].sum() + columns(others)[0].sum()) / (n + m)
        scale = np.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    if kind != "mean":
        row["p_value"] = 2 * stats.norm.sf(abs(mean - base) / scale) if scale else None
    width = spread.ppf(0.975) * error
    row |= {"ci_low": mean - base - width, "ci_high": mean - base + width}
    row["minimum_detectable_effect"] = (stats.norm.ppf(0.975) + stats.norm.ppf(0.8)) * error
    width = error * always_valid_factor(n + m)
    row |= {"sequential_ci_low": mean - base - width, "sequential_ci_high": mean - base + width}
    return row | (cuped(units, others) if units[0][2] is not None else {})


def always_valid_factor(n: int, alpha: float = 0.05, tuned_at: int = 5_000) -> float:
    """Standard errors to each side: equation 9 of Waudby-Smith et al., by n observations of variance n x error^2."""
    rho = np.sqrt((-2 * np.log(alpha) + np.log(-2 * np.log(alpha) + 1)) / tuned_at)
    root = np.sqrt(n * rho**2 + 1)
    return float(np.sqrt(n) * np.sqrt(2 * root**2 / (n * rho) ** 2 * np.log(root / alpha)))


def cuped(units: Values, others: Values) -> Row:
    """Welch's test on what is left of each value after the part that the covariate foretells is taken away."""
    values = [np.array([[value[0], value[2]] for value in some], dtype=float) for some in (units, others)]
    deviations = [some - some.mean(axis=0) for some in values]
    squares = sum((some[:, 1] ** 2).sum() for some in deviations)
    if not squares:
        return {}
    theta = sum((some[:, 0] * some[:, 1]).sum() for some in deviations) / squares
    adjusted = [some[:, 0] - theta * some[:, 1] for some in values]
    test = stats.ttest_ind(*adjusted, equal_var=False)
    interval = test.confidence_interval(0.95)
    return {
        "cuped_diff": adjusted[0].mean() - adjusted[1].mean(),
        "cuped_ci_low": interval.low,
        "cuped_ci_high": interval.high,
        "cuped_p_value": test.pvalue,
    }


def experiment_readouts(events: Iterable[Event], as_of: datetime) -> dict[Key, Row]:
    """Rows by (experiment, variation, metric)."""
    found = values(list(events), as_of)
    parameters = reference()
    rows: dict[Key, Row] = {}
    for experiment in {key[0] for key in found}:
        arms = {variation: metrics for (name, variation), metrics in found.items() if name == experiment}
        control = "control" if "control" in arms else min(arms)
        tested: dict[Key, float] = {}
        for variation, metrics in arms.items():
            for metric, units in metrics.items():
                key = (experiment, variation, metric)
                mean, variance = moments(KINDS[metric], units)
                row: Row = dict.fromkeys(
                    ("control_mean", "diff", "relative_diff", "ci_low", "ci_high", "p_value", "p_value_adjusted",
                     "significance", "minimum_detectable_effect", "sequential_ci_low", "sequential_ci_high",
                     "cuped_diff", "cuped_ci_low", "cuped_ci_high", "cuped_p_value")
                )  # fmt: skip
                row |= {"units": len(units), "mean": mean, "variance": variance, "control": control}
                row["parameters"] = parameters.get((experiment, variation))
                if variation != control:
                    others = arms[control].get(metric, [])
                    row |= comparison(KINDS[metric], units, others) if others else {}
                    few = min(len(units), len(others)) < 30
                    row["significance"] = "insufficient_data" if few else "not_significant"
                    if row["p_value"] is not None:
                        tested[key] = row["p_value"]
                rows[key] = row
        for key, adjusted in zip(tested, stats.false_discovery_control(list(tested.values())), strict=True):
            rows[key]["p_value_adjusted"] = adjusted
            if rows[key]["significance"] == "not_significant" and adjusted < 0.05:
                rows[key]["significance"] = "significant"
    return rows


def experiment_health(events: Iterable[Event], as_of: datetime) -> dict[Key, Row]:
    """Rows by (experiment,)."""
    rows: dict[Key, Row] = {}
    for experiment, units in exposures(events).items():
        counts: dict[str, int] = defaultdict(int)
        for shown in units.values():
            variation = assigned(shown)
            if variation is not None:
                counts[variation] += 1
        p_value = stats.chisquare(list(counts.values())).pvalue if len(counts) > 1 else None
        moments_shown = [moment for shown in units.values() for moment, _ in shown]
        rows[(experiment,)] = {
            "units": sum(counts.values()),
            "units_by_variation": json.dumps(dict(sorted(counts.items()))),
            "srm_p_value": p_value,
            "has_sample_ratio_mismatch": p_value is not None and p_value < 0.001,
            "crossovers": len(units) - sum(counts.values()),
            "first_exposure_at": min(moments_shown).replace(tzinfo=None),
            "last_exposure_at": max(moments_shown).replace(tzinfo=None),
        }
    return rows


def reference() -> dict[Key, str]:
    with SEED.open(newline="") as rows:
        return {(row["experiment"], row["variation"]): row["parameters"] for row in csv.DictReader(rows)}


def experiment_parameter_sets(events: Iterable[Event], as_of: datetime) -> dict[Key, Row]:
    """Rows by (experiment, variation)."""
    health = experiment_health(events, as_of)
    units = {
        (experiment, variation): count
        for (experiment,), row in health.items()
        for variation, count in json.loads(row["units_by_variation"]).items()
    }
    parameters = reference()
    return {
        key: {"parameters": parameters.get(key), "units": units.get(key, 0)} for key in sorted({*parameters, *units})
    }


def experiment_statistics(events: Iterable[Event], as_of: datetime) -> dict[Key, Row]:
    """Rows by (experiment, variation, metric)."""
    rows: dict[Key, Row] = {}
    for key, metrics in values(list(events), as_of).items():
        for metric, units in metrics.items():
            numerators, denominators = columns(units)
            has_covariate = units[0][2] is not None
            covariates = np.array([value[2] for value in units], dtype=float)
            spread = numerators - numerators.mean()
            rows[(*key, metric)] = {
                "kind": KINDS[metric],
                "units": len(units),
                "sum_numerator": numerators.sum(),
                "sum_denominator": denominators.sum(),
                "sum_covariate": covariates.sum() if has_covariate else None,
                "squares_numerator": (spread**2).sum(),
                "squares_denominator": ((denominators - denominators.mean()) ** 2).sum(),
                "squares_covariate": ((covariates - covariates.mean()) ** 2).sum() if has_covariate else None,
                "products_denominator": (spread * (denominators - denominators.mean())).sum(),
                "products_covariate": (spread * (covariates - covariates.mean())).sum() if has_covariate else None,
            }
    return rows


MARTS = {
    "experiment_readouts": experiment_readouts,
    "experiment_health": experiment_health,
    "experiment_parameter_sets": experiment_parameter_sets,
    "experiment_statistics": experiment_statistics,
}
