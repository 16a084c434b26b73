"""One series as the statistics see it: counts by histogram bucket and unit of time.

A unit is a second, or a block of an interleaved run. Calls of one unit may be correlated; units
are in the order of time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from loadtests.measure.histogram import Counts, Sparse, bucket_index, highest_value_ns
from loadtests.measure.hlog import Interval

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Samples:
    """Calls of one series, sorted by bucket; all arrays have equal length.

    Entry i stands for `counts[i]` calls of bucket `index[i]` in unit `unit[i]`. `cumulative[i]` is
    the number of calls in the entries up to i.
    """

    index: Counts
    counts: Counts
    unit: Counts
    units: int
    cumulative: Counts

    @classmethod
    def of(cls, parts: Iterable[tuple[int, Sparse]], units: int | None = None) -> Samples:
        """Gather sparse histograms by unit number, counted from 0; several may share a unit."""
        filled = [(unit, part) for unit, part in parts if part.index.size]
        if not filled:
            none = np.zeros(0, np.int64)
            return cls(none, none, none, units or 0, none)
        unit = np.repeat([u for u, _ in filled], [part.index.size for _, part in filled])
        return cls.sorted_by_bucket(
            np.concatenate([part.index for _, part in filled]),
            np.concatenate([part.counts for _, part in filled]),
            unit.astype(np.int64),
            int(unit.max()) + 1 if units is None else units,
        )

    @classmethod
    def sum(cls, series: Sequence[Samples]) -> Samples:
        """Several series over the same units as one. Raises ValueError for none."""
        if len(series) == 1:
            return series[0]
        return cls.sorted_by_bucket(
            np.concatenate([samples.index for samples in series]),
            np.concatenate([samples.counts for samples in series]),
            np.concatenate([samples.unit for samples in series]),
            series[0].units,
        )

    @classmethod
    def sorted_by_bucket(cls, index: Counts, counts: Counts, unit: Counts, units: int) -> Samples:
        """Entries in any order, over `units` units."""
        order = np.argsort(index, kind="stable")
        counts = counts[order]
        return cls(index[order], counts, unit[order], units, np.cumsum(counts))

    @property
    def calls(self) -> int:
        """How many calls were recorded."""
        return int(self.cumulative[-1]) if self.cumulative.size else 0

    def bucket_at_rank(self, rank: int) -> int:
        """The bucket of the call of that rank; 1 is the fastest call."""
        return int(self.index[np.searchsorted(self.cumulative, rank, side="left")])

    def calls_above(self, bucket: int) -> Counts:
        """Calls above a bucket, by unit."""
        first = int(np.searchsorted(self.index, bucket, side="right"))
        return self._by_unit(slice(first, None))

    def calls_by_unit(self) -> Counts:
        """All calls, by unit."""
        return self._by_unit(slice(None))

    def between(self, first: int, end: int) -> Samples:
        """The calls of units [first, end), renumbered from 0."""
        inside = (self.unit >= first) & (self.unit < end)
        counts = self.counts[inside]
        units = max(0, end - first)
        return Samples(
            self.index[inside], counts, self.unit[inside] - first, units, np.cumsum(counts)
        )

    def with_counts(self, counts: Counts) -> Samples:
        """The same entries with other counts; entries of count 0 are removed."""
        filled = counts > 0
        return Samples(
            self.index[filled],
            counts[filled],
            self.unit[filled],
            self.units,
            np.cumsum(counts[filled]),
        )

    def scaled(self, factor: float, above: int = -1) -> Samples:
        """The same calls with times above a bucket multiplied by `factor`."""
        values = highest_value_ns(self.index).astype(np.float64)
        values[self.index > above] *= factor
        index = bucket_index(np.rint(values).astype(np.int64))
        return self.sorted_by_bucket(index, self.counts, self.unit, self.units)

    def _by_unit(self, entries: slice) -> Counts:
        sums = np.bincount(self.unit[entries], self.counts[entries], minlength=self.units)
        return sums.astype(np.int64)


def samples_by_unit(intervals: Iterable[Interval], unit_of_second: Mapping[int, int]) -> Samples:
    """A series with seconds, or blocks of them, as units.

    Seconds without calls count; seconds outside every unit are left out.
    """
    parts = [
        (unit_of_second[round(interval.start_s)], interval.counts)
        for interval in intervals
        if round(interval.start_s) in unit_of_second
    ]
    return Samples.of(parts, max(unit_of_second.values(), default=-1) + 1)


def value_ms(bucket: int) -> float:
    """The value that HdrHistogram reports for a bucket, in milliseconds."""
    return float(highest_value_ns(np.array([bucket], np.int64))[0]) / 1e6
