from fractions import Fraction
from math import comb, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.judge.stats.distributions import beta_cdf, normal_quantile, t_cdf, t_quantile


def binomial_at_least(k, n, p):
    """The obvious sum, exact."""
    p = Fraction(p)
    return float(sum(comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k, n + 1)))


@given(st.integers(1, 60), st.integers(0, 59), st.sampled_from(["1/100", "1/10", "1/2", "99/100"]))
def test_beta_cdf_is_the_binomial_tail(n, k, p):
    k = 1 + k % n
    expected = binomial_at_least(k, n, p)
    assert beta_cdf(float(Fraction(p)), k, n - k + 1) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("n", "k"), [(5_000, 4_950), (100_000, 50_000), (1_000_000, 999_000)])
def test_beta_cdf_of_large_samples_is_near_the_normal(n, k):
    x = k / n
    assert beta_cdf(x, k, n - k + 1) == pytest.approx(0.5, abs=0.07)
    deviation = sqrt(x * (1 - x) / n)
    assert beta_cdf(x + 3 * deviation, k, n - k + 1) == pytest.approx(0.9987, abs=0.004)


def test_beta_cdf_at_its_ends():
    assert beta_cdf(0.0, 2, 3) == 0.0
    assert beta_cdf(1.0, 2, 3) == 1.0
    assert beta_cdf(-1.0, 2, 3) == 0.0


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
def test_t_quantile_against_the_tables(p, degrees, table):
    assert t_quantile(p, degrees) == pytest.approx(table, abs=6e-5)
    assert t_quantile(1 - p, degrees) == pytest.approx(-table, abs=6e-5)


@given(st.floats(0.001, 0.999), st.floats(0.5, 500))
def test_t_quantile_inverts_its_cdf(p, degrees):
    assert t_cdf(t_quantile(p, degrees), degrees) == pytest.approx(p, abs=1e-7)


def test_normal_quantile():
    assert normal_quantile(0.975) == pytest.approx(1.959964, abs=1e-6)
