"""One HdrHistogram layout for every latency: nanoseconds, 3 significant digits, up to an hour.

The layout is Gil Tene's HdrHistogram with lowest discernible value 1, so a value keeps 11 leading
bits: exact below 2,048 ns, within 0.1% above. Counts are integers, so merging is addition and
nothing is ever rounded twice.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]

SIGNIFICANT_DIGITS: Final = 3
LOWEST_NS: Final = 1
HIGHEST_NS: Final = 3_600_000_000_000
SUB_BUCKET_BITS: Final = 11  # 2^11 ≥ 2 × 10^3
HALF: Final = 1 << (SUB_BUCKET_BITS - 1)
MASK: Final = (1 << SUB_BUCKET_BITS) - 1
BUCKETS: Final = HIGHEST_NS.bit_length() - SUB_BUCKET_BITS + 1
LENGTH: Final = (BUCKETS + 1) * HALF


def bucket_index(values_ns: npt.NDArray[np.int64]) -> Counts:
    """Each value's place in the layout. Values are clamped to 0 … one hour, never dropped."""
    values = np.clip(values_ns, 0, HIGHEST_NS)
    # frexp's exponent is the bit length: exact, since every value is below 2^53
    exponent = np.frexp((values | MASK).astype(np.float64))[1].astype(np.int64) - SUB_BUCKET_BITS
    index: Counts = (exponent + 1) * HALF + (values >> exponent) - HALF
    return index


def lowest_value_ns(index: Counts) -> Counts:
    """The smallest value counted at each place."""
    bucket = (index >> (SUB_BUCKET_BITS - 1)) - 1
    sub = (index & (HALF - 1)) + HALF
    exact = bucket < 0
    values: Counts = np.where(exact, index, sub << np.maximum(bucket, 0))
    return values


def highest_value_ns(index: Counts) -> Counts:
    """The largest value counted at each place, which HdrHistogram reports as the percentile."""
    bucket = np.maximum((index >> (SUB_BUCKET_BITS - 1)) - 1, 0)
    values: Counts = lowest_value_ns(index) + (np.int64(1) << bucket) - 1
    return values


@dataclass(frozen=True, slots=True)
class Sparse:
    """The occupied places of a histogram, ascending, and their counts (equal lengths)."""

    index: Counts
    counts: Counts

    @classmethod
    def of(cls, values_ns: npt.NDArray[np.int64]) -> Sparse:
        """Bucket raw values."""
        index, counts = np.unique(bucket_index(values_ns), return_counts=True)
        return cls(index, counts.astype(np.int64))

    @property
    def total(self) -> int:
        """How many values were recorded."""
        return int(self.counts.sum())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sparse):
            return NotImplemented
        return np.array_equal(self.index, other.index) and np.array_equal(self.counts, other.counts)

    __hash__ = None  # type: ignore[assignment]


def _rank(q: float, total: int) -> int:
    # the fraction meant: as binary floats 0.9 × 10 lies above 9, and in 10⁶ calls no fixed
    # tolerance tells 0.999 n from the next rank
    return math.ceil(Fraction(q).limit_denominator(1_000_000_000) * total)


@dataclass(slots=True)
class Histogram:
    """Counts over the whole layout; `add` merges, quantiles read."""

    counts: Counts = field(default_factory=lambda: np.zeros(LENGTH, np.int64))

    def add(self, part: Sparse) -> None:
        """Merge by addition."""
        np.add.at(self.counts, part.index, part.counts)

    @property
    def total(self) -> int:
        """How many values were recorded."""
        return int(self.counts.sum())

    def sparse(self) -> Sparse:
        """The occupied places alone."""
        index = np.flatnonzero(self.counts).astype(np.int64)
        return Sparse(index, self.counts[index])

    def quantile_ns(self, q: float) -> int:
        """The value at or below which a share `q` (0-1) of the calls lie, as HdrHistogram gives it.

        The rank is ceil(q × n), at least 1. Raises ValueError when empty.
        """
        return self.quantiles_ns([q])[0]

    def quantiles_ns(self, qs: list[float]) -> list[int]:
        """`quantile_ns` for several shares in one pass."""
        cumulative = np.cumsum(self.counts)
        total = int(cumulative[-1])
        if not total:
            raise ValueError("an empty histogram has no quantiles")
        ranks = [max(1, min(total, _rank(q, total))) for q in qs]
        places = np.searchsorted(cumulative, ranks, side="left").astype(np.int64)
        return [int(v) for v in highest_value_ns(places)]

    def max_ns(self) -> int:
        """The largest recorded value, to the layout's precision. Raises ValueError when empty."""
        return self.quantile_ns(1.0)
