"""How fast the machine is at the moment: a fixed piece of client-like work, timed again and again.

Two runs of one program differ when the machine does: its clock rate, or who shares its cores and
caches. That shows neither as waiting nor as stolen time. A piece of work that never changes shows
it, so that a difference between runs can be told from a difference between machines.
"""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Callable
from typing import Final

import numpy as np

from loadtests.measure.validity import Signal

_LINE: Final = {"user_id": {"S": "reader"}, "book_id": {"S": "book"}, "quantity": {"N": "2"}}
_HALVES: Final = 2


def work() -> str:
    """Some tens of microseconds of what clients do: JSON, hashing, small objects."""
    text = json.dumps([_LINE] * 12)
    lines = json.loads(text)
    names = sorted(f"{line['book_id']['S']}-{n}" for n, line in enumerate(lines))
    return hashlib.sha256("".join(names).encode()).hexdigest()


class Yardstick:
    """Times of `work`, in nanoseconds, in the order of time."""

    def __init__(self, clock: Callable[[], int], piece: Callable[[], object] = work) -> None:
        self.times_ns: array[int] = array("q")
        self._clock = clock
        self._piece = piece

    def measure(self) -> None:
        """Do the work twice and note the second time, when it is in the caches."""
        self._piece()
        begun = self._clock()
        self._piece()
        self.times_ns.append(self._clock() - begun)


def speed_signal(times_ns: array[int]) -> list[Signal]:
    """The median, and how far the two halves of the run differ; no limit, for it is a finding."""
    if len(times_ns) < _HALVES:
        return []
    values = np.array(times_ns, np.float64) / 1e6
    first, second = (float(np.median(half)) for half in np.array_split(values, _HALVES))
    text = (
        f"A fixed piece of work took {float(np.median(values)):.4f} ms at the median, "
        f"{second / first - 1:+.1%} in the second half of the run against the first."
    )
    return [Signal("machine speed", text, float(np.median(values)), "ms", None, True)]
