"""The run as the report sees it: one `Series` for each backend, driver and access pattern."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from loadtests.measure.histogram import Histogram, highest_value_ns, lowest_value_ns
from loadtests.measure.hlog import Interval
from loadtests.measure.results import ConsumedCapacity, Key, Run, SeriesInfo
from loadtests.order_statistics import min_calls
from loadtests.patterns import BACKENDS, DISPLAY_NAMES, METRICS, in_order
from loadtests.report.figures.rounding import clean

SUBJECT_ROLES: Final = ("first", "second", "third", "fourth", "fifth")  # colours in every chart


@dataclass(frozen=True, slots=True)
class ReportSubject:
    """What is compared: a backend through a driver; `role` is its colour in every chart."""

    backend: str
    driver: str
    label: str
    role: str


@dataclass(frozen=True, slots=True)
class ReportSeries:
    """One access pattern on one subject. Times are nanoseconds."""

    subject: ReportSubject
    pattern: str
    calls: int
    errors: Mapping[str, int]
    unfinished: int
    histograms: Mapping[str, Histogram]
    intervals: Mapping[str, Sequence[Interval]]
    warm_up: Mapping[str, Sequence[Interval]]
    capacity: ConsumedCapacity | None
    undisturbed: Mapping[str, Histogram] | None = None

    @property
    def left_out(self) -> float | None:
        """The share of the calls that stalls of the machine may have touched; None: not known."""
        histogram = self.histograms.get("response_time")
        if self.undisturbed is None or histogram is None or not histogram.total:
            return None
        undisturbed = self.undisturbed.get("response_time")
        return max(0.0, 1 - (undisturbed.total if undisturbed else 0) / histogram.total)

    @property
    def failed(self) -> int:
        """Calls that ended in an error."""
        return sum(self.errors.values())

    def quantile_ms(self, metric: str, q: float) -> float | None:
        """A percentile, or None where there are too few calls for it."""
        return quantile_ms(self.histograms.get(metric), q)

    def undisturbed_ms(self, metric: str, q: float) -> float | None:
        """The same over the calls that no stall can have touched."""
        return quantile_ms((self.undisturbed or {}).get(metric), q)

    def mean_ms(self, metric: str) -> float | None:
        """The mean, from the middle of each histogram place (within 0.05%), or None."""
        histogram = self.histograms.get(metric)
        return mean_ms(histogram) if histogram is not None and histogram.total else None


def quantile_ms(histogram: Histogram | None, q: float) -> float | None:
    """A quantile in milliseconds, or None where there are too few calls for it."""
    if histogram is None or histogram.total < min_calls(q):
        return None
    return histogram.quantile_ns(q) / 1e6


def mean_ms(histogram: Histogram) -> float:
    """The mean of a histogram that is not empty, in milliseconds."""
    parts = histogram.sparse()
    middle = (lowest_value_ns(parts.index) + highest_value_ns(parts.index)) / 2
    return float(np.dot(middle, parts.counts)) / parts.total / 1e6


def read_series(run: Run) -> list[ReportSeries]:
    """Every series of the run, in the order of the access patterns and then of the backends.

    A run that was cut short may have no summaries in run.json: its log then names the series.
    """
    infos = {(s.backend, s.driver, s.pattern): s for s in run.info.series}
    for key in run.intervals:
        place = (key.backend, key.driver, key.pattern)
        infos.setdefault(
            place, SeriesInfo(backend=place[0], driver=place[1], pattern=place[2], count=0)
        )
    subjects = _subjects([(backend, driver) for backend, driver, _ in infos])
    all_series = [_series(run, info, subjects) for info in infos.values()]
    order = list(subjects.values())
    patterns = in_order({info.pattern for info in infos.values()}, run.info.config.patterns)
    places = {clean(pattern): place for place, pattern in enumerate(patterns)}
    return sorted(all_series, key=lambda s: (places[s.pattern], order.index(s.subject)))


def patterns_of(series: Sequence[ReportSeries]) -> list[str]:
    """The access patterns present, in order."""
    return list(dict.fromkeys(each.pattern for each in series))


def subjects_of(series: Sequence[ReportSeries]) -> list[ReportSubject]:
    """The subjects present, in order."""
    subjects = {each.subject for each in series}
    return sorted(subjects, key=lambda s: (SUBJECT_ROLES.index(s.role), s.backend, s.driver))


def _series(
    run: Run, info: SeriesInfo, subjects: Mapping[tuple[str, str], ReportSubject]
) -> ReportSeries:
    keys = {m: Key(info.backend, info.driver, info.pattern, m) for m in METRICS}
    histograms = {m: run.total(key) for m, key in keys.items() if key in run.intervals}
    recorded = histograms["response_time"].total if "response_time" in histograms else 0
    return ReportSeries(
        subject=subjects[info.backend, info.driver],
        pattern=clean(info.pattern),
        calls=info.count or recorded,
        errors={clean(name): n for name, n in info.errors.items() if n > 0},
        unfinished=info.unfinished,
        histograms=histograms,
        intervals={m: run.intervals.get(key, ()) for m, key in keys.items()},
        warm_up={m: run.warm_up.get(key, ()) for m, key in keys.items()},
        capacity=info.capacity,
        undisturbed=_undisturbed(run, keys),
    )


def _undisturbed(run: Run, keys: Mapping[str, Key]) -> dict[str, Histogram] | None:
    if run.undisturbed is None:
        return None
    merged: dict[str, Histogram] = {}
    for metric, key in keys.items():
        merged[metric] = Histogram()
        for interval in run.undisturbed.get(key, ()):
            merged[metric].add(interval.counts)
    return merged


def _subjects(pairs: Sequence[tuple[str, str]]) -> dict[tuple[str, str], ReportSubject]:
    ordered = sorted(set(pairs), key=lambda p: (_rank(BACKENDS, p[0]), p[1]))
    several = {backend for backend, _ in ordered if sum(b == backend for b, _ in ordered) > 1}
    subjects = {}
    for place, (backend, driver) in enumerate(ordered):
        name = DISPLAY_NAMES.get(backend, clean(backend))
        label = f"{name} ({clean(driver)})" if backend in several else name
        role = SUBJECT_ROLES[min(place, len(SUBJECT_ROLES) - 1)]
        subjects[backend, driver] = ReportSubject(backend, driver, label, role)
    return subjects


def _rank(known: Sequence[str], name: str) -> tuple[int, str]:
    return (known.index(name), "") if name in known else (len(known), name)
