"""The mean over all patterns: what is shared stays, what is independent averages out."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from loadtests.judge.stats.autocorrelation import (
    critical_value,
    effective_degrees_of_freedom,
    long_run_variance,
)
from loadtests.judge.stats.distributions import TailProbability, normal_quantile
from loadtests.judge.stats.overall import OverallRatio, pattern_alpha
from loadtests.judge.stats.quantiles import estimate_quantile
from loadtests.judge.stats.ratios import BetweenRunVariance, PairedRatio, UnpairedRatio
from tests.judge.stats.test_ratios import series


def pairs(
    rng: np.random.Generator,
    count: int,
    *,
    factor: float = 1.0,
    q: float = 0.5,
    path: NDArray[np.float64] | None = None,
    calls: int = 100,
) -> list[PairedRatio]:
    """Two subjects of one run, pattern by pattern; `path` is what every call of a second feels."""
    return [
        PairedRatio(
            estimate_quantile(series(rng, factor=factor, path=path, calls=calls), q),
            estimate_quantile(series(rng, path=path, calls=calls), q),
        )
        for _ in range(count)
    ]


def width(ratio: OverallRatio | PairedRatio, level: float = 0.025) -> float:
    return math.log(ratio.high(TailProbability(level)) / ratio.low(TailProbability(level)))


@settings(max_examples=20)
@given(st.integers(0, 2**32), st.sampled_from([0.5, 0.99]), st.sampled_from([0.05, 0.001]))
def test_of_one_pattern_it_is_that_patterns_ratio(seed: int, q: float, level: float) -> None:
    (pair,) = pairs(np.random.default_rng(seed), 1, q=q)
    whole = OverallRatio([pair])
    assert whole.estimate == pytest.approx(pair.estimate)
    assert whole.high(TailProbability(level)) == pytest.approx(pair.high(TailProbability(level)))
    assert whole.low(TailProbability(level)) == pytest.approx(pair.low(TailProbability(level)))


def test_the_same_pattern_again_keeps_its_noise() -> None:
    (pair,) = pairs(np.random.default_rng(1), 1, path=np.random.default_rng(2).normal(size=40) / 5)
    one, four = (
        pair.contributions("high", pattern_alpha(TailProbability(0.05), 4))[0],
        OverallRatio([pair] * 4),
    )
    assert four.estimate == pytest.approx(pair.estimate)
    # its noise is the same each time, so only the floor of independent calls sinks
    assert long_run_variance(one.by_unit) > one.independent_variance / 4
    assert math.log(four.high(TailProbability(0.05)) / four.estimate) == pytest.approx(
        math.sqrt(long_run_variance(one.by_unit))
        * critical_value(
            long_run_variance(one.by_unit) / (one.independent_variance / 4),
            effective_degrees_of_freedom(one.by_unit),
            TailProbability(0.05),
        )
    )


def test_independent_patterns_narrow_it_as_their_root() -> None:
    rng = np.random.default_rng(5)
    nine = pairs(rng, 9)
    assert width(OverallRatio(nine)) < 0.5 * min(width(one) for one in nine)


@given(st.floats(1e-9, 0.4), st.integers(1, 50))
def test_a_part_deviates_less_than_the_mean_of_many(level: float, count: int) -> None:
    own = pattern_alpha(TailProbability(level), count)
    assert level * (1 - 1e-6) <= own < 0.5
    assert normal_quantile(1 - own) * math.sqrt(count) == pytest.approx(normal_quantile(1 - level))


def test_bounds_of_the_mean_are_as_lopsided_as_a_mean_is() -> None:
    """The mean of nine skewed variables: its far quantiles, by the rule and by drawing."""
    rng = np.random.default_rng(12)
    count, calls = 9, 40.0
    # the log of a p99 moves with that of the number of calls above it (a tail of index 1)
    drawn = -np.log(rng.gamma(calls, size=(400_000, count)) / calls)
    mean, single = drawn.mean(axis=1), drawn[:, 0]
    for level in (0.01, 0.001):
        true = np.quantile(mean, 1 - level) - np.median(mean)
        z, own = normal_quantile(1 - level), pattern_alpha(TailProbability(level), count)
        step = (np.quantile(single, 1 - own) - np.median(single)) / normal_quantile(1 - own)
        assert z * step / math.sqrt(count) == pytest.approx(true, rel=0.02)
        far = np.quantile(single, 1 - level) - np.median(single)
        assert far / math.sqrt(count) > 1.03 * true  # a part's own far quantile is further


def test_the_estimate_is_the_geometric_mean() -> None:
    parts = pairs(np.random.default_rng(6), 3, factor=1.2)
    expected = math.prod(one.estimate for one in parts) ** (1 / 3)
    assert OverallRatio(parts).estimate == pytest.approx(expected)


@pytest.mark.parametrize("apart", [False, True])
def test_it_holds_the_truth_as_often_as_it_says(apart: bool) -> None:
    rng = np.random.default_rng(8)
    held = 0
    for _ in range(120):
        parts = []
        paths = [rng.normal(size=40) * 0.1 for _ in range(2)]
        for _ in range(4):
            a = estimate_quantile(series(rng, path=paths[0], calls=40), 0.9)
            b = estimate_quantile(series(rng, path=paths[apart], calls=40, factor=1.1), 0.9)
            parts.append(UnpairedRatio((b,), (a,)) if apart else PairedRatio(b, a))
        whole = OverallRatio(parts)
        held += whole.low(TailProbability(0.05)) <= 1.1 <= whole.high(TailProbability(0.05))
    assert held >= 100  # 90% of 120 is 108; 100 or fewer have a chance of under 1%


def test_runs_apart_against_a_slow_reckoning() -> None:
    rng = np.random.default_rng(9)
    old, new = (
        [[estimate_quantile(series(rng), 0.5) for _ in range(3)] for _ in range(2)] for _ in "ab"
    )
    parts = [
        UnpairedRatio(
            tuple(new[run][p] for run in range(2)), tuple(old[run][p] for run in range(2))
        )
        for p in range(3)
    ]
    square = 0.0
    for runs, side in ((new, "up"), (old, "down")):
        for run in runs:
            by_second, alone = np.zeros(40), 0.0
            for one in run:
                free = UnpairedRatio((one,), (one,)).contributions(
                    "high", pattern_alpha(TailProbability(0.05), 3)
                )
                own = free[0 if side == "up" else 1]
                by_second = by_second + own.by_unit / 3 / 2  # the mean of two runs
                alone += own.independent_variance / 9 / 4
            variance = max(long_run_variance(by_second), alone)
            far = critical_value(
                variance / alone, effective_degrees_of_freedom(by_second), TailProbability(0.05)
            )
            square += far * far * variance
    whole = OverallRatio(parts)
    assert whole.high(TailProbability(0.05)) == pytest.approx(
        whole.estimate * math.exp(math.sqrt(square))
    )


def test_variation_between_runs_widens_it() -> None:
    rng = np.random.default_rng(10)
    parts = [
        ((estimate_quantile(series(rng), 0.5),), (estimate_quantile(series(rng), 0.5),))
        for _ in range(2)
    ]
    calm = OverallRatio([UnpairedRatio(a, b) for a, b in parts])
    restless = OverallRatio([UnpairedRatio(a, b, BetweenRunVariance(0.04, 8.0)) for a, b in parts])
    assert width(restless) > 2 * width(calm)


def test_where_one_pattern_carries_no_bound_all_together_do_not() -> None:
    rng = np.random.default_rng(11)
    many, few = pairs(rng, 1, q=0.99)[0], pairs(rng, 1, q=0.99, calls=3)[0]
    whole = OverallRatio([many, few])
    assert whole.high(TailProbability(0.05)) == math.inf
    assert whole.low(TailProbability(0.05)) == 0.0


def test_a_mean_has_no_bound_that_its_patterns_have_calls_too_few_for() -> None:
    rng = np.random.default_rng(13)
    enough, few = (OverallRatio(pairs(rng, 9, q=0.99, calls=calls)) for calls in (9, 4))
    assert min(one.calls for one in enough.subjects) >= 299 > max(o.calls for o in few.subjects)
    assert math.isfinite(enough.high(TailProbability(0.05)))
    assert few.high(TailProbability(0.05)) == math.inf
    assert few.low(TailProbability(0.05)) == 0.0
    assert math.isfinite(few.high(TailProbability(0.4)))
