"""What a calibration counts, in pieces that several processes found and that add up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, Self, TypeVar

from loadtests.measure.results import Key

K = TypeVar("K", bound=Hashable)


class Tally(Protocol):
    """Counts that add up."""

    def __add__(self, other: Self, /) -> Self:
        """Both together."""


A = TypeVar("A", bound=Tally)


@dataclass(slots=True)
class Coverage:
    """One percentile: intervals that held the truth, and those the sample could not carry."""

    intervals: int = 0
    held: int = 0
    not_carried: int = 0
    by_series: Counter[Key] = field(default_factory=Counter)

    @property
    def share(self) -> float:
        """Share of carried intervals that held the truth."""
        return self.held / self.intervals if self.intervals else float("nan")

    def __add__(self, other: Coverage) -> Coverage:
        """Both together."""
        return Coverage(
            self.intervals + other.intervals,
            self.held + other.held,
            self.not_carried + other.not_carried,
            self.by_series + other.by_series,
        )


@dataclass(slots=True)
class Outcomes:
    """How comparisons ended: PASS, FAIL, INCONCLUSIVE; `named` those that named what was slowed."""

    statuses: Counter[str] = field(default_factory=Counter)
    named: int = 0

    def share(self, status: str) -> float:
        """Share of comparisons that ended so."""
        total = sum(self.statuses.values())
        return self.statuses[status] / total if total else float("nan")

    @property
    def power(self) -> float:
        """Share of comparisons that named what was slowed."""
        total = sum(self.statuses.values())
        return self.named / total if total else float("nan")

    def __add__(self, other: Outcomes) -> Outcomes:
        """Both together."""
        return Outcomes(self.statuses + other.statuses, self.named + other.named)


def added(parts: Iterable[Mapping[K, A]]) -> dict[K, A]:
    """What several parts of the work found, together."""
    first, *others = parts
    total = dict(first)
    for part in others:
        total = {key: value + part[key] for key, value in total.items()}
    return total
