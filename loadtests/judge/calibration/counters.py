"""What a calibration counts. Several processes count parts of the work, and the counts add up."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, Self, TypeVar

from loadtests.measure.results import Key


class CalibrationCounters(Protocol):
    """Counts that add up."""

    def __add__(self, other: Self, /) -> Self:
        """The sum of both."""


K = TypeVar("K", bound=Hashable)
C = TypeVar("C", bound=CalibrationCounters)


@dataclass(slots=True)
class Coverage:
    """Intervals of one percentile: those that contained the true value, and unresolvable ones.

    `intervals` does not include the unresolvable ones, whose sample was too small for a bound.
    """

    intervals: int = 0
    covering: int = 0
    unresolvable: int = 0
    by_series: Counter[Key] = field(default_factory=Counter)

    @property
    def rate(self) -> float:
        """Proportion of intervals that contained the true value; NaN without intervals."""
        return self.covering / self.intervals if self.intervals else math.nan

    def __add__(self, other: Coverage) -> Coverage:
        """The sum of both."""
        return Coverage(
            self.intervals + other.intervals,
            self.covering + other.covering,
            self.unresolvable + other.unresolvable,
            self.by_series + other.by_series,
        )


@dataclass(slots=True)
class Outcomes:
    """How comparisons ended, by status, and how many named the series that was slowed down."""

    statuses: Counter[str] = field(default_factory=Counter)
    detected: int = 0

    def rate(self, status: str) -> float:
        """Proportion of comparisons with that status; NaN without comparisons."""
        return _proportion(self.statuses[status], self.statuses)

    @property
    def power(self) -> float:
        """Proportion of comparisons that named the series that was slowed down."""
        return _proportion(self.detected, self.statuses)

    def __add__(self, other: Outcomes) -> Outcomes:
        """The sum of both."""
        return Outcomes(self.statuses + other.statuses, self.detected + other.detected)


@dataclass(slots=True)
class Decisions:
    """How resampled runs ended by status, their single limits too, and their seconds in all."""

    runs: Counter[str] = field(default_factory=Counter)
    limits: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    def rate(self, status: str) -> float:
        """Proportion of runs with that status; NaN without runs."""
        return _proportion(self.runs[status], self.runs)

    def limit_rate(self, status: str) -> float:
        """Proportion of single limits with that status; NaN without limits."""
        return _proportion(self.limits[status], self.limits)

    @property
    def mean_s(self) -> float:
        """Mean measured seconds until a run ended; NaN without runs."""
        return _proportion(self.seconds, self.runs)

    def __add__(self, other: Decisions) -> Decisions:
        """The sum of both."""
        return Decisions(
            self.runs + other.runs, self.limits + other.limits, self.seconds + other.seconds
        )


def _proportion(part: float, of: Counter[str]) -> float:
    return part / of.total() if of else math.nan


def merge_counters(parts: Iterable[Mapping[K, C]]) -> dict[K, C]:
    """The sums by key of what several processes counted; all have the same keys."""
    first, *others = parts
    total = dict(first)
    for part in others:
        total = {key: value + part[key] for key, value in total.items()}
    return total
