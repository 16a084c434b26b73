"""How fast the machine is: two things that never change, timed again and again.

Two runs of one program differ when the machine does, in two ways that appear neither as waiting for
a CPU nor as stolen time. Its cores may be slower (clock rate, another thread on the same core): a
fixed workload like a client's shows that. And it may be slower to switch from one process to
another (sleep states, placement by the scheduler, the hypervisor): a bare round trip to another
process shows that, and no call of any client can be faster.

They distinguish a difference between machines from a difference between calls. They do not correct
any figure.
"""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Callable
from typing import Final

import numpy as np

from loadtests.measure.health.validity import Signal
from loadtests.measure.results import MachineSpeed
from loadtests.microbench.machine.echo import Echo

_LINE: Final = {"user_id": {"S": "reader"}, "book_id": {"S": "book"}, "quantity": {"N": "2"}}
_HALVES: Final = 2


def work() -> str:
    """Some tens of microseconds of what clients do: JSON, hashing, small objects."""
    text = json.dumps([_LINE] * 12)
    lines = json.loads(text)
    names = sorted(f"{line['book_id']['S']}-{n}" for n, line in enumerate(lines))
    return hashlib.sha256("".join(names).encode()).hexdigest()


class ReferenceWorkload:
    """The times of a fixed workload, in nanoseconds, oldest first."""

    def __init__(self, clock: Callable[[], int], workload: Callable[[], object] = work) -> None:
        self.times_ns: array[int] = array("q")
        self._clock = clock
        self._workload = workload

    def measure(self) -> None:
        """Run it twice and record the second time, when it is in the caches."""
        self._workload()
        start_ns = self._clock()
        self._workload()
        self.times_ns.append(self._clock() - start_ns)


class MachineReference:
    """Both workloads, measured at the same moments; `suites` has their medians by suite."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._echo = Echo()
        self.work = ReferenceWorkload(clock)
        self.round_trip = ReferenceWorkload(clock, self._echo.round_trip)
        self.suites: dict[str, MachineSpeed] = {}
        self._suite_start = 0

    def measure(self) -> None:
        """Measure both, between batches of calls."""
        self.work.measure()
        self.round_trip.measure()

    def end_suite(self, suite: str) -> None:
        """Everything measured since the last suite ended belongs to this one."""
        start, self._suite_start = self._suite_start, len(self.work.times_ns)
        if self._suite_start > start:
            self.suites[suite] = MachineSpeed(
                work_ms=median_ms(self.work.times_ns[start:]),
                round_trip_ms=median_ms(self.round_trip.times_ns[start:]),
            )

    def close(self) -> None:
        """End the echo process."""
        self._echo.close()


def median_ms(times_ns: array[int]) -> float:
    """The median, in milliseconds."""
    return float(np.median(np.array(times_ns, np.float64))) / 1e6


def speed_signal(times_ns: array[int]) -> list[Signal]:
    """Median time of the workload, and how the halves of the run differ; without a limit."""
    return _signal("machine speed", "A fixed piece of work", times_ns)


def round_trip_signal(times_ns: array[int]) -> list[Signal]:
    """The same for the bare round trip, which is part of every call's wire time."""
    return _signal("bare round trip", "A bare round trip to another process", times_ns)


def _signal(name: str, what: str, times_ns: array[int]) -> list[Signal]:
    if len(times_ns) < _HALVES:
        return []
    middle = len(times_ns) // 2
    first, second = median_ms(times_ns[:middle]), median_ms(times_ns[middle:])
    text = (
        f"{what} took {median_ms(times_ns):.4f} ms at the median, "
        f"{second / first - 1:+.1%} in the second half of the run against the first."
    )
    value = median_ms(times_ns)
    return [Signal(name=name, text=text, value=value, unit="ms", limit=None, ok=True)]
