"""Series of calls: their name, their raw columns, and their counts in one interval.

A recorder sends raw columns several times per second. They are bucketed once, when the second has
ended.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
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
    """One series in one interval of one load process; `counts` by metric."""

    name: SeriesName
    warm_up: bool
    counts: Mapping[str, Sparse]
    errors: Mapping[str, int] = field(default_factory=dict)
    unfinished: int = 0
    capacity: CapacityTotals = field(default_factory=CapacityTotals)


class RawSeries(TypedDict):
    """What a recorder sends about one series; its columns are the payload.

    `sizes` are the numbers of response, service and wire times. This is a plain dict, not a
    dataclass, because it is made in the event loop, where a dict costs a fifth.
    """

    backend: str
    driver: str
    pattern: str
    warm_up: bool
    sizes: list[int]
    errors: dict[str, int]
    unfinished: int
    capacity: CapacityTotals | None


@dataclass(slots=True)
class _Gathered:
    columns: tuple[list[npt.NDArray[np.int64]], ...] = field(
        default_factory=lambda: tuple([] for _ in METRICS)
    )
    errors: Counter[str] = field(default_factory=Counter)
    unfinished: int = 0
    capacity: CapacityTotals = field(default_factory=CapacityTotals)


class SecondColumns:
    """What a recorder sent since the last `parts`."""

    def __init__(self) -> None:
        self._gathered: dict[tuple[SeriesName, bool], _Gathered] = {}

    def take(self, series: list[RawSeries], payload: bytes) -> None:
        """Add the columns of one message: for each series three columns of int64 nanoseconds."""
        values = np.frombuffer(payload, np.int64)
        position = 0
        for raw in series:
            name = SeriesName(raw["backend"], raw["driver"], raw["pattern"])
            gathered = self._gathered.setdefault((name, raw["warm_up"]), _Gathered())
            for column, size in zip(gathered.columns, raw["sizes"], strict=True):
                column.append(values[position : position + size])
                position += size
            gathered.errors.update(raw["errors"])
            gathered.unfinished += raw["unfinished"]
            if raw["capacity"]:
                gathered.capacity.add(raw["capacity"])

    def parts(self) -> list[SeriesPart]:
        """Bucket everything, one part per series, and forget it."""
        everything, self._gathered = self._gathered, {}
        return [
            SeriesPart(
                name,
                warm_up,
                {
                    metric: Sparse.of(np.concatenate(pieces))
                    for metric, pieces in zip(METRICS, gathered.columns, strict=True)
                },
                dict(gathered.errors),
                gathered.unfinished,
                gathered.capacity,
            )
            for (name, warm_up), gathered in everything.items()
        ]
