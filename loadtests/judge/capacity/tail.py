"""How many calls of a step took longer than a limit, and its percentiles, both with bounds.

The share above a time gets exact binomial bounds at the effective number of calls (Korn and
Graubard, Survey Methodology 1998), as in `quantiles.py`. A step is short: with ten seconds or more
the likeness of neighbouring seconds is measured as there; with fewer, seconds count as independent
clusters of calls and their own scatter is taken (Kish, Survey Sampling 1965).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from loadtests.judge.stats.autocorrelation import (
    LEAST_UNITS,
    degrees_of,
    deviations_of,
    long_run_variance,
)
from loadtests.judge.stats.distributions import beta_cdf, normal_quantile
from loadtests.judge.stats.samples import Floats, Samples, value_ms
from loadtests.measure.histogram import LENGTH, Counts, Sparse
from loadtests.order_statistics import rank

NEVER: Final = LENGTH - 1  # the bucket of a call whose end was not seen
ENOUGH_SLOWEST: Final = 10  # calls from which clustering can be seen


def unfinished(count: int) -> Sparse:
    """So many calls that had not ended: slower than any limit."""
    one = np.array([NEVER], np.int64)
    return Sparse(one, np.array([count], np.int64)) if count else Sparse(one[:0], one[:0])


@dataclass(frozen=True, slots=True)
class Above:
    """Calls above a limit and all calls, second by second, with how alike neighbours are.

    `likeness` is the design effect, at least 1; `degrees` are its degrees of freedom.
    """

    above: int
    calls: int
    likeness: float
    degrees: float

    @property
    def share(self) -> float:
        """The share above, as counted."""
        return self.above / self.calls

    def surely_at_most(self, share: float, level: float) -> bool:
        """Whether no more than `share` of all such calls lie above, wrong with `level` at most."""
        size = self._size(level)
        counted = size * self.share
        if counted >= size:
            return False
        return beta_cdf(share, counted + 1.0, size - counted) >= 1.0 - level

    def surely_more_than(self, share: float, level: float) -> bool:
        """Whether more than `share` lie above, wrong with probability `level` at most."""
        size = self._size(level)
        counted = size * self.share
        if not counted:
            return False
        return beta_cdf(share, counted, size - counted + 1.0) <= level

    def _size(self, level: float) -> float:
        if not self.degrees:
            return 0.0
        normal = normal_quantile(1.0 - level)
        deviations = deviations_of(self.likeness, self.degrees, level)
        return self.calls / self.likeness * (normal / deviations) ** 2


def above_of(above: Counts, slowest: Counts, calls: Counts) -> Above:
    """From counts by second. A limit that few calls exceed is as clustered as the slowest ten.

    `slowest` counts, by second, the calls above a time that ten or more exceed.
    """
    likeness = max(_likeness(above, calls), _likeness(slowest, calls))
    units = int(calls.size)
    degrees = degrees_of(units) if units >= LEAST_UNITS else max(0, units - 1)
    return Above(int(above.sum()), int(calls.sum()), likeness, degrees)


def _likeness(above: Counts, calls: Counts) -> float:
    share = float(above.sum()) / max(1.0, float(calls.sum()))
    if not 0.0 < share < 1.0:
        return 1.0
    expected = share * calls.astype(np.float64)
    scale = math.sqrt(share * (1.0 - share) * float(calls.sum()))
    residuals: Floats = (above.astype(np.float64) - expected) / scale
    units = residuals.size
    if units >= LEAST_UNITS:
        return max(1.0, long_run_variance(residuals))
    return max(1.0, float(residuals @ residuals) * units / (units - 1)) if units > 1 else 1.0


class Tail:
    """A step's calls on one backend, by second."""

    def __init__(self, samples: Samples) -> None:
        self.samples = samples
        self.calls = samples.calls_by_unit()
        slow_rank = max(1, samples.calls - ENOUGH_SLOWEST)
        # by second, the calls above a time that ten or more exceed
        self.slowest = samples.calls_above(samples.at_rank(slow_rank) - 1)

    def quantile_ms(self, q: float) -> float:
        """The percentile at share `q`; inf where it falls among calls that had not ended."""
        return _shown(self.samples.at_rank(rank(q, self.samples.calls)))

    def high_ms(self, q: float, level: float) -> float:
        """Upper bound, too low with probability `level`; inf when the sample carries none."""
        first, last = rank(q, self.samples.calls), self.samples.calls
        if not self._few_above(last, q, level):
            return math.inf
        while first < last:
            middle = (first + last) // 2
            if self._few_above(middle, q, level):
                last = middle
            else:
                first = middle + 1
        return _shown(self.samples.at_rank(last))

    def low_ms(self, q: float, level: float) -> float:
        """Lower bound, too high with probability `level`; 0 when there is none."""
        first, last = 0, rank(q, self.samples.calls)
        while first < last:  # the slowest call that more than 1 - q surely take at least as long as
            middle = (first + last + 1) // 2
            if self._above(self.samples.at_rank(middle) - 1).surely_more_than(1.0 - q, level):
                first = middle
            else:
                last = middle - 1
        return _shown(self.samples.at_rank(first)) if first else 0.0

    def _few_above(self, nth: int, q: float, level: float) -> bool:
        return self._above(self.samples.at_rank(nth)).surely_at_most(1.0 - q, level)

    def _above(self, bucket: int) -> Above:
        return above_of(self.samples.calls_above(bucket), self.slowest, self.calls)


def _shown(bucket: int) -> float:
    return math.inf if bucket >= NEVER else value_ms(bucket)
