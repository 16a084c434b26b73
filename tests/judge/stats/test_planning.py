"""Planned limits: against simulated runs, published figures and the verdict's own decisions."""

from __future__ import annotations

import numpy as np
import pytest

from loadtests.judge.stats.autocorrelation import degrees_of_freedom
from loadtests.judge.stats.distributions import TailProbability
from loadtests.judge.stats.exceedance import ExceedanceRate
from loadtests.judge.stats.planning import PlannedLimit

FIVE_PER_CENT = TailProbability(0.05)


def planned(
    *,
    allowed: float = 0.01,
    true_share: float = 0.005,
    rate_per_s: float = 10.0,
    design_effect: float = 1.0,
    failures: bool = False,
) -> PlannedLimit:
    return PlannedLimit(
        allowed=allowed,
        true_share=true_share,
        rate_per_s=rate_per_s,
        alpha=FIVE_PER_CENT,
        design_effect=design_effect,
        failures=failures,
    )


@pytest.mark.parametrize(("calls", "chance"), [(1_000, 0.44), (3_000, 0.92), (5_000, 0.99)])
def test_the_chance_to_pass_a_p99_that_half_of_the_allowed_calls_exceed(
    calls: int, chance: float
) -> None:
    assert planned(rate_per_s=calls / 1_000).chance(1_000) == pytest.approx(chance, abs=0.005)


@pytest.mark.parametrize(("allowed", "calls"), [(0.5, 5), (0.01, 299), (0.001, 2_995)])
def test_calls_without_which_there_is_no_bound(allowed: float, calls: int) -> None:
    assert planned(allowed=allowed).least_calls == calls
    assert planned(allowed=allowed, design_effect=2.0).least_calls >= 2 * calls - 1


@pytest.mark.parametrize("true_share", [0.002, 0.03])
@pytest.mark.parametrize("seconds", [60, 300])
def test_the_chance_is_that_of_simulated_runs(true_share: float, seconds: int) -> None:
    limit = planned(true_share=true_share)
    calls = round(limit.rate_per_s * seconds)
    rng = np.random.default_rng(1)

    def decides(above: int) -> bool:
        rate = ExceedanceRate(
            above=above,
            calls=calls,
            design_effect=1.0,
            degrees_of_freedom=degrees_of_freedom(seconds),
        )
        if true_share <= limit.allowed:
            return rate.is_at_most(limit.allowed, FIVE_PER_CENT)
        return rate.is_more_than(limit.allowed, FIVE_PER_CENT)

    counted = rng.binomial(calls, true_share, 4_000)
    values, counts = np.unique(counted, return_counts=True)
    share = sum(
        int(count) for value, count in zip(values, counts, strict=True) if decides(int(value))
    )
    assert limit.chance(seconds) == pytest.approx(share / 4_000, abs=0.03)


def test_an_error_rate_without_errors_is_decided_by_its_number_of_calls() -> None:
    limit = planned(allowed=0.001, true_share=0.0, rate_per_s=20.0, failures=True)
    assert limit.seconds_for(0.9) == 150  # 3,000 calls, of which 2,995 suffice
    assert (limit.chance(149), limit.chance(150)) == (0.0, 1.0)


def test_the_seconds_are_the_first_that_reach_the_chance() -> None:
    limit = planned(rate_per_s=50.0, design_effect=2.0)
    seconds = limit.seconds_for(0.9)
    assert seconds is not None
    assert limit.chance(seconds) >= 0.9
    assert limit.chance(seconds * 0.9) < 0.9


def test_correlated_calls_take_longer() -> None:
    independent, correlated = (
        planned(rate_per_s=50.0, design_effect=effect).seconds_for(0.9) for effect in (1.0, 4.0)
    )
    assert independent is not None
    assert correlated is not None
    assert correlated > 3 * independent


def test_a_share_at_the_limit_is_never_decided_and_no_call_decides_nothing() -> None:
    assert planned(true_share=0.01).seconds_for(0.9) is None
    assert planned().chance(0.05) == 0.0
    assert planned().chance(9) == 0.0  # too few seconds for a design effect
