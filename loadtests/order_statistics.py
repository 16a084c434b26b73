"""Order statistics: which value is a percentile, and how many values a bound on one takes.

A module of its own, and not part of `judge`: recorder, live view, calibration and charts need the
same two rules, and most of them may not import `judge`.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache
from typing import Final

_LARGEST_DENOMINATOR: Final = 1_000_000_000


def rank(q: float, count: int) -> int:
    """The rank ⌈q·n⌉ of quantile `q` (0-1) among `count` values; 1 is the smallest value.

    Exact: `q` counts as the decimal fraction that was meant. As binary floats 0.9 × 10 lies above
    9, and among 10⁶ values no fixed tolerance tells rank 0.999 n from the next one.
    """
    return max(1, min(count, math.ceil(_fraction(q) * count)))


@lru_cache(maxsize=4096)
def _fraction(q: float) -> Fraction:
    return Fraction(q).limit_denominator(_LARGEST_DENOMINATOR)


def min_calls(q: float, alpha: float = 0.05) -> int:
    """Independent values below which quantile `q` has no finite upper bound (p99 at 5%: 299).

    `alpha` is the one-sided error probability. The largest of n values lies below the quantile
    with probability qⁿ, so n must satisfy qⁿ ≤ alpha (Wilks, Annals of Mathematical Statistics
    1941).
    """
    return math.ceil(math.log(alpha) / math.log(q) - 1e-9)
