"""Which calls a stall may have touched: pure, decided by intended start alone.

A call is *disturbed* when a stall touches the fixed window from `BEFORE_NS` before to `AFTER_NS`
after its intended start. The window does not depend on how long the call took. "Calls that overlap
a stall" would be biased: long calls overlap more often, so the rest would look too fast (the
immortal-time bias of cohort studies). The same rule in other sciences: vetoes of gravitational-wave
data (arXiv:1710.02185) and good-run lists (arXiv:1911.04632), fixed before the data are seen.

The three constants belong to the release. `docs/STALLS.md` says how they were chosen.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

# A stall that ended this long before a call's intended start can still delay it: the backlog that
# the stall left drains meanwhile.
BEFORE_NS: Final = 5_000_000
# A stall that begins this long after the intended start cannot push a call that keeps the tightest
# limit (10 ms) over it: such a call has ended.
AFTER_NS: Final = 10_000_000
# Shorter stalls are recorded and not used: they cannot matter beside a limit of 10 ms.
MIN_USED_NS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Stall:
    """Time in which one CPU did not run a process that was due. CLOCK_MONOTONIC nanoseconds.

    `due_ns` is when the meter should have woken, `length_ns` how late it woke. The CPU may have
    stopped up to one period earlier (`from_ns`), when the meter last ran.
    """

    cpu: int
    from_ns: int
    due_ns: int
    length_ns: int

    @property
    def end_ns(self) -> int:
        """When the CPU ran again."""
        return self.due_ns + self.length_ns


class DisturbedTime:
    """The intended starts that are disturbed, as disjoint spans of time, oldest first.

    Stalls may be added in any order. All CPUs count alike: one list serves all patterns and both
    backends.
    """

    def __init__(
        self,
        *,
        before_ns: int = BEFORE_NS,
        after_ns: int = AFTER_NS,
        min_used_ns: int = MIN_USED_NS,
    ) -> None:
        self._before_ns = before_ns
        self._after_ns = after_ns
        self._min_used_ns = min_used_ns
        self._begins: list[int] = []
        self._ends: list[int] = []

    def add(self, stall: Stall) -> bool:
        """Take in a stall; gives whether it is long enough to be used."""
        if stall.length_ns < self._min_used_ns:
            return False
        begin = stall.from_ns - self._after_ns
        end = stall.end_ns + self._before_ns
        # spans that overlap or touch the new one become part of it
        first = bisect_left(self._ends, begin)
        last = first
        while last < len(self._begins) and self._begins[last] <= end:
            last += 1
        if first < last:
            begin = min(begin, self._begins[first])
            end = max(end, self._ends[last - 1])
        self._begins[first:last] = [begin]
        self._ends[first:last] = [end]
        return True

    def touches(self, intended_ns: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Whether each of these intended starts is disturbed."""
        if not self._begins:
            return np.zeros(len(intended_ns), np.bool_)
        begins, ends = np.array(self._begins, np.int64), np.array(self._ends, np.int64)
        span = np.searchsorted(begins, intended_ns, side="right") - 1
        return np.asarray((span >= 0) & (intended_ns <= ends[np.maximum(span, 0)]), np.bool_)

    def length_ns(self, since_ns: int, until_ns: int) -> int:
        """How much of [since, until) is disturbed: the dead time."""
        spans = zip(self._begins, self._ends, strict=True)
        return sum(max(0, min(end, until_ns) - max(begin, since_ns)) for begin, end in spans)

    def forget_before(self, time_ns: int) -> None:
        """Drop spans that ended before `time_ns`; no earlier intended start will be asked for."""
        keep_from = bisect_left(self._ends, time_ns)
        del self._begins[:keep_from]
        del self._ends[:keep_from]
