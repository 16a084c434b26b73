"""Shares beyond a limit and percentiles with bounds, against slow oracles."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtests.judge.capacity.tail import (
    UNFINISHED_BUCKET,
    StepTail,
    exceedance_rate,
    unfinished_calls,
)
from loadtests.judge.stats.distributions import TailProbability
from loadtests.judge.stats.exceedance import ExceedanceRate
from loadtests.judge.stats.samples import Samples
from loadtests.measure.histogram import highest_value_ns
from tests.judge.stats.calls import samples_by_second

LEVEL = 0.05


def tail_of(seconds: list[list[int]], waiting: int = 0) -> StepTail:
    units = len(seconds)
    unfinished = Samples.of([(units - 1, unfinished_calls(waiting))], units)
    return StepTail(Samples.sum([samples_by_second(seconds), unfinished]))


def binomial_at_most(k: int, n: int, p: float) -> float:
    """P(X ≤ k), term by term."""
    return sum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k + 1))


@given(st.integers(1, 400), st.data(), st.floats(0.002, 0.2))
def test_bounds_of_independent_calls_are_the_exact_binomial_ones(
    n: int, data: st.DataObject, share: float
) -> None:
    """Clopper and Pearson, term by term."""
    k = data.draw(st.integers(0, min(n, 40)))
    found = ExceedanceRate(above=k, calls=n, design_effect=1.0, degrees_of_freedom=10.0)
    at_most, at_least = binomial_at_most(k, n, share), 1 - binomial_at_most(k - 1, n, share)
    if abs(at_most - LEVEL) > 1e-9:
        assert found.is_at_most(share, TailProbability(LEVEL)) == (k < n and at_most <= LEVEL)
    if abs(at_least - LEVEL) > 1e-9:
        assert found.is_more_than(share, TailProbability(LEVEL)) == (k > 0 and at_least <= LEVEL)


def test_a_single_second_shows_nothing_for_certain() -> None:
    found = exceedance_rate(np.array([0]), np.array([0]), np.array([100_000]))
    assert not found.is_at_most(0.01, TailProbability(LEVEL))
    assert not exceedance_rate(np.array([90_000]), np.array([9]), np.array([100_000])).is_more_than(
        0.01, TailProbability(LEVEL)
    )


@pytest.mark.parametrize("seconds", [5, 20])
def test_slow_calls_in_one_second_weigh_less_than_the_same_spread_out(seconds: int) -> None:
    calls = np.full(seconds, 1_000)
    spread = np.full(seconds, 4)
    heaped = np.zeros(seconds, np.int64)
    heaped[1] = spread.sum()
    assert exceedance_rate(spread, spread, calls).is_at_most(0.01, TailProbability(LEVEL))
    assert not exceedance_rate(heaped, heaped, calls).is_at_most(0.01, TailProbability(LEVEL))
    many = exceedance_rate(heaped * 5, heaped * 5, calls)
    assert many.estimate > 0.01
    assert not many.is_more_than(0.01, TailProbability(LEVEL))
    assert exceedance_rate(spread * 5, spread * 5, calls).is_more_than(0.01, TailProbability(LEVEL))


def test_short_steps_take_the_scatter_between_seconds() -> None:
    above, calls = np.array([0, 8, 2, 6]), np.array([100, 200, 100, 200])
    share = 16 / 600
    residuals = (above - share * calls) / math.sqrt(share * (1 - share) * 600)
    found = exceedance_rate(above, above, calls)
    assert found.design_effect == pytest.approx(max(1.0, (residuals**2).sum() * 4 / 3))
    assert found.degrees_of_freedom == 3


times = st.lists(
    st.lists(st.integers(100_000, 50_000_000), min_size=0, max_size=30), min_size=2, max_size=12
).filter(any)


@settings(max_examples=60)
@given(times, st.integers(0, 5), st.sampled_from([0.5, 0.9, 0.99]))
def test_the_percentile_is_that_of_all_calls_the_unfinished_slowest(
    seconds: list[list[int]], waiting: int, q: float
) -> None:
    tail = tail_of(seconds, waiting)
    ordered = sorted(ns for one in seconds for ns in one) + [math.inf] * waiting
    expected = ordered[max(1, math.ceil(q * len(ordered) - 1e-9)) - 1]
    found = tail.quantile_ms(q)
    if math.isinf(expected):
        assert math.isinf(found)
    else:
        assert found == pytest.approx(expected / 1e6, rel=1.01e-3)
    assert (
        tail.low_ms(q, TailProbability(LEVEL)) <= found <= tail.high_ms(q, TailProbability(LEVEL))
    )


@settings(max_examples=25, deadline=None)
@given(times, st.sampled_from([0.5, 0.8]))
def test_bounds_are_the_outermost_times_that_the_test_allows(
    seconds: list[list[int]], q: float
) -> None:
    """Every occupied bucket in turn."""
    tail = tail_of(seconds)
    samples = tail.samples
    buckets = sorted(set(samples.index.tolist()))

    def above(bucket: int) -> ExceedanceRate:
        return exceedance_rate(samples.calls_above(bucket), tail.slowest, samples.calls_by_unit())

    upper = [b for b in buckets if above(b).is_at_most(1 - q, TailProbability(LEVEL))]
    high = tail.high_ms(q, TailProbability(LEVEL))
    if math.isfinite(high):
        shown = [float(highest_value_ns(np.array([b]))[0]) / 1e6 for b in upper]
        assert high in shown
    lower = [b for b in buckets if above(b - 1).is_more_than(1 - q, TailProbability(LEVEL))]
    low = tail.low_ms(q, TailProbability(LEVEL))
    if low:
        assert low in [float(highest_value_ns(np.array([b]))[0]) / 1e6 for b in lower]


def test_unfinished_calls_are_slower_than_anything() -> None:
    assert unfinished_calls(3).index.tolist() == [UNFINISHED_BUCKET]
    assert unfinished_calls(0).total == 0


def test_bounds_cover_as_promised() -> None:
    """Independent calls, 400 runs: each one-sided bound misses about one in twenty at most."""
    rng = np.random.default_rng(5)
    missed_high = missed_low = 0
    runs = 400
    truth = -math.log(0.01) * 2e6  # the p99 of an exponential of mean 2 ms
    for _ in range(runs):
        tail = tail_of([list((rng.exponential(2e6, 150)).astype(np.int64)) for _ in range(10)])
        missed_high += tail.high_ms(0.99, TailProbability(LEVEL)) < truth / 1e6
        missed_low += tail.low_ms(0.99, TailProbability(LEVEL)) > truth / 1e6
    # three standard errors above one in twenty
    assert missed_high <= runs * 0.083
    assert missed_low <= runs * 0.083
