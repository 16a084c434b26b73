"""One HdrHistogram layout for every latency: nanoseconds, 3 significant digits, up to an hour.

The layout is Gil Tene's HdrHistogram with lowest discernible value 1, so a value keeps 11 leading
bits: exact below 2,048 ns, within 0.1% above. Counts are integers, so merging is addition and
nothing is ever rounded twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from loadtests.order_statistics import rank

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
    """The bucket of each value in the layout. Values are clamped to 0 … one hour, never dropped."""
    values = np.clip(values_ns, 0, HIGHEST_NS)
    # frexp's exponent is the bit length: exact, since every value is below 2^53
    exponent = np.frexp((values | MASK).astype(np.float64))[1].astype(np.int64) - SUB_BUCKET_BITS
    index: Counts = (exponent + 1) * HALF + (values >> exponent) - HALF
    return index


def lowest_value_ns(index: Counts) -> Counts:
    """The smallest value counted in each bucket."""
    bucket = (index >> (SUB_BUCKET_BITS - 1)) - 1
    sub = (index & (HALF - 1)) + HALF
    exact = bucket < 0
    values: Counts = np.where(exact, index, sub << np.maximum(bucket, 0))
    return values


def highest_value_ns(index: Counts) -> Counts:
    """The largest value counted in each bucket, which HdrHistogram reports as the percentile."""
    bucket = np.maximum((index >> (SUB_BUCKET_BITS - 1)) - 1, 0)
    values: Counts = lowest_value_ns(index) + (np.int64(1) << bucket) - 1
    return values


@dataclass(frozen=True, slots=True)
class Sparse:
    """The occupied buckets of a histogram, ascending, and their counts (equal lengths)."""

    index: Counts
    counts: Counts

    @classmethod
    def of(cls, values_ns: npt.NDArray[np.int64]) -> Sparse:
        """Bucket raw values."""
        index, counts = np.unique(bucket_index(values_ns), return_counts=True)
        return cls(index, counts.astype(np.int64))

    @classmethod
    def sum(cls, parts: Sequence[Sparse]) -> Sparse:
        """Add several histograms; the sum of none is empty."""
        if len(parts) == 1:
            return parts[0]
        if not parts:
            return cls(np.zeros(0, np.int64), np.zeros(0, np.int64))
        buckets = np.concatenate([part.index for part in parts])
        index, inverse = np.unique(buckets, return_inverse=True)
        counts = np.zeros(index.size, np.int64)
        np.add.at(counts, inverse, np.concatenate([part.counts for part in parts]))
        return cls(index, counts)

    @property
    def total(self) -> int:
        """How many values were recorded."""
        return int(self.counts.sum())

    def quantile_ns(self, q: float) -> int:
        """The value at rank ⌈q·n⌉, as HdrHistogram reports it. Raises ValueError when empty."""
        return self.quantiles_ns([q])[0]

    def quantiles_ns(self, qs: Sequence[float]) -> list[int]:
        """`quantile_ns` for several quantiles in one pass."""
        cumulative = np.cumsum(self.counts)
        if not cumulative.size or not cumulative[-1]:
            raise ValueError("an empty histogram has no quantiles")
        total = int(cumulative[-1])
        ranks = [rank(q, total) for q in qs]
        buckets = self.index[np.searchsorted(cumulative, ranks, side="left")]
        return [int(value) for value in highest_value_ns(buckets)]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sparse):
            return NotImplemented
        return np.array_equal(self.index, other.index) and np.array_equal(self.counts, other.counts)

    __hash__ = None  # type: ignore[assignment]


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
        """The occupied buckets alone."""
        index = np.flatnonzero(self.counts).astype(np.int64)
        return Sparse(index, self.counts[index])

    def quantile_ns(self, q: float) -> int:
        """The value at rank ⌈q·n⌉, as HdrHistogram reports it. Raises ValueError when empty."""
        return self.quantiles_ns([q])[0]

    def quantiles_ns(self, qs: Sequence[float]) -> list[int]:
        """`quantile_ns` for several quantiles in one pass."""
        return self.sparse().quantiles_ns(qs)

    def max_ns(self) -> int:
        """The largest recorded value, to the layout's precision. Raises ValueError when empty."""
        return self.quantile_ns(1.0)
