"""Records calls without being felt: three array appends a call, nothing rounded, nothing sorted.

Ten times a second the columns go, as raw bytes, to the scribe: a process of its own that buckets,
encodes and writes (`scribe.py`). What a call was is decided here: a call whose *intended* start lay
in the warm-up is a warm-up call, however late it ended.
"""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from loadtests.measure.frames import pack


def new_column() -> array[int]:
    """An empty column of nanoseconds."""
    return array("q")


@dataclass(slots=True, eq=False)
class SeriesRecorder:
    """One backend, driver and access pattern, either warm-up or measured. SecondColumns in ns."""

    backend: str
    driver: str
    pattern: str
    warm_up: bool
    response: array[int] = field(default_factory=new_column)
    service: array[int] = field(default_factory=new_column)
    wire: array[int] = field(default_factory=new_column)
    errors: Counter[str] = field(default_factory=Counter)
    unfinished: int = 0
    capacity: list[float] = field(default_factory=lambda: [0, 0.0, 0.0])

    def record(self, intended_ns: int, began_ns: int, done_ns: int, wire_ns: int) -> None:
        """One finished call, successful or not; `wire_ns` is negative where nobody measures it."""
        self.response.append(done_ns - intended_ns)
        self.service.append(done_ns - began_ns)
        if wire_ns >= 0:
            self.wire.append(wire_ns)

    def record_unfinished(self, ages_ns: npt.NDArray[np.int64]) -> None:
        """Calls that had not ended when the run did: they took at least their age.

        Only the response time is known to that bound; the call itself may never have begun.
        """
        self.response.frombytes(ages_ns.tobytes())
        self.unfinished += len(ages_ns)

    def record_capacity(self, rcu: float, wcu: float) -> None:
        """Capacity units one call consumed."""
        self.capacity[0] += 1
        self.capacity[1] += rcu
        self.capacity[2] += wcu

    def take(self) -> tuple[dict[str, Any], tuple[array[int], ...]] | None:
        """Hand over and forget what was recorded since last time; None when nothing was.

        The columns are given away rather than copied: the event loop stands still meanwhile.
        """
        if not (self.response or self.errors or self.capacity[0]):
            return None
        described = {
            "backend": self.backend,
            "driver": self.driver,
            "pattern": self.pattern,
            "warm_up": self.warm_up,
            "sizes": [len(self.response), len(self.service), len(self.wire)],
            "errors": dict(self.errors) if self.errors else {},
            "unfinished": self.unfinished,
            "capacity": self.capacity,
        }
        columns = (self.response, self.service, self.wire)
        self.response, self.service, self.wire = array("q"), array("q"), array("q")
        self.unfinished = 0
        if self.errors:
            self.errors.clear()
        if self.capacity[0]:
            self.capacity = [0, 0.0, 0.0]
        return described, columns


SeriesPair = tuple[SeriesRecorder, SeriesRecorder]  # warm-up, measured


class Recorder:
    """All series of one process."""

    def __init__(self) -> None:
        self._series: Final[dict[tuple[str, str, str, bool], SeriesRecorder]] = {}

    def series(self, backend: str, driver: str, pattern: str, *, warm_up: bool) -> SeriesRecorder:
        """The series of that name, made when first asked for."""
        key = (backend, driver, pattern, warm_up)
        if key not in self._series:
            self._series[key] = SeriesRecorder(*key)
        return self._series[key]

    def pair(self, backend: str, driver: str, pattern: str) -> SeriesPair:
        """The series of the warm-up and of the measured part."""
        return (
            self.series(backend, driver, pattern, warm_up=True),
            self.series(backend, driver, pattern, warm_up=False),
        )

    def drain(self) -> bytes:
        """One frame with all that was recorded since the last drain; empty when nothing was."""
        headers: list[dict[str, Any]] = []
        columns: list[array[int]] = []
        for series in self._series.values():
            taken = series.take()
            if taken:
                headers.append(taken[0])
                columns += taken[1]
        if not headers:
            return b""
        return pack({"kind": "values", "series": headers}, b"".join(columns))
