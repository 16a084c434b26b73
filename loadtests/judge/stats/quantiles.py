"""Confidence bounds of a quantile that respect the autocorrelation of calls.

Order statistics with an effective sample size. The design effect is measured on the proportion of
calls above a time, second by second (`autocorrelation.py`); that proportion gets exact binomial
bounds at the effective size (`exceedance.py`).

The lower bound uses the design effect at the quantile (Woodruff, JASA 1952). The upper bound is the
smallest time t for which P(call > t) ≤ 1 - q at the given confidence (test inversion: Francisco and
Fuller, Annals of Statistics 1991), with the design effect at t: calls far out may be one stall or
independent of each other, whatever they are at the quantile. That design effect is estimated from
all access patterns of the backend (`pooled.py`).

Nothing is random. docs/decisions/verdict.md has the reasons and the measured coverage.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Final

from loadtests.judge.stats.autocorrelation import (
    degrees_of_freedom,
    effective_degrees_of_freedom,
    long_run_variance,
)
from loadtests.judge.stats.distributions import TailProbability
from loadtests.judge.stats.exceedance import (
    ExceedanceRate,
    lowest_true,
    residuals_above,
    t_correction,
)
from loadtests.judge.stats.pooled import MIN_CALLS_ABOVE, PooledSeries
from loadtests.judge.stats.samples import Floats, Samples, value_ms
from loadtests.order_statistics import min_calls, rank

MAX_UNITS: Final = 10_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantile:
    """An estimated quantile and what its bounds are computed from.

    `design_effect` is that of the calls above the quantile, at least 1. `residuals`, one per unit,
    are the calls above it minus their expected number, in standard deviations of independent
    calls. `pooled` gives the design effect of times above the quantile. `independent` treats the
    calls as independent, for comparison.
    """

    q: float
    samples: Samples
    estimate_ms: float
    design_effect: float
    residuals: Floats
    pooled: PooledSeries
    independent: bool = False
    _design_effects: dict[int, float] = field(default_factory=dict, repr=False, compare=False)
    _bounds_ms: dict[tuple[str, float], float] = field(
        default_factory=dict, repr=False, compare=False
    )

    @property
    def degrees_of_freedom(self) -> float:
        """Degrees of freedom of `design_effect`."""
        return effective_degrees_of_freedom(self.residuals)

    @property
    def calls(self) -> int:
        """How many calls were measured."""
        return self.samples.calls

    def as_independent(self) -> Quantile:
        """The same quantile as if its calls were independent."""
        return replace(self, independent=True, _design_effects={}, _bounds_ms={})

    def high_ms(self, alpha: TailProbability) -> float:
        """Upper bound, too low with probability `alpha`; inf if the sample is too small."""
        if ("high", alpha) not in self._bounds_ms:
            self._bounds_ms["high", alpha] = self._computed_high_ms(alpha)
        return self._bounds_ms["high", alpha]

    def _computed_high_ms(self, alpha: TailProbability) -> float:
        def few_above(nth: int) -> bool:
            exceedance = self._exceedance(self.samples.bucket_at_rank(nth))
            return exceedance.is_at_most(1.0 - self.q, alpha)

        if not few_above(self.calls):
            return math.inf
        high_rank = lowest_true(rank(self.q, self.calls), self.calls, few_above)
        return value_ms(self.samples.bucket_at_rank(high_rank))

    def low_ms(self, alpha: TailProbability) -> float:
        """Lower bound, too high with probability `alpha`; 0 if the sample is too small."""
        if ("low", alpha) not in self._bounds_ms:
            self._bounds_ms["low", alpha] = self._computed_low_ms(alpha)
        return self._bounds_ms["low", alpha]

    def _computed_low_ms(self, alpha: TailProbability) -> float:
        design_effect = 1.0 if self.independent else self.design_effect
        degrees = self.degrees_of_freedom

        def enough_above(above: int) -> bool:
            """Whether more than 1 - q of all calls take at least as long as the `above` slowest."""
            exceedance = ExceedanceRate(
                above=above,
                calls=self.calls,
                design_effect=design_effect,
                degrees_of_freedom=degrees,
            )
            return exceedance.is_more_than(1.0 - self.q, alpha)

        if not enough_above(self.calls):
            return 0.0
        above = lowest_true(1, self.calls, enough_above)
        return value_ms(self.samples.bucket_at_rank(self.calls + 1 - above))

    def calls_needed(self, alpha: TailProbability) -> int | None:
        """Calls with this design effect for a finite upper bound; None if there are enough."""
        units, degrees = self.samples.units, degrees_of_freedom(self.samples.units)
        design_effect = self._design_effect_above(self.samples.bucket_at_rank(self.calls))
        independent_needed = min_calls(self.q, alpha) * design_effect
        previous_calls = float(self.calls)
        previous_degrees = degrees
        # a longer run has more calls and, through more units, more degrees of freedom
        while units < MAX_UNITS:
            degrees = degrees_of_freedom(units)
            calls = self.calls * units / self.samples.units
            needed = calls
            if degrees:
                needed = independent_needed / t_correction(design_effect, degrees, alpha)
            if degrees and needed <= calls:
                if units == self.samples.units:
                    return None
                least = previous_calls if degrees == previous_degrees else calls
                return math.ceil(max(needed, least))
            previous_calls, previous_degrees = calls, degrees
            units = max(units + 1, math.ceil(units * 1.02))
        return math.ceil(independent_needed)

    def _exceedance(self, bucket: int) -> ExceedanceRate:
        return ExceedanceRate(
            above=int(self.samples.calls_above(bucket).sum()),
            calls=self.calls,
            design_effect=self._design_effect_above(bucket),
            degrees_of_freedom=degrees_of_freedom(self.samples.units),
        )

    def _design_effect_above(self, bucket: int) -> float:
        if self.independent:
            return 1.0
        if bucket not in self._design_effects:
            design_effect = self.pooled.design_effect_above(self.samples, bucket)
            self._design_effects[bucket] = design_effect
        return self._design_effects[bucket]


def estimate_quantile(samples: Samples, q: float, pooled: PooledSeries | None = None) -> Quantile:
    """Estimate a quantile and the design effect of the calls above it.

    `pooled` holds all access patterns of the backend, this one included. Raises ValueError when
    there are no calls.
    """
    if not samples.calls:
        raise ValueError("no calls")
    residuals = residuals_above(samples, _threshold(samples, q))
    return Quantile(
        q=q,
        samples=samples,
        estimate_ms=value_ms(samples.bucket_at_rank(rank(q, samples.calls))),
        design_effect=max(1.0, long_run_variance(residuals)),
        residuals=residuals,
        pooled=pooled or PooledSeries([samples]),
    )


def _threshold(samples: Samples, q: float) -> int:
    """The bucket at the quantile, or a lower one above which there are at least ten calls."""
    n = samples.calls
    above = min(max((1.0 - q) * n, MIN_CALLS_ABOVE), n / 2.0)
    return samples.bucket_at_rank(rank(1.0 - above / n, n))
