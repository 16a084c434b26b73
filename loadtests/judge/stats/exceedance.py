"""The proportion of calls above a time, with exact bounds at the effective number of calls.

Calls are correlated, so their effective number is smaller than their count: divided by the design
effect (Kish, Survey Sampling 1965). The proportion gets exact binomial bounds at that number (Korn
and Graubard, Survey Methodology 1998).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from loadtests.judge.stats.autocorrelation import critical_value
from loadtests.judge.stats.distributions import TailProbability, beta_cdf, normal_quantile
from loadtests.judge.stats.samples import Floats, Samples
from loadtests.measure.histogram import Counts


@dataclass(frozen=True, slots=True, kw_only=True)
class ExceedanceRate:
    """`above` of `calls` took longer than a time.

    `design_effect` is at least 1; `degrees_of_freedom` are those of its estimate, 0 where the
    sample is too short to estimate it: then nothing is certain.
    """

    above: int
    calls: int
    design_effect: float
    degrees_of_freedom: float

    @property
    def estimate(self) -> float:
        """The proportion in the sample."""
        return self.above / self.calls

    def is_at_most(self, proportion: float, alpha: TailProbability) -> bool:
        """Whether at most `proportion` of such calls are above, wrong with probability `alpha`."""
        size = self._effective_calls(alpha)
        above = size * self.above / self.calls
        if above >= size:
            return False
        return beta_cdf(proportion, above + 1.0, size - above) >= 1.0 - alpha

    def is_more_than(self, proportion: float, alpha: TailProbability) -> bool:
        """Whether over `proportion` of such calls are above, wrong with probability `alpha`."""
        size = self._effective_calls(alpha)
        above = size * self.above / self.calls
        if not above:
            return False
        return beta_cdf(proportion, above, size - above + 1.0) <= alpha

    def _effective_calls(self, alpha: TailProbability) -> float:
        return effective_calls(self.calls, self.design_effect, self.degrees_of_freedom, alpha)


def effective_calls(
    calls: int, design_effect: float, degrees_of_freedom: float, alpha: TailProbability
) -> float:
    """The number of independent calls that `calls` correlated ones are worth; 0 if unknown."""
    if not degrees_of_freedom:
        return 0.0
    return calls / design_effect * t_correction(design_effect, degrees_of_freedom, alpha)


def t_correction(design_effect: float, degrees_of_freedom: float, alpha: TailProbability) -> float:
    """Factor on the effective size, since the design effect is an estimate: (normal / t)²."""
    normal = normal_quantile(1.0 - alpha)
    return (normal / critical_value(design_effect, degrees_of_freedom, alpha)) ** 2


def residuals_above(samples: Samples, bucket: int) -> Floats:
    """By unit: calls above a bucket minus the expected number, scaled.

    The sum has variance 1 if calls are independent.
    """
    return scaled_residuals(samples.calls_above(bucket), samples.calls_by_unit())


def scaled_residuals(above: Counts, calls: Counts) -> Floats:
    """`residuals_above` from counts by unit; zeros where none or all of the calls are above."""
    total = float(calls.sum())
    proportion = float(above.sum()) / max(1.0, total)
    if not 0.0 < proportion < 1.0:
        return np.zeros(calls.size)
    expected = proportion * calls.astype(np.float64)
    scale = math.sqrt(proportion * (1.0 - proportion) * total)
    residuals: Floats = (above.astype(np.float64) - expected) / scale
    return residuals


def lowest_true(first: int, last: int, predicate: Callable[[int], bool]) -> int:
    """The lowest integer in [first, last] with a true predicate, by bisection.

    The predicate is false up to some integer and true from there on; `last` is taken as true.
    """
    while first < last:
        middle = (first + last) // 2
        if predicate(middle):
            last = middle
        else:
            first = middle + 1
    return last
