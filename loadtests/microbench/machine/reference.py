"""How fast the machine is at the moment: two things that never change, timed again and again.

Two runs of one program differ when the machine does, and in two ways that show neither as waiting
for a CPU nor as stolen time. Its cores may be slower (clock rate, somebody on the other half of a
core): a fixed piece of client-like work shows that. And it may be slower to hand over from one
process to another (sleep states, where the scheduler puts the two, what the hypervisor does): a
bare round trip to another process shows that, and no call of any client can be quicker.

They tell a difference between machines from a difference between calls; they correct nothing.
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
    """Times of one such piece, in nanoseconds, in the order of time."""

    def __init__(self, clock: Callable[[], int], piece: Callable[[], object] = work) -> None:
        self.times_ns: array[int] = array("q")
        self._clock = clock
        self._piece = piece

    def measure(self) -> None:
        """Do it twice and note the second time, when it is in the caches."""
        self._piece()
        begun = self._clock()
        self._piece()
        self.times_ns.append(self._clock() - begun)


class MachineReference:
    """Both yardsticks, read at the same moments; `parts` has their medians part by part, in ms."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._echo = Echo()
        self.work = ReferenceWorkload(clock)
        self.round_trip = ReferenceWorkload(clock, self._echo.round_trip)
        self.suites: dict[str, MachineSpeed] = {}
        self._begun = 0

    def measure(self) -> None:
        """Read both, between turns of calls."""
        self.work.measure()
        self.round_trip.measure()

    def end_suite(self, suite: str) -> None:
        """What was read since the last part ended belongs to this one."""
        begun, self._begun = self._begun, len(self.work.times_ns)
        if self._begun > begun:
            self.suites[suite] = MachineSpeed(
                work_ms=median_ms(self.work.times_ns[begun:]),
                round_trip_ms=median_ms(self.round_trip.times_ns[begun:]),
            )

    def close(self) -> None:
        """End the process at the other end."""
        self._echo.close()


def median_ms(times_ns: array[int]) -> float:
    """The median, in milliseconds."""
    return float(np.median(np.array(times_ns, np.float64))) / 1e6


def speed_signal(times_ns: array[int]) -> list[Signal]:
    """Median of the work, and how the halves of the run differ; no limit, for it is a finding."""
    return _told("machine speed", "A fixed piece of work", times_ns)


def round_trip_signal(times_ns: array[int]) -> list[Signal]:
    """The same of the bare round trip, which is in every call's wire time."""
    return _told("bare round trip", "A bare round trip to another process", times_ns)


def _told(name: str, what: str, times_ns: array[int]) -> list[Signal]:
    if len(times_ns) < _HALVES:
        return []
    middle = len(times_ns) // 2
    first, second = median_ms(times_ns[:middle]), median_ms(times_ns[middle:])
    text = (
        f"{what} took {median_ms(times_ns):.4f} ms at the median, "
        f"{second / first - 1:+.1%} in the second half of the run against the first."
    )
    return [Signal(name, text, median_ms(times_ns), "ms", None, True)]
