from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from loadtests.judge.stats.distributions import TailProbability
from loadtests.judge.stats.quantiles import Quantile, estimate_quantile
from loadtests.judge.stats.ratios import (
    BetweenRunVariance,
    PairedRatio,
    UnpairedRatio,
    between_run_variance,
)
from loadtests.judge.stats.samples import Samples
from tests.judge.stats.calls import samples_of_calls
from tests.known import known

MS = 1_000_000


def series(
    rng: np.random.Generator,
    *,
    factor: float = 1.0,
    seconds: int = 40,
    calls: int = 100,
    drift: float = 0.0,
    path: NDArray[np.float64] | None = None,
) -> Samples:
    """Lognormal calls of 2 ms; `path` is the log factor of each second."""
    path = rng.normal(size=seconds) * drift if path is None else path
    second = np.repeat(np.arange(seconds), rng.poisson(calls, seconds))
    times = factor * 2 * MS * np.exp(path[second] + 0.3 * rng.normal(size=second.size))
    return samples_of_calls(times.astype(np.int64), second, seconds)


def median_of(rng: np.random.Generator, **settings: Any) -> Quantile:
    return estimate_quantile(series(rng, **settings), 0.5)


@settings(max_examples=20)
@given(st.integers(0, 2**32), st.floats(0.5, 2.0))
def test_the_ratio_against_oneself_turned_round_is_the_inverse(seed: int, factor: float) -> None:
    rng = np.random.default_rng(seed)
    a, b = median_of(rng), median_of(rng, factor=factor)
    there, back = UnpairedRatio((b,), (a,)), UnpairedRatio((a,), (b,))
    assert there.estimate == pytest.approx(1 / back.estimate)
    assert there.high(TailProbability(0.05)) == pytest.approx(1 / back.low(TailProbability(0.05)))
    assert there.low(TailProbability(0.05)) <= there.estimate <= there.high(TailProbability(0.05))
    assert there.high(TailProbability(0.01)) >= there.high(TailProbability(0.05))


def test_without_correlation_distances_add_as_squares() -> None:
    rng = np.random.default_rng(1)
    a, b = median_of(rng), median_of(rng, factor=1.5)
    up = math.log(b.high_ms(TailProbability(0.05)) / b.estimate_ms)
    down = math.log(a.estimate_ms / a.low_ms(TailProbability(0.05)))
    expected = b.estimate_ms / a.estimate_ms * math.exp(math.hypot(up, down))
    assert UnpairedRatio((b,), (a,)).high(TailProbability(0.05)) == pytest.approx(expected)


def test_noise_that_both_share_cancels() -> None:
    rng = np.random.default_rng(3)
    path = np.repeat(rng.normal(size=10), 4) * 0.4
    a, b = median_of(rng, path=path), median_of(rng, path=path, factor=1.1)
    shared, apart = PairedRatio(b, a), UnpairedRatio((b,), (a,))
    assert shared.high(TailProbability(0.05)) / shared.low(
        TailProbability(0.05)
    ) < 0.6 * apart.high(TailProbability(0.05)) / apart.low(TailProbability(0.05))


def test_units_that_do_not_match_are_refused() -> None:
    rng = np.random.default_rng(3)
    with pytest.raises(ValueError, match="different units"):
        PairedRatio(median_of(rng, seconds=40), median_of(rng, seconds=400))


def test_variation_between_runs_is_found_and_widens_the_interval() -> None:
    rng = np.random.default_rng(4)
    steady = [[median_of(rng) for _ in range(4)] for _ in range(6)]
    varied = [
        [median_of(rng, factor=f) for f in np.exp(0.1 * rng.normal(size=4))] for _ in range(6)
    ]
    assert known(between_run_variance(steady)).variance < 0.0005
    found = between_run_variance(varied)
    assert 0.004 < known(found).variance < 0.025
    assert known(found).degrees_of_freedom == pytest.approx(3 * 6 / 3.5)
    alone = UnpairedRatio((steady[0][0],), tuple(varied[0]))
    widened = UnpairedRatio((steady[0][0],), tuple(varied[0]), run_variance=found)
    assert widened.high(TailProbability(0.05)) > alone.high(TailProbability(0.05)) * 1.1


def test_the_spread_counts_for_both_sides() -> None:
    rng = np.random.default_rng(5)
    a, b = median_of(rng, calls=20_000), median_of(rng, calls=20_000)
    spread = BetweenRunVariance(0.01, 1e9)
    wide = UnpairedRatio((b,), (a,), run_variance=spread)
    assert math.log(wide.high(TailProbability(0.05)) / wide.estimate) == pytest.approx(
        1.645 * 0.1 * math.sqrt(2), rel=0.03
    )


def test_single_runs_show_no_spread() -> None:
    assert between_run_variance([[median_of(np.random.default_rng(1))]]) is None


def test_a_bound_that_is_not_carried_is_infinite() -> None:
    rng = np.random.default_rng(6)
    short = estimate_quantile(series(rng, seconds=12, calls=5), 0.99)
    long = estimate_quantile(series(rng), 0.99)
    assert UnpairedRatio((short,), (long,)).high(TailProbability(0.05)) == math.inf
    assert UnpairedRatio((long,), (short,)).low(TailProbability(0.05)) == 0.0


def test_paired_intervals_cover_under_shared_drift() -> None:
    """150 runs with shared drift: 90% intervals hold the truth, if anything too often."""
    rng = np.random.default_rng(7)
    covered = 0
    for _ in range(150):
        path = np.cumsum(rng.normal(size=60)) * 0.1
        one = PairedRatio(
            median_of(rng, path=path, factor=1.2, seconds=60), median_of(rng, path=path, seconds=60)
        )
        covered += one.low(TailProbability(0.05)) <= 1.2 <= one.high(TailProbability(0.05))
    assert 0.84 <= covered / 150 <= 0.99


def test_a_bound_beyond_any_use_is_none() -> None:
    wild = BetweenRunVariance(1e6, 1e9)  # e to the power of some thousands is no float
    rng = np.random.default_rng(8)
    ratio = UnpairedRatio((median_of(rng),), (median_of(rng),), run_variance=wild)
    assert ratio.high(TailProbability(0.05)) == math.inf
    assert ratio.low(TailProbability(0.05)) == 0.0
