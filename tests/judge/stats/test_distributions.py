"""The distribution functions, against sums and tables that do not use scipy."""

from __future__ import annotations

from fractions import Fraction
from math import comb, sqrt
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.judge.stats.distributions import (
    beta_cdf,
    beta_quantile,
    normal_cdf,
    normal_quantile,
    one_sided,
    t_quantile,
    two_sided,
)


def binomial_at_least(k: int, n: int, p: Fraction) -> float:
    """The obvious sum, exact."""
    return float(sum(comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k, n + 1)))


@given(st.integers(1, 60), st.integers(0, 59), st.sampled_from(["1/100", "1/10", "1/2", "99/100"]))
def test_beta_cdf_is_the_binomial_tail(n: int, k: int, p: str) -> None:
    k = 1 + k % n
    expected = binomial_at_least(k, n, Fraction(p))
    assert beta_cdf(float(Fraction(p)), k, n - k + 1) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("n", "k"), [(5_000, 4_950), (100_000, 50_000), (1_000_000, 999_000)])
def test_beta_cdf_of_large_samples_is_near_the_normal(n: int, k: int) -> None:
    x = k / n
    assert beta_cdf(x, k, n - k + 1) == pytest.approx(0.5, abs=0.07)
    deviation = sqrt(x * (1 - x) / n)
    assert beta_cdf(x + 3 * deviation, k, n - k + 1) == pytest.approx(0.9987, abs=0.004)


def test_beta_cdf_at_its_ends() -> None:
    assert beta_cdf(0.0, 2, 3) == 0.0
    assert beta_cdf(1.0, 2, 3) == 1.0
    assert beta_cdf(-1.0, 2, 3) == 0.0


@given(st.floats(0.001, 0.999), st.floats(0.5, 500), st.floats(0.5, 500))
def test_beta_quantile_inverts_the_cdf(p: float, a: float, b: float) -> None:
    assert beta_cdf(beta_quantile(p, a, b), a, b) == pytest.approx(p, abs=1e-7)


@pytest.mark.parametrize(
    ("p", "degrees", "table"),
    [
        (0.975, 1, 12.7062),
        (0.95, 5, 2.0150),
        (0.975, 10, 2.2281),
        (0.995, 30, 2.7500),
        (0.975, 1e6, 1.95997),
    ],
)
def test_t_quantile_against_the_tables(p: float, degrees: float, table: float) -> None:
    assert t_quantile(p, degrees) == pytest.approx(table, abs=6e-5)
    assert t_quantile(1 - p, degrees) == pytest.approx(-table, abs=6e-5)


@given(st.floats(0.501, 0.999), st.floats(0.5, 500))
def test_t_quantile_inverts_its_cdf(p: float, degrees: float) -> None:
    t = t_quantile(p, degrees)
    # P(T > t) is half of the incomplete beta function (DLMF 8.17.24)
    above = beta_cdf(degrees / (degrees + t * t), degrees / 2, 0.5) / 2
    assert 1 - above == pytest.approx(p, abs=1e-7)


@given(st.floats(1e-9, 1 - 1e-9))
def test_the_normal_distribution_is_that_of_the_standard_library(p: float) -> None:
    assert normal_quantile(p) == pytest.approx(NormalDist().inv_cdf(p), abs=1e-9)
    z = normal_quantile(p)
    assert normal_cdf(z) == pytest.approx(NormalDist().cdf(z), abs=1e-12)


def test_error_probabilities_of_a_confidence() -> None:
    assert one_sided(0.95) == pytest.approx(0.05)
    assert two_sided(0.95) == pytest.approx(0.025)
