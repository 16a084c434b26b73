"""The access patterns that share a backend, taken together to see how alike calls are.

What makes neighbouring calls alike (a stall, a slow minute) hits every access pattern at once, and
each call's pattern is drawn independently. So a pattern is an independent thinning of the whole
stream, and a thinning that keeps a share p of a point process with index of dispersion F has the
index 1 + p (F - 1) (Cox and Isham, Point Processes, 1980, section 4.3). The whole stream shows F
far better than the few slow calls of one pattern do.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

import numpy as np

from loadtests.judge.stats.autocorrelation import long_run_variance
from loadtests.judge.stats.distributions import beta_cdf
from loadtests.judge.stats.samples import Floats, Samples

ENOUGH_ABOVE: Final = 10  # calls above a threshold from which its clustering can be seen
ODD: Final = 0.001  # the chance from which on a pattern's slow calls are held to be its own


class Company:
    """All calls of one backend over the same units of time."""

    def __init__(self, parts: Iterable[Samples]) -> None:
        self.samples = merged(list(parts))
        self._seen: dict[int, tuple[float, int]] = {}

    def likeness_above(self, samples: Samples, bucket: int) -> float:
        """The design effect of one pattern's calls above a time.

        Of a few calls it is not taken to be less than that of the ten slowest: what those were
        like, a call not yet seen may be.
        """
        found = self._of_part(samples, bucket)
        enough = self.samples.at_rank(max(1, self.samples.calls + 1 - ENOUGH_ABOVE)) - 1
        return max(found, self._of_part(samples, enough)) if enough < bucket else found

    def _of_part(self, samples: Samples, bucket: int) -> float:
        dispersion, above = self._whole(bucket)
        share = samples.calls / self.samples.calls
        own = int(samples.calls_above(bucket).sum())
        if own and beta_cdf(share, own, above - own + 1.0) < ODD:  # P(so many, were it chance)
            share = own / above
        return 1.0 + share * (dispersion - 1.0)

    def _whole(self, bucket: int) -> tuple[float, int]:
        """The index of dispersion of all calls above a time, and how many there are."""
        if bucket not in self._seen:
            above = int(self.samples.calls_above(bucket).sum())
            self._seen[bucket] = (design_effect(self.samples, bucket), above)
        return self._seen[bucket]


def merged(parts: list[Samples]) -> Samples:
    """Several series over the same units as one."""
    if len(parts) == 1:
        return parts[0]
    index = np.concatenate([one.index for one in parts])
    order = np.argsort(index, kind="stable")
    counts = np.concatenate([one.counts for one in parts])[order]
    unit = np.concatenate([one.unit for one in parts])[order]
    return Samples(index[order], counts, unit, parts[0].units, np.cumsum(counts))


def design_effect(samples: Samples, bucket: int) -> float:
    """How much more the number of calls above a time varies than if they were independent."""
    return max(1.0, long_run_variance(residuals_above(samples, bucket)))


def residuals_above(samples: Samples, bucket: int) -> Floats:
    """By unit, calls above beyond their expected share; their sum has variance 1 if independent."""
    above = samples.calls_above(bucket).astype(np.float64)
    calls = samples.calls_by_unit().astype(np.float64)
    share = float(above.sum() / calls.sum())
    if not 0.0 < share < 1.0:
        return np.zeros(calls.size)
    residuals: Floats = (above - share * calls) / math.sqrt(share * (1.0 - share) * calls.sum())
    return residuals
