"""Confidence bounds of a quantile that respect the likeness of neighbouring calls.

Order statistics with an effective sample size. How much less than independent the calls are is
measured on the share of calls above a time, second by second (`likeness.py`). The share gets exact
binomial bounds at the effective size (Korn and Graubard, Survey Methodology 1998).

The lower bound is read back from the share at the quantile (Woodruff, JASA 1952). The upper bound
is the least time above which, for certain, no more calls lie than may (test inversion: Francisco
and Fuller, Annals of Statistics 1991): likeness is measured at that time, for what lies far out
may be stalls that come in one piece, or single calls, whatever it is like at the quantile; it is
seen in all access patterns of a backend together (`company.py`).
Nothing is random. docs/decisions/verdict.md has the choice and its measured coverage.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from loadtests.judge.stats.autocorrelation import (
    degrees_in,
    degrees_of,
    deviations_of,
    long_run_variance,
)
from loadtests.judge.stats.distributions import beta_cdf, normal_quantile
from loadtests.judge.stats.pooled import ENOUGH_ABOVE, Company, residuals_above
from loadtests.judge.stats.samples import Floats, Samples, value_ms
from loadtests.order_statistics import min_calls, rank

MOST_UNITS: Final = 10_000_000
RANK_TOLERANCE: Final = 1e-4  # ranks are whole numbers


@dataclass(frozen=True, slots=True)
class Quantile:
    """An estimated quantile: `calls` measured, worth `calls / likeness` independent ones.

    `likeness` is the design effect, at least 1. `residuals`, for paired comparison: how many more
    calls of each unit than expected lie above, in standard deviations of the whole.
    `company` is what likeness far out is seen in. `independent` takes calls for what they are not,
    so that the two can be compared.
    """

    q: float
    samples: Samples
    estimate_ms: float
    likeness: float
    residuals: Floats
    company: Company
    independent: bool = False
    _seen: dict[int, float] = field(default_factory=dict, repr=False, compare=False)

    @property
    def degrees(self) -> float:
        """Degrees of freedom of `likeness`."""
        return degrees_in(self.residuals)

    @property
    def calls(self) -> int:
        """How many calls were measured."""
        return self.samples.calls

    def high_ms(self, level: float) -> float:
        """Upper bound that is too low with probability `level`; inf when not carried."""
        first, last = rank(self.q, self.calls), self.calls
        if not self._few_above(self.samples.at_rank(last), level):
            return math.inf
        while first < last:
            middle = (first + last) // 2
            if self._few_above(self.samples.at_rank(middle), level):
                last = middle
            else:
                first = middle + 1
        return value_ms(self.samples.at_rank(last))

    def low_ms(self, level: float) -> float:
        """Lower bound that is too high with probability `level`; 0 when there is none."""
        size = self._effective(level)
        mirrored = _share(1.0 - self.q, size, level)
        if mirrored is None:
            return 0.0
        # mirrored: at least n - r + 1 calls lie above, so rank r = n + 1 - that
        low_rank = self.calls + 1 - math.ceil(mirrored * self.calls - 1e-9)
        return value_ms(self.samples.at_rank(max(1, low_rank)))

    def calls_to_carry(self, level: float) -> int | None:
        """Calls of this likeness that give a finite upper bound; None when there are enough."""
        units, known = self.samples.units, degrees_of(self.samples.units)
        likeness = self._likeness_above(self.samples.at_rank(self.calls))
        wanted = min_calls(self.q, level) * likeness
        held = float(self.calls)
        while units < MOST_UNITS:
            degrees = degrees_of(units)
            calls = self.calls * units / self.samples.units
            needed = wanted / _inflation(likeness, degrees, level) if degrees else calls
            if degrees and needed <= calls:
                if units == self.samples.units:
                    return None
                return math.ceil(max(needed, held if degrees == known else calls))
            held, known = calls, degrees
            units = max(units + 1, math.ceil(units * 1.02))
        return math.ceil(wanted)

    def _effective(self, level: float) -> float:
        likeness = 1.0 if self.independent else self.likeness
        return effective_calls(self.calls, likeness, self.degrees, level)

    def _few_above(self, bucket: int, level: float) -> bool:
        """Whether at most 1 - q of all calls take longer, wrong with probability `level`."""
        degrees = degrees_of(self.samples.units)
        size = effective_calls(self.calls, self._likeness_above(bucket), degrees, level)
        above = size * self.samples.calls_above(bucket).sum() / self.calls
        if above >= size:
            return False
        return beta_cdf(1.0 - self.q, above + 1.0, size - above) >= 1.0 - level

    def _likeness_above(self, bucket: int) -> float:
        if self.independent:
            return 1.0
        if bucket not in self._seen:
            self._seen[bucket] = self.company.likeness_above(self.samples, bucket)
        return self._seen[bucket]


def estimate_quantile(samples: Samples, q: float, company: Company | None = None) -> Quantile:
    """Estimate a quantile and the likeness of neighbouring calls around it.

    `company` is all access patterns of the backend, this one included. Raises ValueError when there
    are no calls.
    """
    if not samples.calls:
        raise ValueError("no calls")
    n = samples.calls
    residuals = residuals_above(samples, _threshold(samples, q))
    likeness = max(1.0, long_run_variance(residuals))
    return Quantile(
        q,
        samples,
        value_ms(samples.at_rank(rank(q, n))),
        likeness,
        residuals,
        company or Company([samples]),
    )


def effective_calls(calls: int, likeness: float, degrees: float, level: float) -> float:
    """Independent calls that `calls` are worth at one-sided `level`.

    Student's t in place of the normal pays for `likeness` being an estimate itself.
    """
    if not degrees:
        return 0.0
    return calls / likeness * _inflation(likeness, degrees, level)


def _inflation(likeness: float, degrees: float, level: float) -> float:
    normal = normal_quantile(1.0 - level)
    return (normal / deviations_of(likeness, degrees, level)) ** 2


def _threshold(samples: Samples, q: float) -> int:
    """The bucket at the quantile, or at a lower one where more than a few calls lie above."""
    n = samples.calls
    above = min(max((1.0 - q) * n, ENOUGH_ABOVE), n / 2.0)
    return samples.at_rank(rank(1.0 - above / n, n))


@lru_cache(maxsize=65_536)
def _share(q: float, size: float, level: float) -> float | None:
    """The share r / size of the least rank r whose order statistic is ≥ the quantile for certain.

    U(r) of `size` uniforms is Beta(r, size - r + 1); wanted: P(U(r) < q) ≤ level. None when even
    the largest does not do.
    """
    if size <= 0 or beta_cdf(q, size, 1.0) > level:
        return None

    def excess(r: float) -> float:
        return math.log(max(beta_cdf(q, r, size - r + 1.0), 1e-300) / level)

    # regula falsi (Illinois): the logarithm is smooth and falls with the rank
    low, high = 0.0, size
    at_low, at_high = math.log(1.0 / level), min(excess(size), -1e-12)
    side = 0
    for _ in range(100):
        if high - low < RANK_TOLERANCE:
            break
        r = (low * at_high - high * at_low) / (at_high - at_low)
        r = min(max(r, low + RANK_TOLERANCE / 3), high - RANK_TOLERANCE / 3)
        value = excess(r)
        if value > 0.0:
            low, at_low = r, value
            at_high = at_high / 2.0 if side == 1 else at_high
            side = 1
        else:
            high, at_high = r, min(value, -1e-12)
            at_low = at_low / 2.0 if side == -1 else at_low
            side = -1
    return high / size
