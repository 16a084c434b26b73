"""One series as the statistics see it: counts by bucket and by unit of time.

A unit is a stretch of time (a second, or a block of an interleaved run) within which calls share
their luck; units are in the order of time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from loadtests.measure.histogram import Counts, Sparse, bucket_index, highest_value_ns
from loadtests.measure.results import Interval

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Samples:
    """Entry i: `counts[i]` calls of bucket `index[i]` in unit `unit[i]`; sorted by `index`."""

    index: Counts
    counts: Counts
    unit: Counts
    units: int
    below: Counts  # calls up to and including each entry

    @classmethod
    def of(cls, parts: Iterable[tuple[int, Sparse]], units: int | None = None) -> Samples:
        """Gather sparse histograms by unit number, counted from 0; several may share a unit."""
        held = [(unit, part) for unit, part in parts if part.index.size]
        if not held:
            none = np.zeros(0, np.int64)
            return cls(none, none, none, units or 0, none)
        index = np.concatenate([part.index for _, part in held])
        counts = np.concatenate([part.counts for _, part in held])
        unit = np.repeat([u for u, _ in held], [part.index.size for _, part in held])
        order = np.argsort(index, kind="stable")
        sorted_counts = counts[order]
        return cls(
            index[order],
            sorted_counts,
            unit[order].astype(np.int64),
            int(unit.max()) + 1 if units is None else units,
            np.cumsum(sorted_counts),
        )

    @property
    def calls(self) -> int:
        """How many calls were recorded."""
        return int(self.below[-1]) if self.below.size else 0

    def at_rank(self, rank: int) -> int:
        """The bucket of the call of that rank, 1 being the fastest."""
        return int(self.index[np.searchsorted(self.below, rank, side="left")])

    def calls_above(self, bucket: int) -> Counts:
        """Calls above a bucket, by unit."""
        first = int(np.searchsorted(self.index, bucket, side="right"))
        return self._by_unit(slice(first, None))

    def calls_by_unit(self) -> Counts:
        """All calls, by unit."""
        return self._by_unit(slice(None))

    def between(self, first: int, end: int) -> Samples:
        """The calls of units [first, end), as a series of its own."""
        held = (self.unit >= first) & (self.unit < end)
        counts = self.counts[held]
        units = max(0, end - first)
        return Samples(self.index[held], counts, self.unit[held] - first, units, np.cumsum(counts))

    def scaled(self, factor: float, above: int = -1) -> Samples:
        """The same calls with times above a bucket multiplied by `factor`."""
        values = highest_value_ns(self.index).astype(np.float64)
        values[self.index > above] *= factor
        index = bucket_index(np.rint(values).astype(np.int64))
        order = np.argsort(index, kind="stable")
        counts = self.counts[order]
        return Samples(index[order], counts, self.unit[order], self.units, np.cumsum(counts))

    def _by_unit(self, which: slice) -> Counts:
        found = np.bincount(self.unit[which], self.counts[which], minlength=self.units)
        return found.astype(np.int64)


def by_block(intervals: Iterable[Interval], unit_of_second: Mapping[int, int]) -> Samples:
    """A series with seconds, or blocks of them, as units.

    Seconds without calls count; seconds outside every unit are left out.
    """
    parts = [
        (unit_of_second[round(one.start_s)], one.counts)
        for one in intervals
        if round(one.start_s) in unit_of_second
    ]
    return Samples.of(parts, max(unit_of_second.values(), default=-1) + 1)


def value_ms(bucket: int) -> float:
    """What HdrHistogram reports for a bucket, in milliseconds."""
    return float(highest_value_ns(np.array([bucket], np.int64))[0]) / 1e6
