from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from loadtests.judge.stats.autocorrelation import (
    ar1_coefficient,
    critical_value,
    degrees_of_freedom,
    effective_degrees_of_freedom,
    long_run_variance,
)
from loadtests.judge.stats.distributions import TailProbability


def autoregression(
    rng: np.random.Generator, units: int, memory: float, noise: float = 0.0
) -> NDArray[np.float64]:
    path = np.zeros(units + 100)
    for t in range(1, units + 100):
        path[t] = memory * path[t - 1] + rng.normal()
    noisy: NDArray[np.float64] = path[100:] + noise * rng.normal(size=units)
    return noisy - float(noisy.mean())


def slow_memory(values: list[float]) -> float:
    n, square = len(values), sum(v * v for v in values)
    first, second, third = (
        sum(values[t] * values[t - lag] for t in range(lag, n)) / square * n / (n - lag)
        for lag in (1, 2, 3)
    )
    if first + second <= 2 * math.sqrt(2 / n):
        return 0.0
    memory = (second + third) / (first + second)
    return min(0.97, 1 - 10 / n, memory + (1 + 3 * memory) / n) if memory > 0 else 0.0


def slow_variance(values: list[float]) -> float:
    """The definition, a loop for each transform and unit."""
    n = len(values)
    mean = sum(values) / n
    values = [v - mean for v in values]
    plain, memory = slow_transforms(values, degrees_of_freedom(n)), slow_memory(values)
    if not memory:
        return plain * n
    shocks = [values[t] - memory * values[t - 1] for t in range(1, n)]
    mean = sum(shocks) / len(shocks)
    shocks = [s - mean for s in shocks]
    return min(3 * plain, slow_transforms(shocks, degrees_of_freedom(n)) / (1 - memory) ** 2) * n


def slow_transforms(values: list[float], count: int) -> float:
    squares = []
    for j in range(1, count + 1):
        wave = sum(
            math.cos(math.pi * j * (t + 0.5) / len(values)) * v for t, v in enumerate(values)
        )
        squares.append(2 / len(values) * wave**2)
    return sum(squares) / count


@pytest.mark.parametrize("memory", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("units", [10, 47, 200])
def test_against_the_definition(units: int, memory: float) -> None:
    values = autoregression(np.random.default_rng(units), units, memory)
    assert long_run_variance(values) == pytest.approx(slow_variance(values.tolist()))


def test_prewhitening_adds_threefold_at_most() -> None:
    """A draw whose memory, misread under heavy noise, would multiply the variance by more."""
    values = autoregression(np.random.default_rng(2), 180, 0.95, noise=6.0)
    plain = slow_transforms(values.tolist(), degrees_of_freedom(180)) * 180
    assert long_run_variance(values) == pytest.approx(3 * plain)
    assert long_run_variance(values) == pytest.approx(slow_variance(values.tolist()))


@pytest.mark.parametrize(("memory", "noise"), [(0.0, 0.0), (0.5, 0.0), (0.8, 0.0), (0.8, 2.0)])
def test_on_average_it_is_the_variance_of_the_sum(memory: float, noise: float) -> None:
    rng = np.random.default_rng(3)
    found = [long_run_variance(autoregression(rng, 400, memory, noise)) for _ in range(200)]
    truth = 400 * (1 / (1 - memory) ** 2 + noise**2)
    assert np.median(found) == pytest.approx(truth, rel=0.25)


def test_memory_is_found_under_counting_noise_and_not_in_noise_alone() -> None:
    rng = np.random.default_rng(4)
    noisy = [ar1_coefficient(autoregression(rng, 2_000, 0.9, noise=2.0)) for _ in range(20)]
    assert np.median(noisy) == pytest.approx(0.9, abs=0.05)
    alone = [ar1_coefficient(autoregression(rng, 200, 0.0)) for _ in range(100)]
    assert np.mean(np.array(alone) > 0) < 0.06


@given(st.floats(0.01, 100.0))
def test_the_variance_scales_with_the_square(scale: float) -> None:
    values = autoregression(np.random.default_rng(5), 60, 0.5)
    assert long_run_variance(values * scale) == pytest.approx(long_run_variance(values) * scale**2)


def test_silence_has_no_variance() -> None:
    assert long_run_variance(np.zeros(30)) == 0.0
    assert ar1_coefficient(np.zeros(30)) == 0.0


def test_what_is_known_needs_no_students_t() -> None:
    assert critical_value(1.0, 3, TailProbability(0.05)) == pytest.approx(1.645, abs=1e-3)
    assert critical_value(1e9, 3, TailProbability(0.05)) == pytest.approx(2.353, abs=1e-3)
    assert 1.645 < critical_value(1.5, 3, TailProbability(0.05)) < 2.353


def test_degrees() -> None:
    assert [degrees_of_freedom(units) for units in (9, 10, 60, 180, 600)] == [0, 2, 6, 13, 28]


def test_deviations_held_by_a_handful_of_units_have_few_degrees() -> None:
    even = np.ones(180) * np.where(np.arange(180) % 2, 1.0, -1.0)
    assert effective_degrees_of_freedom(even) == degrees_of_freedom(180)
    spiky = np.zeros(180)
    spiky[[3, 50, 90, 91]] = 5.0, -5.0, 5.0, -5.0
    assert effective_degrees_of_freedom(spiky) == pytest.approx(3.0)
    spiky[[50, 90, 91]] = 0.0
    assert effective_degrees_of_freedom(spiky) == 1.0
    assert effective_degrees_of_freedom(np.zeros(9)) == 0
