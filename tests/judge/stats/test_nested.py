"""The level of two nested tests, against simulation and independent ones."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from loadtests.judge.stats.distributions import TailProbability, both_above, normal_quantile
from loadtests.judge.stats.nested import nested_alpha

ALPHA = TailProbability(0.05)


@pytest.mark.parametrize("z", [-0.5, 0.0, 1.0, 1.9])
@pytest.mark.parametrize("correlation", [0.0, 0.3, 0.7, 0.95])
def test_both_above_is_that_of_the_bivariate_normal(z: float, correlation: float) -> None:
    slow = stats.multivariate_normal(cov=[[1.0, correlation], [correlation, 1.0]])
    assert both_above(z, correlation) == pytest.approx(slow.cdf([-z, -z]), abs=1e-7)


@pytest.mark.parametrize("share", [0.3, 0.5, 0.7, 0.95])
def test_either_of_two_nested_samples_is_wrong_as_often_as_intended(share: float) -> None:
    """Means of all values and of a part of them, both tested against their true mean."""
    rng = np.random.default_rng(1)
    runs = 400_000
    part = rng.normal(size=runs) * np.sqrt(share)
    everything = part + rng.normal(size=runs) * np.sqrt(1.0 - share)
    z = normal_quantile(1.0 - nested_alpha(ALPHA, share))
    wrong = np.mean((part / np.sqrt(share) > z) | (everything > z))
    assert wrong == pytest.approx(0.05, abs=0.0015)


def test_the_same_sample_needs_no_correction_and_independent_ones_half_each() -> None:
    assert nested_alpha(ALPHA, 1.0) == ALPHA
    assert nested_alpha(ALPHA, 1.0 - 1e-12) == pytest.approx(ALPHA, rel=1e-4)
    independent = 1.0 - (1.0 - ALPHA) ** 0.5
    assert nested_alpha(ALPHA, 1e-12) == pytest.approx(independent, rel=1e-4)
