"""The inference on experiments: against published values, scipy on random inputs, and a thousand A/A tests."""

from __future__ import annotations

import csv
import importlib.util
import json
from math import isfinite
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import pytest
from handmade import Handmade
from oracles.experiments import Values, comparison
from scipy import stats

from agent_analytics import cli
from agent_analytics.storage import PROJECT_ROOT

Row = dict[str, Any]


def load(name: str) -> ModuleType:
    """A Python model of dbt's as a module."""
    path = PROJECT_ROOT / "models" / "intermediate" / "experiments" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


inference = load("int_experiment_comparisons")
imbalance = load("int_experiment_balances").imbalance


def statistics(units: Values, variation: str, kind: str = "mean", metric: str = "m") -> Row:
    """A row of experiment_statistics."""
    known = units[0][2] is not None if units else False
    table = np.array([[value[0], value[1], value[2] or 0] for value in units], dtype=float).reshape(-1, 3)
    deviations = table - table.mean(axis=0) if units else table
    products = deviations.T @ deviations
    return {
        "experiment": "e",
        "variation": variation,
        "metric": metric,
        "kind": kind,
        "units": len(units),
        "sum_numerator": table[:, 0].sum(),
        "sum_denominator": table[:, 1].sum(),
        "sum_covariate": table[:, 2].sum() if known else None,
        "squares_numerator": products[0, 0],
        "squares_denominator": products[1, 1],
        "squares_covariate": products[2, 2] if known else None,
        "products_denominator": products[0, 1],
        "products_covariate": products[0, 2] if known else None,
    }


def compare(units: Values, control: Values, kind: str = "mean") -> Row:
    """The treatment's row."""
    rows = inference.compare([statistics(units, "treatment", kind), statistics(control, "control", kind)])
    (found,) = (row for row in rows if row["variation"] == "treatment")
    return dict(found)


def plain(numbers: Any) -> Values:
    return [(float(number), 1.0, None) for number in numbers]


# Published values


def earnings(treated: bool) -> Values:
    """Earnings in 1978 of the men of the National Supported Work trial, as LaLonde (1986) and Dehejia and Wahba (1999)
    use them: 185 treated, 260 control."""
    with (Path(__file__).parent / "published" / "nsw_earnings_1978.csv").open(newline="") as rows:
        return plain(row["earnings_1978"] for row in csv.DictReader(rows) if (row["treated"] == "1") == treated)


def test_the_job_training_trial_has_its_published_effect() -> None:
    found = compare(earnings(treated=True), earnings(treated=False))
    assert found["diff"] == pytest.approx(1794.34, abs=0.005)
    assert found["p_value"] == pytest.approx(0.00789, abs=0.000005)
    error = found["minimum_detectable_effect"] / (stats.norm.ppf(0.975) + stats.norm.ppf(0.8))
    assert found["diff"] / error == pytest.approx(2.6741, abs=0.00005)
    assert found["significance"] == "significant"


def test_the_polio_vaccine_trial_is_a_two_proportion_test() -> None:
    """The Salk vaccine's trial of 1954 (Francis et al., 1955): 57 of 200,745 and 142 of 201,229 fell ill; z = -6.01."""
    rows = [
        {
            **statistics([(1, 1, None)] * 2, name, "binary"),
            "units": units,
            "sum_numerator": ill,
            "sum_denominator": units,
        }
        for name, ill, units in (("vaccine", 57, 200_745), ("control", 142, 201_229))
    ]
    found = next(row for row in inference.compare(rows) if row["variation"] == "vaccine")
    assert stats.norm.isf(found["p_value"] / 2) == pytest.approx(6.01, abs=0.005)


def test_adjusted_p_values_are_those_of_the_paper() -> None:
    """Table and example of Benjamini and Hochberg (1995), section 3.1: at 0.05, the four smallest are found."""
    p_values = [
        0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528,
        0.7590, 1.0,
    ]  # fmt: skip
    adjusted = inference.adjust(p_values)
    assert [value < 0.05 for value in adjusted] == [True] * 4 + [False] * 11
    assert inference.adjust([0.04]) == [0.04]
    assert inference.adjust([]) == []


# Random inputs


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("kind", ["binary", "mean", "ratio"])
def test_random_inputs_agree_with_scipy(seed: int, kind: str) -> None:
    draw = np.random.default_rng(seed)
    arms: list[Values] = []
    for size in draw.integers(2, 200, size=2):
        if kind == "binary":
            arms.append(plain(draw.random(size) < 0.3))
        elif kind == "mean":
            before = draw.gamma(2, 3, size)
            arms.append([(b + e, 1.0, b) for b, e in zip(before, draw.normal(0.5, 2, size), strict=True)])
        else:
            turns = draw.poisson(4, size)
            arms.append([(float(draw.gamma(2, 100) * n), float(n), None) for n in turns])
    found, expected = compare(arms[0], arms[1], kind), comparison(kind, arms[0], arms[1])
    for name, value in expected.items():
        assert found[name] == (None if value is None else pytest.approx(float(value), rel=1e-9, abs=1e-12)), name


