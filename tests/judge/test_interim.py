from __future__ import annotations

import random
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.config import Gate
from loadtests.judge.interim import next_analysis, planned_analyses


@given(st.floats(0.6, 0.999), st.floats(1, 1_000), st.floats(10, 1_000))
def test_the_looks_spend_the_error_and_no_more(
    confidence: float, budget: float, measured_s: float
) -> None:
    looks = planned_analyses(Gate(confidence=confidence, max_extension=budget), measured_s)
    assert sum(one.alpha for one in looks) == pytest.approx(1 - confidence)
    assert looks[0].measured_s == measured_s
    assert looks[-1].measured_s == pytest.approx(measured_s + budget)
    assert [one.measured_s for one in looks] == sorted(one.measured_s for one in looks)


def test_a_run_that_may_not_be_extended_spends_all_at_once() -> None:
    looks = planned_analyses(Gate(max_extension=0), 60.0)
    (only,) = looks
    assert only.measured_s == 60.0
    assert only.alpha == pytest.approx(0.05)


def test_only_an_inconclusive_run_is_extended_and_only_to_the_planned_looks() -> None:
    looks = planned_analyses(Gate(max_extension=120), 60.0)
    assert next_analysis("INCONCLUSIVE", None, looks, 1) == looks[1]
    assert next_analysis("INCONCLUSIVE", None, looks, 2) == looks[2]
    assert next_analysis("INCONCLUSIVE", None, looks, 3) is None
    for status in ("PASS", "FAIL", "INVALID"):
        assert next_analysis(status, None, looks, 1) is None


def test_a_hopeless_run_is_not_extended_and_an_unknown_need_is() -> None:
    looks = planned_analyses(Gate(max_extension=120), 60.0)
    assert next_analysis("INCONCLUSIVE", 541.0, looks, 1) is None
    assert next_analysis("INCONCLUSIVE", 539.0, looks, 1) == looks[1]
    assert next_analysis("INCONCLUSIVE", None, looks, 1) == looks[1]


def alarms(levels: list[float], fractions: list[float], runs: int, seed: int) -> float:
    """The rate of runs without effect in which any analysis of the growing mean is significant."""
    rng = random.Random(seed)
    bounds = [NormalDist().inv_cdf(1 - level) for level in levels]
    false = 0
    for _ in range(runs):
        total = seen = 0.0
        for fraction, bound in zip(fractions, bounds, strict=True):
            total += rng.gauss(0, (fraction - seen) ** 0.5)
            seen = fraction
            if total / seen**0.5 > bound:
                false += 1
                break
    return false / runs


def test_looking_three_times_does_not_inflate_false_alarms() -> None:
    looks = planned_analyses(Gate(max_extension=120), 60.0)
    fractions = [one.measured_s / 180.0 for one in looks]
    planned = alarms([one.alpha for one in looks], fractions, 20_000, seed=1)
    naive = alarms([0.05] * 3, fractions, 20_000, seed=1)
    assert planned < 0.05
    assert naive > 0.07  # what the plan is there to avoid
