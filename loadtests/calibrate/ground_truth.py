"""What a scripted server recorded, and what arriving users should have seen.

All times are CLOCK_MONOTONIC nanoseconds, the clock that `time.perf_counter_ns` and
`time.monotonic_ns` read on Linux, so they compare with a client's on the same machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from loadtests.calibrate.figures import Nanoseconds
from loadtests.calibrate.server.memory import OTHER
from loadtests.measure.histogram import Histogram, Sparse
from loadtests.patterns import CLOUDSHELF_PATTERNS


@dataclass(frozen=True, slots=True, kw_only=True)
class GroundTruth:
    """Every scripted call, in the order answered, and the freezes as they truly were.

    `code` is the access pattern's index in CLOUDSHELF_PATTERNS (one more for other calls). `due_ns`
    is when the script wanted the answer sent, `done_ns` when the socket had it. `windows` are the
    freezes as (begin, end).
    """

    code: Nanoseconds
    arrival_ns: Nanoseconds
    due_ns: Nanoseconds
    done_ns: Nanoseconds
    windows: tuple[tuple[int, int], ...] = ()

    def between(self, since_ns: int, until_ns: int) -> GroundTruth:
        """The calls that arrived in [since, until)."""
        return self._where((self.arrival_ns >= since_ns) & (self.arrival_ns < until_ns))

    def of(self, pattern: str) -> GroundTruth:
        """The calls of one access pattern."""
        return self._where(self.code == CLOUDSHELF_PATTERNS.index(pattern))

    @property
    def patterns(self) -> tuple[str, ...]:
        """The access patterns that were called, in the order of CLOUDSHELF_PATTERNS."""
        return tuple(
            name for code, name in enumerate(CLOUDSHELF_PATTERNS) if (self.code == code).any()
        )

    @property
    def service_ns(self) -> Nanoseconds:
        """The server's time of each call: request wholly read → answer in the socket."""
        return self.done_ns - self.arrival_ns

    @property
    def error_ns(self) -> Nanoseconds:
        """How far each answer was from its scripted moment."""
        return self.done_ns - self.due_ns

    def lag_ns(self, delay_ns: int) -> Nanoseconds:
        """How long after its moment each scripted call was answered, in the order of arrival.

        After a freeze the server has a whole queue to answer, which takes time.
        """
        scripted = self.code != OTHER
        order = np.argsort(self.arrival_ns[scripted], kind="stable")
        arrival, done = self.arrival_ns[scripted][order], self.done_ns[scripted][order]
        moment = arrival + open_loop_response_ns(arrival, delay_ns, self.windows)
        lag: Nanoseconds = np.maximum(0, done - moment)
        return lag

    def histogram(self) -> Histogram:
        """`service_ns` in the layout that the harness reports from."""
        histogram = Histogram()
        histogram.add(Sparse.of(self.service_ns))
        return histogram

    def _where(self, selected: npt.NDArray[np.bool_]) -> GroundTruth:
        return GroundTruth(
            code=self.code[selected],
            arrival_ns=self.arrival_ns[selected],
            due_ns=self.due_ns[selected],
            done_ns=self.done_ns[selected],
            windows=self.windows,
        )


def open_loop_response_ns(
    intended_ns: npt.ArrayLike, delay_ns: npt.ArrayLike, windows: Sequence[tuple[int, int]]
) -> Nanoseconds:
    """The response times that users arriving at `intended_ns` see of a server that freezes.

    An ideal client sends each request at its intended start. The server answers `delay_ns` later
    (one value, or one per call); if that moment lies in a freeze [begin, end), it answers at `end`.
    """
    intended = np.asarray(intended_ns, np.int64)
    answered = intended + np.asarray(delay_ns, np.int64)
    if len(windows):
        begins, ends = np.asarray(sorted(windows), np.int64).T
        index = np.searchsorted(begins, answered, side="right") - 1
        end = ends[np.maximum(index, 0)]
        answered = np.where((index >= 0) & (answered < end), end, answered)
    response: Nanoseconds = answered - intended
    return response


def round_trip_ns(truth: GroundTruth, calls: Sequence[Sequence[int]]) -> Nanoseconds:
    """The baseline round trip: each call's time beyond the server's own.

    `calls` are [sent, received] of `round_trip.py`. Its calls are the only ones with code OTHER, so
    the k-th of them is the k-th that the server recorded under that code.
    """
    other = truth.code == OTHER
    order = np.argsort(truth.arrival_ns[other], kind="stable")
    service = truth.service_ns[other][order]
    times = np.array(calls, np.int64).reshape(-1, 2)
    n = min(len(times), len(service))
    round_trip: Nanoseconds = times[:n, 1] - times[:n, 0] - service[:n]
    return round_trip