@pytest.mark.parametrize("seed", range(10))
def test_adjustment_agrees_with_scipy(seed: int) -> None:
    p_values = list(np.random.default_rng(seed).random(12) ** 3)
    assert inference.adjust(p_values) == pytest.approx(list(stats.false_discovery_control(p_values)))


# Simulations


def test_a_a_tests_are_significant_as_often_as_promised() -> None:
    """1,000 tests of nothing: the false positives lie within the 99.9% binomial interval around 5%."""
    draw = np.random.default_rng(7)
    tests = 1_000
    found = sum(
        compare(plain(draw.exponential(3, 60)), plain(draw.exponential(3, 60)))["p_value"] < 0.05 for _ in range(tests)
    )
    assert stats.binom.ppf(0.0005, tests, 0.05) <= found <= stats.binom.ppf(0.9995, tests, 0.05)


@pytest.mark.slow
def test_looking_again_and_again_does_not_break_the_always_valid_interval() -> None:
    """An A/A test looked at 20 times: the fixed interval misses 0 at some look far more often than 5%; not this one."""
    draw = np.random.default_rng(8)
    tests, fixed, always = 150, 0, 0
    for _ in range(tests):
        one, other = draw.normal(0, 1, 1_000), draw.normal(0, 1, 1_000)
        looks = [compare(plain(one[:n]), plain(other[:n])) for n in range(50, 1_001, 50)]
        fixed += any(not look["ci_low"] <= 0 <= look["ci_high"] for look in looks)
        always += any(not look["sequential_ci_low"] <= 0 <= look["sequential_ci_high"] for look in looks)
    assert fixed / tests > 0.1
    assert always <= stats.binom.ppf(0.9995, tests, 0.05)


def test_what_users_did_before_narrows_the_interval() -> None:
    draw = np.random.default_rng(9)

    def arm(effect: float) -> Values:
        before = draw.gamma(2, 5, 400)
        return [(b + effect + noise, 1.0, b) for b, noise in zip(before, draw.normal(0, 1, 400), strict=True)]

    found = compare(arm(0.5), arm(0))
    assert found["cuped_ci_high"] - found["cuped_ci_low"] < 0.3 * (found["ci_high"] - found["ci_low"])
    assert found["cuped_ci_low"] < 0.5 < found["cuped_ci_high"]
    assert found["cuped_p_value"] < 1e-6


# Defined answers


def test_one_arm_has_nothing_to_be_compared_with() -> None:
    (row,) = inference.compare([statistics(plain([1, 2, 3]), "only")])
    assert (row["mean"], row["variance"], row["control"]) == (2, 1, "only")
    assert row["diff"] is row["p_value"] is row["significance"] is row["control_mean"] is None


def test_nothing_varies_nothing_is_tested() -> None:
    for kind in ("binary", "mean", "ratio"):
        found = compare(plain([1] * 40), plain([1] * 40), kind)
        assert (found["diff"], found["ci_low"], found["ci_high"], found["p_value"]) == (0, 0, 0, None)
        assert found["significance"] == "not_significant"
        assert found["minimum_detectable_effect"] == 0


def test_two_constants_that_differ_are_not_tested_either() -> None:
    found = compare(plain([2] * 40), plain([1] * 40))
    assert (found["diff"], found["p_value"], found["significance"]) == (1, None, "not_significant")


@pytest.mark.parametrize("order", [(1, 2, 4), (2, 4, 1), (4, 1, 2)])
@pytest.mark.parametrize("ratio", [5, 100, 110, 250, 0.1])
def test_a_ratio_that_is_the_same_for_all_units_does_not_vary(ratio: float, order: tuple[int, ...]) -> None:
    """Sums of squares that cancel out leave what rounding makes of them, above zero or below."""

    def units(each: float) -> Values:
        return [(each * turns, float(turns), each * turns) for turns in order * 10]

    found = compare(units(ratio), units(100), "ratio")
    assert (found["variance"], found["p_value"], found["significance"]) == (0, None, "not_significant")
    assert found["diff"] == found["ci_low"] == found["ci_high"] == pytest.approx(ratio - 100)
    assert found["cuped_p_value"] is None


def test_values_that_differ_by_rounding_only_do_not_vary() -> None:
    found = compare(plain([0.3 - 0.1, 0.2] * 20), plain([0.5] * 40))
    assert (found["variance"], found["p_value"], found["significance"]) == (0, None, "not_significant")


