"""Whether a quantile is shown to keep a limit, asked at the limit itself.

The share of calls above the limit, against the share the quantile allows: an exact binomial bound
at the effective size, as in `quantiles.py`, but with the likeness of the calls near the limit. Both
questions are duals; this one is the sharper where the limit is far above the quantile, for what
drifts below the limit is no news about it.
"""

from __future__ import annotations

import numpy as np

from loadtests.judge.distributions import beta_cdf
from loadtests.judge.likeness import degrees_in, long_run_variance
from loadtests.judge.quantiles import ENOUGH_ABOVE, effective_calls, residuals_of
from loadtests.judge.samples import Samples
from loadtests.measure.histogram import bucket_index, highest_value_ns


def shown_within(samples: Samples, q: float, limit_ms: float, level: float) -> bool:
    """Whether at most a share 1 - q of calls lies above the limit, wrongly with chance `level`."""
    calls = samples.calls
    if not calls:
        return False
    limit = _last_bucket_within(limit_ms)
    above = int(samples.calls_above(limit).sum())
    if above > (1.0 - q) * calls:
        return False
    # a handful of calls do not show how they cluster: look where there are enough
    threshold = min(limit, samples.at_rank(max(1, calls - ENOUGH_ABOVE)))
    residuals = residuals_of(
        samples.calls_above(threshold).astype(np.float64),
        samples.calls_by_unit().astype(np.float64),
    )
    likeness = max(1.0, long_run_variance(residuals))
    size = effective_calls(calls, likeness, degrees_in(residuals), level)
    if size <= 0.0:
        return False
    rank = size * (calls - above) / calls
    return beta_cdf(q, rank, size - rank + 1.0) <= level


def _last_bucket_within(limit_ms: float) -> int:
    value = np.array([int(limit_ms * 1e6)], np.int64)
    bucket = bucket_index(value)
    return int(bucket[0]) - int(highest_value_ns(bucket)[0] > value[0])
