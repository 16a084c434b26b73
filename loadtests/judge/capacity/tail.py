"""How many calls of a step took longer than a limit, and the step's percentiles, with bounds.

The proportion above a time gets exact binomial bounds at the effective number of calls, as in
`stats/quantiles.py`. A step is short: from ten seconds on, the design effect is estimated as there;
with fewer, seconds count as independent clusters of calls, and the variance between them is used
(Kish, Survey Sampling 1965).
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from loadtests.judge.stats.autocorrelation import (
    MIN_UNITS,
    degrees_of_freedom,
    long_run_variance,
)
from loadtests.judge.stats.distributions import TailProbability
from loadtests.judge.stats.exceedance import ExceedanceRate, lowest_true, scaled_residuals
from loadtests.judge.stats.pooled import MIN_CALLS_ABOVE
from loadtests.judge.stats.samples import Samples, value_ms
from loadtests.measure.histogram import LENGTH, Counts, Sparse
from loadtests.order_statistics import rank

UNFINISHED_BUCKET: Final = LENGTH - 1  # of a call whose end was not seen


def unfinished_calls(count: int) -> Sparse:
    """`count` calls that had not ended: slower than any limit."""
    filled = 1 if count else 0
    return Sparse(
        np.array([UNFINISHED_BUCKET][:filled], np.int64), np.array([count][:filled], np.int64)
    )


def exceedance_rate(above: Counts, slowest: Counts, calls: Counts) -> ExceedanceRate:
    """The rate of calls above a limit, from counts by second.

    `slowest` counts the calls above a time that at least ten exceed. The design effect is at least
    theirs: a limit that few calls exceed is assumed to be as clustered as the ten slowest calls.
    """
    units = int(calls.size)
    return ExceedanceRate(
        above=int(above.sum()),
        calls=int(calls.sum()),
        design_effect=max(_design_effect(above, calls), _design_effect(slowest, calls)),
        degrees_of_freedom=degrees_of_freedom(units) if units >= MIN_UNITS else max(0, units - 1),
    )


def _design_effect(above: Counts, calls: Counts) -> float:
    residuals = scaled_residuals(above, calls)
    units = residuals.size
    if units >= MIN_UNITS:
        return max(1.0, long_run_variance(residuals))
    return max(1.0, float(residuals @ residuals) * units / (units - 1)) if units > 1 else 1.0


class StepTail:
    """The calls of a step on one backend, by second."""

    def __init__(self, samples: Samples) -> None:
        self.samples = samples
        self.calls = samples.calls_by_unit()
        slow_rank = max(1, samples.calls - MIN_CALLS_ABOVE)
        # by second, the calls above a time that at least ten exceed
        self.slowest = samples.calls_above(samples.bucket_at_rank(slow_rank) - 1)

    def quantile_ms(self, q: float) -> float:
        """The quantile `q`; inf if it is among the calls that had not ended."""
        return _finished_ms(self.samples.bucket_at_rank(rank(q, self.samples.calls)))

    def high_ms(self, q: float, alpha: TailProbability) -> float:
        """Upper bound, too low with probability `alpha`; inf if the sample is too small."""

        def few_above(nth: int) -> bool:
            return self._above(self.samples.bucket_at_rank(nth)).is_at_most(1.0 - q, alpha)

        if not few_above(self.samples.calls):
            return math.inf
        high_rank = lowest_true(rank(q, self.samples.calls), self.samples.calls, few_above)
        return _finished_ms(self.samples.bucket_at_rank(high_rank))

    def low_ms(self, q: float, alpha: TailProbability) -> float:
        """Lower bound, too high with probability `alpha`; 0 if the sample is too small."""
        quantile_rank = rank(q, self.samples.calls)

        def enough_above(ranks_down: int) -> bool:
            """Whether significantly more than 1 - q take at least as long as that call."""
            nth = quantile_rank - ranks_down
            if nth == 0:
                return True
            bucket = self.samples.bucket_at_rank(nth)
            return self._above(bucket - 1).is_more_than(1.0 - q, alpha)

        low_rank = quantile_rank - lowest_true(0, quantile_rank, enough_above)
        return _finished_ms(self.samples.bucket_at_rank(low_rank)) if low_rank else 0.0

    def _above(self, bucket: int) -> ExceedanceRate:
        return exceedance_rate(self.samples.calls_above(bucket), self.slowest, self.calls)


def _finished_ms(bucket: int) -> float:
    return math.inf if bucket >= UNFINISHED_BUCKET else value_ms(bucket)