@pytest.mark.parametrize("kind", ["mean", "ratio"])
@pytest.mark.parametrize("large", [1e77, 1e100, 1e154, 1e200, 1e308, 1e-90, 1e-170, float("inf")])
def test_absurd_values_have_an_answer(large: float, kind: str) -> None:
    """No number at all where it is beyond a double, in the other columns what can be known."""
    rows = [statistics(plain([1, 2, 3]), "control", kind), statistics(plain([1, 2, 3]), "treatment", kind)]
    for row in rows:
        row |= {name: float(value) for name, value in row.items() if isinstance(value, float)}
        row |= {"sum_numerator": large, "squares_numerator": large, "squares_covariate": large, "sum_covariate": 1}
        row |= {"products_covariate": large, "products_denominator": large}
    constant = {**rows[0], "squares_numerator": 0.0, "sum_numerator": 0.0, "products_covariate": 0.0}
    squared = {**rows[1], "squares_numerator": large * large}
    for row in inference.compare(rows) + inference.compare([constant, squared]):
        assert all(value is None or not isinstance(value, float) or isfinite(value) for value in row.values())


def test_a_single_unit_has_a_mean_and_no_variance() -> None:
    found = compare(plain([5]), plain([1, 2]))
    assert (found["mean"], found["variance"], found["diff"]) == (5, None, 3.5)
    assert found["ci_low"] is found["p_value"] is None
    assert found["significance"] == "insufficient_data"


def test_29_units_are_too_few_30_are_not() -> None:
    draw = np.random.default_rng(1)
    few, enough = plain(draw.normal(9, 1, 29)), plain(draw.normal(9, 1, 30))
    control = plain(draw.normal(0, 1, 30))
    assert compare(few, control)["significance"] == "insufficient_data"
    assert compare(enough, control)["significance"] == "significant"
    assert compare(few, control)["p_value"] < 1e-9


def test_a_ratio_over_nothing_is_unknown() -> None:
    found = compare([(0.0, 0.0, None)] * 40, [(1.0, 1.0, None)] * 40, "ratio")
    assert found["mean"] is found["diff"] is found["p_value"] is None
    assert found["significance"] == "not_significant"


def test_a_metric_that_the_control_lacks_has_insufficient_data() -> None:
    rows = [statistics(plain([1, 2]), "b", metric="m"), statistics(plain([1, 2]), "a", metric="other")]
    row = next(row for row in inference.compare(rows) if row["variation"] == "b")
    assert (row["control"], row["diff"], row["significance"]) == ("a", None, "insufficient_data")


def test_the_control_is_named_so_or_the_first_by_name() -> None:
    assert inference.control_of({"zebra", "control", "ant"}) == "control"
    assert inference.control_of({"zebra", "ant"}) == "ant"


def test_adjustment_spans_metrics_and_variations_of_one_experiment_only() -> None:
    draw = np.random.default_rng(3)
    arms = [(name, plain(draw.normal(0, 1, 50))) for name in ("control", "b", "c")]
    rows = [statistics(units, name, metric=metric) for metric in ("m", "n") for name, units in arms]
    alone = [{**row, "experiment": "other"} for row in rows if row["variation"] != "c" and row["metric"] == "m"]
    found = inference.compare(rows + alone)
    tested = [row for row in found if row["p_value"] is not None and row["experiment"] == "e"]
    assert len(tested) == 4
    assert [row["p_value_adjusted"] for row in tested] == pytest.approx(
        inference.adjust([r["p_value"] for r in tested])
    )
    (other,) = (row for row in found if row["experiment"] == "other" and row["p_value"] is not None)
    assert other["p_value_adjusted"] == other["p_value"]


def test_sample_ratio_mismatch() -> None:
    assert imbalance([500, 500]) == 1
    assert imbalance([821, 1_000]) == pytest.approx(stats.chisquare([821, 1_000]).pvalue)
    assert imbalance([821, 1_000]) < 0.001
    assert imbalance([10]) is None
    assert imbalance([]) is None


# What is exported


class Published(Handmade):
    """Two experiments: hints has a readout; young is running, and none of its units has completed its days."""

    MARTS: ClassVar = {"experiments": ["experiment_readouts", "experiment_health"]}
    REFS: ClassVar = {}

    @staticmethod
    def rows(mart: str, count: int = 5, double: str = "") -> str:
        if mart == "experiment_health":
            return "select unnest(['hints', 'young']) as experiment, 10 as units, 'ok' as balance"
        return "select 'hints' as experiment, 'control' as control, 'control' as variation, 'm' as metric, 0.5 as mean"


@pytest.fixture
def exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANALYTICS_STORAGE", str(tmp_path))
    Published(tmp_path).build().publish()


@pytest.mark.usefixtures("exported")
def test_an_experiment_without_a_readout_has_its_health(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.execute(["export", "experiment", "young", "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == {"experiment": "young", "health": {"units": 10, "balance": "ok"}, "readouts": []}
    assert cli.execute(["export", "experiment", "young"]) == 1
    assert "no unit has completed its days yet" in capsys.readouterr().err
    assert cli.execute(["export", "experiment", "hints"]) == 0
    assert capsys.readouterr().out.count("\n") == 2


@pytest.mark.usefixtures("exported")
@pytest.mark.parametrize("output", ["csv", "json"])
def test_an_unknown_experiment_is_one_line_with_the_known_ones(output: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.execute(["export", "experiment", "gone", "--format", output]) == 1
    assert "published are hints, young" in capsys.readouterr().err
