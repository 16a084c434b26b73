from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtests.judge.stats.autocorrelation import degrees_of_freedom, long_run_variance
from loadtests.judge.stats.distributions import TailProbability
from loadtests.judge.stats.exceedance import effective_calls
from loadtests.judge.stats.quantiles import estimate_quantile
from loadtests.judge.stats.samples import Samples
from loadtests.measure.histogram import Histogram, Sparse
from tests.judge.stats.calls import samples_by_second


def independent(rng: np.random.Generator, calls: int = 1_000, seconds: int = 20) -> Samples:
    values = rng.integers(1, 1_000_000, calls)
    return samples_by_second(np.array_split(values, seconds))


def dealt(calls: int, seconds: int) -> Samples:
    """1 … calls (exact in the layout), dealt out evenly, so that no second is unlike another."""
    return samples_by_second([range(1 + second, calls + 1, seconds) for second in range(seconds)])


def binomial(i: int, n: int, p: float) -> float:
    return math.exp(
        math.lgamma(n + 1)
        - math.lgamma(i + 1)
        - math.lgamma(n - i + 1)
        + i * math.log(p)
        + (n - i) * math.log1p(-p)
    )


def order_statistic_bounds(values: Sequence[int], q: float, level: float) -> tuple[int, float]:
    """The textbook bounds for independent calls: scan the ranks with the exact binomial."""
    values, n = sorted(values), len(values)
    below = list(itertools.accumulate(binomial(i, n, q) for i in range(n + 1)))
    high = next((values[r - 1] for r in range(1, n + 1) if below[r - 1] >= 1 - level), math.inf)
    low = next((values[r - 1] for r in range(n, 0, -1) if below[r - 1] <= level), 0)
    return low, high


@pytest.mark.parametrize("q", [0.5, 0.9, 0.99])
@pytest.mark.parametrize("level", [0.05, 0.025, 0.001])
@pytest.mark.parametrize("calls", [80, 299, 900])
def test_independent_calls_get_the_textbook_order_statistics(
    q: float, level: float, calls: int
) -> None:
    found = estimate_quantile(dealt(calls, 10), q)
    assert found.design_effect == 1.0
    low, high = order_statistic_bounds(range(1, calls + 1), q, level)
    assert round(found.low_ms(TailProbability(level)) * 1e6) == low
    high_ms = replace(found, independent=True).high_ms(TailProbability(level))
    assert round(high_ms * 1e6, 3) == high


def test_298_calls_cannot_carry_a_p99_and_299_can() -> None:
    for calls, carried in ((298, False), (299, True)):
        found = estimate_quantile(dealt(calls, 12), 0.99)
        assert found.design_effect == 1.0
        assert math.isfinite(found.high_ms(TailProbability(0.05))) is carried
        assert found.calls_needed(TailProbability(0.05)) == (None if carried else 299)


def test_under_ten_seconds_there_is_no_bound_however_many_calls() -> None:
    found = estimate_quantile(dealt(900, 9), 0.5)
    assert found.high_ms(TailProbability(0.05)) == math.inf
    assert found.low_ms(TailProbability(0.05)) == 0.0
    assert found.calls_needed(TailProbability(0.05)) == 1_000


@settings(max_examples=30)
@given(
    st.lists(st.lists(st.integers(0, 10**10), max_size=30), min_size=1, max_size=15).filter(any),
    st.sampled_from([0.5, 0.9, 0.99, 0.999]),
)
def test_the_estimate_is_the_merged_histograms_quantile(values: list[list[int]], q: float) -> None:
    merged = Histogram()
    for one in values:
        merged.add(Sparse.of(np.array(one, np.int64)))
    assert estimate_quantile(samples_by_second(values), q).estimate_ms * 1e6 == pytest.approx(
        merged.quantile_ns(q)
    )


@settings(max_examples=30)
@given(st.integers(0, 2**32), st.sampled_from([0.5, 0.9, 0.99]))
def test_bounds_enclose_the_estimate_and_widen_as_the_level_falls(seed: int, q: float) -> None:
    found = estimate_quantile(independent(np.random.default_rng(seed)), q)
    levels = [0.2, 0.05, 0.01, 0.001]
    highs = [found.high_ms(TailProbability(level)) for level in levels]
    lows = [found.low_ms(TailProbability(level)) for level in levels]
    assert highs == sorted(highs)
    assert lows == sorted(lows, reverse=True)
    assert lows[0] <= found.estimate_ms <= highs[0]


