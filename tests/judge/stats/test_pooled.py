"""The design effect from all access patterns pooled: thinning, sums, and a pattern's own calls."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from loadtests.judge.stats.autocorrelation import long_run_variance
from loadtests.judge.stats.exceedance import residuals_above
from loadtests.judge.stats.pooled import PooledSeries, design_effect_above
from loadtests.judge.stats.samples import Samples
from tests.judge.stats.calls import samples_by_second

SLOW = 1_000  # exact in the layout, as are all times below


seconds = st.lists(st.lists(st.integers(0, 2_000), max_size=8), min_size=12, max_size=12)


@settings(max_examples=40)
@given(st.lists(seconds, min_size=1, max_size=4).filter(lambda parts: any(map(any, parts))))
def test_the_sum_of_several_series_is_one_series_of_all_calls(parts: list[list[list[int]]]) -> None:
    together = [[v for part in parts for v in part[second]] for second in range(12)]
    expected, found = (
        samples_by_second(together),
        Samples.sum([samples_by_second(part) for part in parts]),
    )
    assert found.calls == expected.calls
    assert found.calls_by_unit().tolist() == expected.calls_by_unit().tolist()
    for bucket in (0, 500, SLOW, 1_999):
        assert found.calls_above(bucket).tolist() == expected.calls_above(bucket).tolist()


@settings(max_examples=40)
@given(seconds.filter(any), st.integers(0, 2_000))
def test_the_design_effect_against_a_slow_computation(values: list[list[int]], bucket: int) -> None:
    everything = [v for second in values for v in second]
    share = sum(v > bucket for v in everything) / len(everything)
    expected = 1.0
    if 0 < share < 1:
        off = [sum(v > bucket for v in second) - share * len(second) for second in values]
        binomial = share * (1 - share) * len(everything)
        expected = max(1.0, long_run_variance(np.array(off) / math.sqrt(binomial)))
    assert design_effect_above(samples_by_second(values), bucket) == pytest.approx(expected)
    assert residuals_above(samples_by_second(values), bucket).size == 12


def stalled(
    rng: np.random.Generator, stalls: int, size: int, calls: int = 100, units: int = 200
) -> list[NDArray[np.int64]]:
    """Fast calls, and `stalls` seconds in which `size` calls are slow."""
    values = [rng.integers(1, 500, calls) for _ in range(units)]
    for second in rng.choice(units, stalls, replace=False):
        values[second][:size] = rng.integers(SLOW, 2 * SLOW, size)
    return values


def dealt(
    rng: np.random.Generator, values: list[NDArray[np.int64]], share: float
) -> tuple[Samples, Samples]:
    """An independent thinning: each call goes to the first pattern with probability `share`."""
    tossed = [rng.random(len(second)) < share for second in values]
    first = samples_by_second([v[t] for v, t in zip(values, tossed, strict=True)])
    rest = samples_by_second([v[~t] for v, t in zip(values, tossed, strict=True)])
    return first, rest


def test_the_design_effect_of_a_pattern_is_that_of_a_thinning() -> None:
    rng = np.random.default_rng(4)
    own, thinned = [], []
    for _ in range(150):
        first, rest = dealt(rng, stalled(rng, stalls=20, size=16), 0.25)
        thinned.append(PooledSeries([first, rest]).design_effect_above(first, SLOW - 1))
        own.append(long_run_variance(residuals_above(first, SLOW - 1)))
    # stalls of 16 calls, a quarter of them ours: 1 + (16 - 1) / 4
    assert np.mean(thinned) == pytest.approx(4.75, rel=0.1)
    assert np.mean(own) == pytest.approx(4.75, rel=0.1)
    assert np.std(thinned) < 0.9 * np.std(own)


def test_a_stall_that_only_one_pattern_has_is_not_shared_out() -> None:
    rng = np.random.default_rng(5)
    first = samples_by_second(stalled(rng, stalls=3, size=20, calls=20))
    rest = samples_by_second(stalled(rng, stalls=0, size=0, calls=180))
    found = PooledSeries([first, rest]).design_effect_above(first, SLOW - 1)
    assert found == pytest.approx(design_effect_above(Samples.sum([first, rest]), SLOW - 1))
    assert found > 10


def test_a_single_pattern_is_its_own_pooled_series() -> None:
    alone = samples_by_second(stalled(np.random.default_rng(6), stalls=9, size=12))
    assert PooledSeries([alone]).design_effect_above(alone, SLOW - 1) == design_effect_above(
        alone, SLOW - 1
    )


def test_beyond_the_slowest_call_the_design_effect_is_that_of_the_slowest_ten() -> None:
    alone = samples_by_second(stalled(np.random.default_rng(6), stalls=9, size=12))
    found = PooledSeries([alone]).design_effect_above(alone, 2 * SLOW)
    tenth = sorted(alone.index.tolist(), reverse=True)[9]
    assert found == design_effect_above(alone, tenth - 1) > 1.0
