"""All access patterns of a backend pooled, to estimate how correlated neighbouring calls are.

A stall or a slow minute hits every access pattern at once, and the pattern of each call is drawn
independently. So a pattern is an independent thinning of the pooled series. Thinning a point
process of index of dispersion F to a proportion p of its points gives the index 1 + p (F - 1) (Cox
and Isham, Point Processes, 1980, section 4.3). The pooled series estimates F far better than the
few slow calls of one pattern do.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from loadtests.judge.stats.autocorrelation import long_run_variance
from loadtests.judge.stats.distributions import beta_cdf
from loadtests.judge.stats.exceedance import residuals_above
from loadtests.judge.stats.samples import Samples

MIN_CALLS_ABOVE: Final = 10  # calls above a threshold that are enough to see their clustering
OWN_CALLS_P_VALUE: Final = 0.001  # below it, excess slow calls count as the pattern's own


class PooledSeries:
    """All calls of one backend over the same units of time."""

    def __init__(self, series: Iterable[Samples]) -> None:
        self.samples = Samples.sum(list(series))
        self._dispersion: dict[int, tuple[float, int]] = {}

    def design_effect_above(self, samples: Samples, bucket: int) -> float:
        """The design effect of the calls of one pattern above a bucket.

        Where fewer than ten pooled calls lie above, it is at least that of the ten slowest calls:
        a further call may be as clustered as those.
        """
        design_effect = self._design_effect_of(samples, bucket)
        slow_rank = max(1, self.samples.calls + 1 - MIN_CALLS_ABOVE)
        slow = self.samples.bucket_at_rank(slow_rank) - 1
        if slow >= bucket:
            return design_effect
        return max(design_effect, self._design_effect_of(samples, slow))

    def _design_effect_of(self, samples: Samples, bucket: int) -> float:
        dispersion, above = self._pooled_above(bucket)
        proportion = samples.calls / self.samples.calls
        own = int(samples.calls_above(bucket).sum())
        # P(at least `own` of the calls above), if their patterns are drawn independently
        if own and beta_cdf(proportion, own, above - own + 1.0) < OWN_CALLS_P_VALUE:
            proportion = own / above
        return 1.0 + proportion * (dispersion - 1.0)

    def _pooled_above(self, bucket: int) -> tuple[float, int]:
        """The index of dispersion of all calls above a bucket, and their number."""
        if bucket not in self._dispersion:
            above = int(self.samples.calls_above(bucket).sum())
            self._dispersion[bucket] = (design_effect_above(self.samples, bucket), above)
        return self._dispersion[bucket]


def design_effect_above(samples: Samples, bucket: int) -> float:
    """The variance of the number of calls above a bucket, over that of independent calls; ≥ 1."""
    return max(1.0, long_run_variance(residuals_above(samples, bucket)))
