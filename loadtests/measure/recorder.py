"""Records calls at little cost: four array appends per call, nothing rounded, nothing sorted.

Ten times per second the columns go, as raw bytes, to the scribe, a separate process that buckets,
encodes and writes (`scribe.py`). A call whose *intended* start lies in the warm-up is a warm-up
call, however late it ends.
"""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from loadtests.measure.messages import RecordedCalls, pack
from loadtests.measure.series import CapacityTotals, RawSeries


def new_column() -> array[int]:
    """An empty column of nanoseconds."""
    return array("q")


@dataclass(slots=True, eq=False)
class SeriesRecorder:
    """One backend, driver and access pattern, either warm-up or measured.

    The columns are in nanoseconds and always of one length: a time that is not known is negative.
    """

    backend: str
    driver: str
    pattern: str
    warm_up: bool
    intended: array[int] = field(default_factory=new_column)
    response: array[int] = field(default_factory=new_column)
    service: array[int] = field(default_factory=new_column)
    wire: array[int] = field(default_factory=new_column)
    errors: Counter[str] = field(default_factory=Counter)
    unfinished: int = 0
    capacity: CapacityTotals | None = None

    def record(self, intended_ns: int, began_ns: int, done_ns: int, wire_ns: int) -> None:
        """One finished call, successful or not; `wire_ns` is negative where it is not measured."""
        self.wire.append(wire_ns)  # first: a store's own figure may be no integer, which raises
        self.intended.append(intended_ns)
        self.response.append(done_ns - intended_ns)
        self.service.append(done_ns - began_ns)

    def record_not_made(self, intended_ns: int, now_ns: int) -> None:
        """An arrival whose call was not made because its method failed first: a failed call.

        Only the response time is known.
        """
        self.intended.append(intended_ns)
        self.response.append(max(0, now_ns - intended_ns))
        self.service.append(-1)
        self.wire.append(-1)

    def record_unfinished(self, intended_ns: npt.NDArray[np.int64], now_ns: int) -> None:
        """Calls that had not ended when the run did: they took at least their age.

        Only the response time is known to that bound; the call itself may never have begun.
        """
        unknown = np.full(len(intended_ns), -1, np.int64).tobytes()
        self.intended.frombytes(intended_ns.tobytes())
        self.response.frombytes((now_ns - intended_ns).tobytes())
        self.service.frombytes(unknown)
        self.wire.frombytes(unknown)
        self.unfinished += len(intended_ns)

    def record_capacity(self, rcu: float, wcu: float) -> None:
        """Capacity units one call consumed."""
        if self.capacity is None:
            self.capacity = CapacityTotals()
        self.capacity.add(CapacityTotals(1, rcu, wcu))

    def take(self) -> tuple[RawSeries, tuple[array[int], ...]] | None:
        """Return and forget what was recorded since the last time; None when nothing was.

        The columns are given away, not copied, because the event loop waits meanwhile.
        """
        if not (self.response or self.errors or self.capacity):
            return None
        described: RawSeries = {
            "backend": self.backend,
            "driver": self.driver,
            "pattern": self.pattern,
            "warm_up": self.warm_up,
            "calls": len(self.response),
            "errors": dict(self.errors) if self.errors else {},
            "unfinished": self.unfinished,
            "capacity": self.capacity,
        }
        columns = (self.intended, self.response, self.service, self.wire)
        self.intended, self.response = array("q"), array("q")
        self.service, self.wire = array("q"), array("q")
        self.unfinished = 0
        if self.errors:
            self.errors.clear()
        self.capacity = None
        return described, columns


SeriesPair = tuple[SeriesRecorder, SeriesRecorder]  # warm-up, measured


class Recorder:
    """All series of one process."""

    def __init__(self) -> None:
        self._series: Final[dict[tuple[str, str, str, bool], SeriesRecorder]] = {}

    def series(self, backend: str, driver: str, pattern: str, *, warm_up: bool) -> SeriesRecorder:
        """The series of that name, created when first asked for."""
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
        headers: list[RawSeries] = []
        columns: list[array[int]] = []
        for series in self._series.values():
            taken = series.take()
            if taken:
                headers.append(taken[0])
                columns += taken[1]
        if not headers:
            return b""
        return pack(RecordedCalls(headers), b"".join(columns))
