"""Merges what one or many load processes saw, interval by interval, by addition.

Pure: no clock, no file. An interval is closed when every source has closed it, so the merged
interval is what a single recorder would have held. Intervals are numbered by seconds since each
worker's own start; workers' clocks are never compared.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from loadtests.measure import hlog
from loadtests.measure.histogram import Histogram, Sparse
from loadtests.measure.results import ConsumedCapacity, Key, SeriesInfo, summarise
from loadtests.patterns import METRICS

Name = tuple[str, str, str]  # backend, driver, pattern


@dataclass(slots=True)
class SeriesPart:
    """One series in one interval of one source; `counts` by metric."""

    name: Name
    warm_up: bool
    counts: dict[str, Sparse]
    errors: dict[str, int] = field(default_factory=dict)
    unfinished: int = 0
    capacity: tuple[float, float, float] = (0, 0.0, 0.0)


@dataclass(slots=True)
class Merged:
    """A closed interval: lines for the two logs."""

    index: int
    start_s: float
    length_s: float
    measured: list[hlog.Line]
    warm_up: list[hlog.Line]


@dataclass(slots=True)
class Totals:
    """One series over the whole measured run."""

    histograms: dict[str, Histogram] = field(
        default_factory=lambda: {metric: Histogram() for metric in METRICS}
    )
    errors: Counter[str] = field(default_factory=Counter)
    unfinished: int = 0


@dataclass(slots=True)
class _Open:
    parts: list[SeriesPart] = field(default_factory=list)
    spans: list[tuple[float, float]] = field(default_factory=list)


class Merger:
    """Collects parts from `sources` and gives each interval out once all have closed it."""

    def __init__(self, sources: list[str]) -> None:
        self.totals: dict[Name, Totals] = {}
        self.capacity: dict[Name, list[float]] = {}
        self._reached = dict.fromkeys(sources, -1)
        self._open: defaultdict[int, _Open] = defaultdict(_Open)

    def add(self, index: int, part: SeriesPart) -> None:
        """Take in a part of interval `index`. A part that comes late is merged all the same."""
        self._open[index].parts.append(part)
        total = self.capacity.setdefault(part.name, [0, 0.0, 0.0])
        for place, value in enumerate(part.capacity):
            total[place] += value
        if not part.warm_up:
            totals = self.totals.get(part.name)
            if totals is None:
                totals = self.totals[part.name] = Totals()
            totals.errors.update(part.errors)
            totals.unfinished += part.unfinished
            for metric, counts in part.counts.items():
                totals.histograms[metric].add(counts)

    def close(self, index: int, source: str, start_s: float, length_s: float) -> Iterator[Merged]:
        """Source `source` has sent all of interval `index`; gives every interval now complete."""
        self._open[index].spans.append((start_s, length_s))
        # a worker that stood still skips the seconds it slept through; a lost one that is heard
        # from again is not waited for again
        if source in self._reached:
            self._reached[source] = max(index, self._reached[source])
        yield from self._ready()

    def lose(self, source: str) -> Iterator[Merged]:
        """Wait for that source no longer."""
        self._reached.pop(source, None)
        yield from self._ready()

    def finish(self) -> Iterator[Merged]:
        """Give out whatever is left, complete or not, oldest first."""
        for index in sorted(self._open):
            yield self._merge(index)

    def summaries(self) -> list[SeriesInfo]:
        """Per-series figures over all measured parts so far."""
        return [
            SeriesInfo(
                backend=name[0],
                driver=name[1],
                pattern=name[2],
                count=totals.histograms["response_time"].total,
                errors=dict(totals.errors),
                unfinished=totals.unfinished,
                response_time_ms=summarise(totals.histograms["response_time"]),
                service_time_ms=summarise(totals.histograms["service_time"]),
                wire_time_ms=summarise(totals.histograms["wire_time"]),
                capacity=self._mean_capacity(name),
            )
            for name, totals in sorted(self.totals.items())
        ]

    def _mean_capacity(self, name: Name) -> ConsumedCapacity | None:
        calls, rcu, wcu = self.capacity.get(name, (0, 0.0, 0.0))
        return ConsumedCapacity(rcu_per_op=rcu / calls, wcu_per_op=wcu / calls) if calls else None

    def _ready(self) -> Iterator[Merged]:
        for index in sorted(self._open):
            if any(reached < index for reached in self._reached.values()):
                return
            yield self._merge(index)

    def _merge(self, index: int) -> Merged:
        held = self._open.pop(index)
        spans = held.spans or [(float(index), 1.0)]
        start_s = min(start for start, _ in spans)
        length_s = max(start + length for start, length in spans) - start_s
        merged = Merged(index, start_s, length_s, [], [])
        grouped: defaultdict[tuple[bool, Name, str], list[Sparse]] = defaultdict(list)
        for part in held.parts:
            for metric, counts in part.counts.items():
                grouped[part.warm_up, part.name, metric].append(counts)
        for (warm_up, name, metric), pieces in sorted(grouped.items(), key=lambda item: item[0]):
            counts = Sparse.sum(pieces)
            if counts.index.size:
                line = hlog.Line(Key(*name, metric).tag, start_s, length_s, counts)
                (merged.warm_up if warm_up else merged.measured).append(line)
        return merged


def part_to_message(part: SeriesPart) -> dict[str, Any]:
    """A part as plain data, for the way from a worker to the master."""
    backend, driver, pattern = part.name
    return {
        "backend": backend,
        "driver": driver,
        "pattern": pattern,
        "warm_up": part.warm_up,
        "counts": {metric: hlog.encode(counts) for metric, counts in part.counts.items()},
        "errors": part.errors,
        "unfinished": part.unfinished,
        "capacity": list(part.capacity),
    }


def part_from_message(message: dict[str, Any]) -> SeriesPart:
    """Undo `part_to_message`. Raises ValueError for a damaged histogram."""
    counts = {metric: hlog.decode(text) for metric, text in message["counts"].items()}
    return _part(message, counts)


def _part(described: dict[str, Any], counts: dict[str, Sparse]) -> SeriesPart:
    return SeriesPart(
        (described["backend"], described["driver"], described["pattern"]),
        described["warm_up"],
        counts,
        described["errors"],
        described["unfinished"],
        tuple(described["capacity"]),
    )
