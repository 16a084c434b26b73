"""Series of calls: their name, their raw columns, and their counts in one interval.

A recorder sends raw columns several times per second. They are bucketed once, when the second has
ended and it is known which of its calls a stall of the machine may have touched.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from typing_extensions import TypedDict

from loadtests.measure.histogram import Sparse
from loadtests.measure.results import ConsumedCapacity, Count, Key, Units
from loadtests.patterns import METRICS


class SeriesName(NamedTuple):
    """Whose calls a series holds."""

    backend: str
    driver: str
    pattern: str

    def key(self, metric: str) -> Key:
        """The key of one of its times."""
        return Key(*self, metric)


def subject_of(backend: str, driver: str) -> str:
    """Whom a dispatcher calls: `backend/driver`. All patterns of it share one schedule."""
    return f"{backend}/{driver}"


@dataclass(slots=True)
class CapacityTotals:
    """Capacity units that calls consumed, summed over the calls that asked for them."""

    calls: Count = 0
    rcu: Units = 0.0
    wcu: Units = 0.0

    def add(self, other: CapacityTotals) -> None:
        """Add the units of other calls."""
        self.calls += other.calls
        self.rcu += other.rcu
        self.wcu += other.wcu

    def mean(self) -> ConsumedCapacity | None:
        """Units per call; None when no call asked."""
        if not self.calls:
            return None
        return ConsumedCapacity(rcu_per_op=self.rcu / self.calls, wcu_per_op=self.wcu / self.calls)


@dataclass(slots=True)
class SeriesPart:
    """One series in one interval of one load process; `counts` by metric.

    `undisturbed` holds those of the calls that no stall can have touched; None where stalls are not
    measured.
    """

    name: SeriesName
    warm_up: bool
    counts: Mapping[str, Sparse]
    errors: Mapping[str, int] = field(default_factory=dict)
    unfinished: int = 0
    capacity: CapacityTotals = field(default_factory=CapacityTotals)
    undisturbed: Mapping[str, Sparse] | None = None


Touches = Callable[[npt.NDArray[np.int64]], npt.NDArray[np.bool_]]


class RawSeries(TypedDict):
    """What a recorder sends about one series; its columns are the payload.

    There are four columns of `calls` values each: intended starts (CLOCK_MONOTONIC), response,
    service and wire times; a time that is not known is negative. This is a plain dict, not a
    dataclass, because it is made in the event loop, where a dict costs a fifth.
    """

    backend: str
    driver: str
    pattern: str
    warm_up: bool
    calls: int
    errors: dict[str, int]
    unfinished: int
    capacity: CapacityTotals | None


@dataclass(slots=True)
class _Gathered:
    columns: tuple[list[npt.NDArray[np.int64]], ...] = field(
        default_factory=lambda: ([], *([] for _ in METRICS))
    )
    errors: Counter[str] = field(default_factory=Counter)
    unfinished: int = 0
    capacity: CapacityTotals = field(default_factory=CapacityTotals)


class SecondColumns:
    """What a recorder sent since the last `parts`."""

    def __init__(self) -> None:
        self._gathered: dict[tuple[SeriesName, bool], _Gathered] = {}

    def take(self, series: list[RawSeries], payload: bytes) -> None:
        """Add the columns of one message: for each series four columns of int64 nanoseconds."""
        values = np.frombuffer(payload, np.int64)
        position = 0
        for raw in series:
            name = SeriesName(raw["backend"], raw["driver"], raw["pattern"])
            gathered = self._gathered.setdefault((name, raw["warm_up"]), _Gathered())
            for column in gathered.columns:
                column.append(values[position : position + raw["calls"]])
                position += raw["calls"]
            gathered.errors.update(raw["errors"])
            gathered.unfinished += raw["unfinished"]
            if raw["capacity"]:
                gathered.capacity.add(raw["capacity"])

    def parts(self, touches: Touches | None = None) -> list[SeriesPart]:
        """Bucket everything, one part per series, and forget it.

        `touches` says which intended starts are disturbed; without it all calls are one set.
        """
        everything, self._gathered = self._gathered, {}
        return [
            _part(name, gathered, touches, warm_up=warm_up)
            for (name, warm_up), gathered in everything.items()
        ]


def _part(
    name: SeriesName, gathered: _Gathered, touches: Touches | None, *, warm_up: bool
) -> SeriesPart:
    intended_ns, *times = (np.concatenate(pieces) for pieces in gathered.columns)
    by_metric = dict(zip(METRICS, times, strict=True))
    undisturbed = None
    if touches:
        kept = ~touches(intended_ns)
        undisturbed = {metric: _counts(column[kept]) for metric, column in by_metric.items()}
    return SeriesPart(
        name=name,
        warm_up=warm_up,
        counts={metric: _counts(column) for metric, column in by_metric.items()},
        errors=dict(gathered.errors),
        unfinished=gathered.unfinished,
        capacity=gathered.capacity,
        undisturbed=undisturbed,
    )


def _counts(times_ns: npt.NDArray[np.int64]) -> Sparse:
    return Sparse.of(times_ns[times_ns >= 0])
