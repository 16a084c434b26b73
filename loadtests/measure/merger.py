"""Merges the counts of one or many load processes, interval by interval, by addition.

Pure: no clock, no file. An interval is closed when every source has closed it, so the merged
interval is what a single recorder would have counted. Intervals are numbered by seconds since each
worker's own start; workers' clocks are never compared.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from loadtests.measure.histogram import Histogram, Sparse
from loadtests.measure.hlog import Interval
from loadtests.measure.results import Key, SeriesInfo, UndisturbedCalls, summarise
from loadtests.measure.series import CapacityTotals, SeriesName, SeriesPart
from loadtests.patterns import METRICS


@dataclass(slots=True)
class Merged:
    """A closed interval: the series of the measured part and of the warm-up.

    `undisturbed` is the part of `measured` that no stall can have touched.
    """

    index: int
    start_s: float
    length_s: float
    measured: list[tuple[Key, Interval]]
    warm_up: list[tuple[Key, Interval]]
    undisturbed: list[tuple[Key, Interval]]


def _histograms() -> dict[str, Histogram]:
    return {metric: Histogram() for metric in METRICS}


@dataclass(slots=True)
class Totals:
    """One series over the whole measured run; `undisturbed` is None until stalls are known."""

    histograms: dict[str, Histogram] = field(default_factory=_histograms)
    undisturbed: dict[str, Histogram] | None = None
    errors: Counter[str] = field(default_factory=Counter)
    unfinished: int = 0


@dataclass(slots=True)
class _Open:
    parts: list[SeriesPart] = field(default_factory=list)
    spans: list[tuple[float, float]] = field(default_factory=list)


class Merger:
    """Collects parts from `sources`; yields each interval once all of them have closed it."""

    def __init__(self, sources: list[str]) -> None:
        self.totals: dict[SeriesName, Totals] = {}
        self.capacity: dict[SeriesName, CapacityTotals] = {}
        self._reached = dict.fromkeys(sources, -1)
        self._open: defaultdict[int, _Open] = defaultdict(_Open)

    def add(self, index: int, part: SeriesPart) -> None:
        """Add a part of interval `index`. A part that arrives late is merged too."""
        self._open[index].parts.append(part)
        self.capacity.setdefault(part.name, CapacityTotals()).add(part.capacity)
        if not part.warm_up:
            totals = self.totals.get(part.name)
            if totals is None:
                totals = self.totals[part.name] = Totals()
            totals.errors.update(part.errors)
            totals.unfinished += part.unfinished
            for metric, counts in part.counts.items():
                totals.histograms[metric].add(counts)
            if part.undisturbed is not None:
                totals.undisturbed = totals.undisturbed or _histograms()
                for metric, counts in part.undisturbed.items():
                    totals.undisturbed[metric].add(counts)

    def close(self, index: int, source: str, start_s: float, length_s: float) -> Iterator[Merged]:
        """Source `source` has sent all of interval `index`; yields every interval now complete."""
        self._open[index].spans.append((start_s, length_s))
        # a worker that stalled skips the seconds of the stall; a lost one that sends again is not
        # waited for again
        if source in self._reached:
            self._reached[source] = max(index, self._reached[source])
        yield from self._ready()

    def lose(self, source: str) -> Iterator[Merged]:
        """Do not wait for this source any more."""
        self._reached.pop(source, None)
        yield from self._ready()

    def finish(self) -> Iterator[Merged]:
        """Yield the intervals that are left, complete or not, oldest first."""
        for index in sorted(self._open):
            yield self._merge(index)

    def summaries(self) -> list[SeriesInfo]:
        """Per-series figures over all measured parts so far."""
        return [
            SeriesInfo(
                **name._asdict(),
                count=totals.histograms["response_time"].total,
                errors=dict(totals.errors),
                unfinished=totals.unfinished,
                response_time_ms=summarise(totals.histograms["response_time"]),
                service_time_ms=summarise(totals.histograms["service_time"]),
                wire_time_ms=summarise(totals.histograms["wire_time"]),
                capacity=self.capacity[name].mean(),
                undisturbed=_undisturbed(totals.undisturbed),
            )
            for name, totals in sorted(self.totals.items())
        ]

    def _ready(self) -> Iterator[Merged]:
        for index in sorted(self._open):
            if any(reached < index for reached in self._reached.values()):
                return
            yield self._merge(index)

    def _merge(self, index: int) -> Merged:
        opened = self._open.pop(index)
        spans = opened.spans or [(float(index), 1.0)]
        start_s = min(start for start, _ in spans)
        length_s = max(start + length for start, length in spans) - start_s
        merged = Merged(index, start_s, length_s, [], [], [])
        measured = [part for part in opened.parts if not part.warm_up]
        for series, counts in (
            (merged.measured, [(part.name, part.counts) for part in measured]),
            (merged.warm_up, [(part.name, part.counts) for part in opened.parts if part.warm_up]),
            (merged.undisturbed, [(part.name, part.undisturbed or {}) for part in measured]),
        ):
            for key, total in _summed(counts):
                series.append((key, Interval(start_s, length_s, total)))
        return merged


def _summed(
    parts: Iterable[tuple[SeriesName, Mapping[str, Sparse]]],
) -> Iterator[tuple[Key, Sparse]]:
    """The sum of each series' counts by metric, in order of name and metric; none without calls."""
    grouped: defaultdict[tuple[SeriesName, str], list[Sparse]] = defaultdict(list)
    for name, counts in parts:
        for metric, piece in counts.items():
            grouped[name, metric].append(piece)
    for (name, metric), pieces in sorted(grouped.items(), key=lambda item: item[0]):
        total = Sparse.sum(pieces)
        if total.index.size:
            yield name.key(metric), total


def _undisturbed(histograms: dict[str, Histogram] | None) -> UndisturbedCalls | None:
    if histograms is None:
        return None
    return UndisturbedCalls(
        count=histograms["response_time"].total,
        response_time_ms=summarise(histograms["response_time"]),
        service_time_ms=summarise(histograms["service_time"]),
        wire_time_ms=summarise(histograms["wire_time"]),
    )