def test_likeness_is_the_long_run_variance_over_that_of_independent_calls() -> None:
    rng = np.random.default_rng(5)
    values = [
        (rng.integers(1, 1_000, 20) * (2 if second % 16 < 8 else 1)).tolist()
        for second in range(40)
    ]
    everything = sorted(v for second in values for v in second)
    threshold = everything[math.ceil(0.9 * 800 - 1e-9) - 1]
    share = sum(v > threshold for v in everything) / 800
    residuals = [sum(v > threshold for v in second) - share * 20 for second in values]
    expected = long_run_variance(np.array(residuals)) / (800 * share * (1 - share))
    found = estimate_quantile(samples_by_second(values), 0.9)
    assert found.design_effect == pytest.approx(max(1.0, expected))
    assert found.design_effect > 1.2


def least_time_with_few_above(values_by_second: list[list[int]], q: float, level: float) -> float:
    """The upper bound, slowly: try every time; above it, exact binomial at the effective size."""
    everything = sorted(v for second in values_by_second for v in second)
    n, units = len(everything), len(values_by_second)

    def design_effect(time: int) -> float:
        above = [sum(v > time for v in second) for second in values_by_second]
        share = sum(above) / n
        if not 0 < share < 1:
            return 1.0
        scale = math.sqrt(share * (1 - share) * n)
        off = [(a - share * len(s)) / scale for a, s in zip(above, values_by_second, strict=True)]
        return max(1.0, long_run_variance(np.array(off)))

    tenth = everything[n - 10] - 1

    def few_above(time: int) -> bool:
        effect = max(design_effect(time), design_effect(tenth) if tenth < time else 1.0)
        size = effective_calls(n, effect, degrees_of_freedom(units), TailProbability(level))
        above = size * sum(v > time for v in everything) / n
        # Beta(above + 1, size - above), on a grid
        share = (np.arange(400_000) + 0.5) / 400_000
        log = above * np.log(share) + (size - above - 1) * np.log1p(-share)
        density = np.exp(log - log.max())
        return bool(density[share <= 1 - q].sum() / density.sum() >= 1 - level)

    if not few_above(everything[-1]):
        return math.inf
    start = everything[math.ceil(q * n - 1e-9) - 1]
    return next(v for v in everything if v >= start and few_above(v))


@pytest.mark.parametrize("stalls", [0, 1, 3])
@pytest.mark.parametrize("q", [0.5, 0.9, 0.99])
def test_the_upper_bound_is_the_least_time_with_few_calls_above(q: float, stalls: int) -> None:
    rng = np.random.default_rng([7, stalls])
    values = [rng.integers(500, 1_500, 40).tolist() for _ in range(30)]
    for second in rng.choice(30, stalls, replace=False):
        values[second][:4] = rng.integers(1_600, 2_000, 4).tolist()
    found = estimate_quantile(samples_by_second(values), q)
    expected = least_time_with_few_above(values, q, 0.025)
    assert found.high_ms(TailProbability(0.025)) * 1e6 == pytest.approx(expected)


def test_one_stall_far_above_the_limit_does_not_hide_that_all_else_is_far_below() -> None:
    rng = np.random.default_rng(3)
    values = [rng.integers(1_000_000, 4_000_000, 43).tolist() for _ in range(90)]
    values[50][:4] = [30_000_000] * 4
    found = estimate_quantile(samples_by_second(values), 0.99)
    assert found.high_ms(TailProbability(0.025)) < 10
    values[50][:43] = [30_000_000] * 43  # more than one call in a hundred, in one piece
    assert (
        estimate_quantile(samples_by_second(values), 0.99).high_ms(TailProbability(0.025))
        == math.inf
    )


def test_slow_stretches_widen_the_interval() -> None:
    rng = np.random.default_rng(2)
    alike = [rng.integers(1_000, 2_000, 50) + (900 if 10 <= s < 20 else 0) for s in range(40)]
    mixed = np.array_split(rng.permutation(np.concatenate(alike)), 40)
    width = [
        f.high_ms(TailProbability(0.025)) - f.low_ms(TailProbability(0.025))
        for f in (
            estimate_quantile(samples_by_second(alike), 0.5),
            estimate_quantile(samples_by_second(mixed), 0.5),
        )
    ]
    assert width[0] > 3 * width[1]


@given(st.integers(1, 100_000), st.floats(1, 50), st.integers(1, 40))
def test_effective_calls_never_exceed_the_calls_and_fall_with_the_level(
    calls: int, design_effect: float, count: int
) -> None:
    at_5, at_1 = (
        effective_calls(calls, design_effect, count, TailProbability(level))
        for level in (0.05, 0.01)
    )
    assert at_1 <= at_5 <= calls / design_effect * (1 + 1e-6)


def test_an_empty_series_has_no_quantile() -> None:
    with pytest.raises(ValueError, match="no calls"):
        estimate_quantile(Samples.of([]), 0.5)
