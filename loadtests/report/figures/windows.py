"""Figures over time: percentiles and rates in windows with enough calls for them.

Histograms of neighbouring seconds are merged by addition, so a window's percentile is that of its
own calls, never an average of percentiles.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from loadtests.measure.histogram import Sparse, bucket_index, highest_value_ns
from loadtests.measure.hlog import Interval
from loadtests.order_statistics import min_calls
from loadtests.report.figures.series import ReportSeries

MOST_WINDOWS: Final = 120
HEAT_COLUMNS: Final = 90
HEAT_ROWS_A_DECADE: Final = 12
# A cell's level is the share of its column's calls, from "at least one" to a quarter.
HEAT_SHARES: Final = (0.0, 0.002, 0.01, 0.03, 0.1, 0.25)


@dataclass(frozen=True, slots=True)
class Window:
    """A span of time, in seconds since the run's start.

    A percentile is None where there are too few calls.
    """

    start_s: float
    length_s: float
    warm_up: bool
    calls: int
    p50_ms: float | None
    p99_ms: float | None

    @property
    def middle_s(self) -> float:
        """Where to draw it."""
        return self.start_s + self.length_s / 2


@dataclass(frozen=True, slots=True)
class Heat:
    """How one subject's calls spread over time and latency: `levels[row, column]`, 0 is none."""

    column_s: float
    start_s: float
    lowest_ms: float
    levels: np.ndarray[tuple[int, int], np.dtype[np.int64]]


def middle_s(interval: Interval) -> float:
    """Where an interval lies: seconds begin and end some milliseconds early or late."""
    return interval.start_s + interval.length_s / 2


def rates(series: Sequence[ReportSeries]) -> list[Window]:
    """Calls of several series together in equal bins of whole seconds, warm-up calls too."""
    every = [
        (i, warm)
        for each in series
        for warm, intervals in ((True, each.warm_up), (False, each.intervals))
        for i in intervals.get("response_time", ())
    ]
    if not every:
        return []
    start = math.floor(min(i.start_s for i, _ in every))
    end = max(i.start_s + i.length_s for i, _ in every)
    bin_s = max(1, math.ceil((end - start) / MOST_WINDOWS))
    calls: dict[int, int] = {}
    for interval, _ in every:
        place = math.floor((middle_s(interval) - start) / bin_s)
        calls[place] = calls.get(place, 0) + interval.counts.total
    measured = min((i.start_s for i, warm in every if not warm), default=end)
    # the end's broken bin would show as a drop in the rate
    whole = max(1, math.floor((end - start) / bin_s + 0.1))
    return [
        Window(
            start + place * bin_s,
            float(bin_s),
            start + (place + 0.5) * bin_s < measured,
            calls.get(place, 0),
            None,
            None,
        )
        for place in range(whole)
    ]


def window_length_s(series: Iterable[ReportSeries]) -> int:
    """The shortest window, in whole seconds, in which most windows have enough calls for a p99."""
    longest = 1
    for each in series:
        intervals = each.intervals.get("response_time", ())
        calls, length = sum(i.counts.total for i in intervals), sum(i.length_s for i in intervals)
        if calls and length:
            # a sixth more than needed, so that a window a little below the mean still has enough
            longest = max(longest, math.ceil(min_calls(0.99) * 7 / 6 / (calls / length)))
            longest = max(longest, math.ceil(length / MOST_WINDOWS))
    return longest


def windows(series: ReportSeries, metric: str, length_s: int) -> list[Window]:
    """The series cut into windows of `length_s`, aligned on the end of the warm-up."""
    measured, warm_up = series.intervals.get(metric, ()), series.warm_up.get(metric, ())
    origin = _origin(measured, warm_up)
    all_windows = _cut(warm_up, origin, length_s, warm=True) + _cut(
        measured, origin, length_s, warm=False
    )
    return sorted(all_windows, key=lambda window: window.middle_s)


def _origin(measured: Sequence[Interval], warm_up: Sequence[Interval]) -> float:
    if measured:
        return min(i.start_s for i in measured)
    return max((i.start_s + i.length_s for i in warm_up), default=0.0)


def _cut(
    intervals: Sequence[Interval], origin: float, length_s: int, *, warm: bool
) -> list[Window]:
    parts: dict[int, list[Interval]] = {}
    for interval in intervals:
        place = math.floor((middle_s(interval) - origin) / length_s)
        parts.setdefault(place, []).append(interval)
    return [_window(parts[place], warm=warm) for place in sorted(parts)]


def _window(intervals: Sequence[Interval], *, warm: bool) -> Window:
    counts = Sparse.sum([i.counts for i in intervals])
    start = min(i.start_s for i in intervals)
    length = max(i.start_s + i.length_s for i in intervals) - start
    total = counts.total

    def percentile_ms(q: float) -> float | None:
        return counts.quantile_ns(q) / 1e6 if total >= min_calls(q) else None

    return Window(start, length, warm, total, percentile_ms(0.5), percentile_ms(0.99))


def heat(series: Sequence[ReportSeries], metric: str = "response_time") -> Heat | None:
    """One subject's series together, warm-up included; None when nothing was recorded."""
    intervals = [i for s in series for i in (*s.warm_up.get(metric, ()), *s.intervals[metric])]
    everything = Sparse.sum([i.counts for i in intervals])
    if not everything.total:
        return None
    start = float(math.floor(min(i.start_s for i in intervals)))
    end = max(i.start_s + i.length_s for i in intervals)
    column_s = max(1.0, math.ceil((end - start) / HEAT_COLUMNS))
    columns = max(1, math.ceil((end - start) / column_s - 1e-6))
    low = math.floor(HEAT_ROWS_A_DECADE * math.log10(max(_lowest_ns(everything), 1_000)))
    high = math.floor(HEAT_ROWS_A_DECADE * math.log10(everything.quantile_ns(1.0))) + 1
    edges_ns = 10 ** (np.arange(low + 1, max(high, low + 2)) / HEAT_ROWS_A_DECADE)
    edges = bucket_index(edges_ns.astype(np.int64))
    cells = np.zeros((len(edges) + 1, columns), np.int64)
    for interval in intervals:
        column = min(int((middle_s(interval) - start) / column_s), columns - 1)
        rows = np.searchsorted(edges, interval.counts.index, side="right")
        np.add.at(cells[:, column], rows, interval.counts.counts)
    lowest_ms = 10 ** (low / HEAT_ROWS_A_DECADE) / 1e6
    return Heat(column_s, start, lowest_ms, _levels(cells))


def _lowest_ns(counts: Sparse) -> int:
    return int(highest_value_ns(counts.index[counts.counts > 0][:1])[0])


def _levels(
    cells: np.ndarray[tuple[int, int], np.dtype[np.int64]],
) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    share = cells / np.maximum(cells.sum(axis=0), 1)
    levels: np.ndarray[tuple[int, int], np.dtype[np.int64]] = np.zeros_like(cells)
    for least in HEAT_SHARES:
        levels += (cells > 0) & (share >= least)
    return levels
