"""A schedule that counts its arrivals, independently of who takes them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np

from loadtests.load.schedule.arrivals import Nanoseconds


class CountedSchedule:
    """Gives out the chunks of a schedule, and counts the arrivals in them up to any time.

    Chunks that the count needs first are kept until they are asked for.
    """

    def __init__(self, schedule: Iterator[Nanoseconds]) -> None:
        self._schedule = schedule
        self._ahead: deque[Nanoseconds] = deque()
        self._uncounted: deque[Nanoseconds] = deque()

    def __iter__(self) -> Iterator[Nanoseconds]:
        """The schedule itself."""
        return self

    def __next__(self) -> Nanoseconds:
        """The next chunk."""
        if self._ahead:
            return self._ahead.popleft()
        chunk = next(self._schedule)
        self._uncounted.append(chunk)
        return chunk

    def take_count(self, until_ns: int) -> int:
        """The number of arrivals up to `until_ns` that have not been counted before."""
        count = 0
        while True:
            if not self._uncounted:
                chunk = next(self._schedule, None)
                if chunk is None:
                    return count
                self._ahead.append(chunk)
                self._uncounted.append(chunk)
            chunk = self._uncounted[0]
            passed = int(np.searchsorted(chunk, until_ns, side="right"))
            count += passed
            if passed < chunk.size:
                self._uncounted[0] = chunk[passed:]
                return count
            self._uncounted.popleft()
