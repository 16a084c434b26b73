"""Samples how late the event loop handles what is ready, whether users are busy or not.

A response that arrives at some moment waits until the loop comes round to it. Nothing about the
response decides that wait; only what the loop is doing at that moment does. So a timer set for
random moments waits as a response would have, and its delay has the distribution of the event-loop
delay of responses (arrivals at random moments see time averages: Wolff, "Poisson Arrivals See Time
Averages", Operations Research 30(2), 1982).

Where there are asyncio clients, each moment is handed over to their loop, in a thread of its own,
as a call is, and its delay ends there.
"""

from __future__ import annotations

import sys
import time
from array import array
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

import numpy as np

from loadtests.load.loop.timer import Timer, open_timer

SLOT_NS: Final = 10_000_000
_CHUNK: Final = 512
# elsewhere gevent's timers, which count whole milliseconds, would be measured and not the loop
CAN_SAMPLE: Final = sys.platform == "linux"
HandOver = Callable[..., object]  # runs a callback with arguments in another thread's loop


class DelaySampler:
    """One random moment in each 10 ms, whatever the load; a stall misses none of them."""

    def __init__(
        self,
        *,
        clock: Callable[[], int] = time.monotonic_ns,
        timer: Callable[[Callable[[], None]], Timer] = open_timer,
        seed: int | None = None,
    ) -> None:
        self._clock = clock
        self._timer = timer(self._fire)
        self._rng = np.random.default_rng(seed)
        self._moments: Iterator[int] = iter(())
        self._next_ns = 0
        self._sampled_ns = array("q")
        self._delays_ns = array("q")
        self._hand_over: HandOver | None = None
        self._handed_over: deque[int] = deque()  # moments that the other loop has not handled yet
        self._handled: deque[tuple[int, int]] = deque()  # when it did, and how many

    def start(self, origin_ns: int, hand_over: HandOver | None = None) -> None:
        """Sample from `origin_ns` on, through the other loop if there is one."""
        self._hand_over = hand_over
        self._moments = self._draw(origin_ns)
        self._next_ns = next(self._moments)
        self._timer.arm(self._next_ns)

    def stop(self) -> None:
        """Sample no more; moments that are overdue count, with their delay so far."""
        self._catch_up()
        self._add(len(self._handed_over), self._clock())
        self._hand_over = None
        self._next_ns = 0
        self._timer.close()

    def read(self) -> bytes:
        """The moments sampled since the last reading, then their delays, all int64 nanoseconds.

        Moments that are overdue count.
        """
        self._catch_up()
        columns = self._sampled_ns.tobytes() + self._delays_ns.tobytes()
        del self._sampled_ns[:], self._delays_ns[:]
        return columns

    def _fire(self) -> None:
        self._catch_up()
        self._timer.arm(self._next_ns)

    def _catch_up(self) -> None:
        now_ns = self._clock()
        due = 0
        while 0 < self._next_ns <= now_ns:  # after a stall, every moment in it
            self._handed_over.append(self._next_ns)
            self._next_ns = next(self._moments)
            due += 1
        if self._hand_over is None:
            self._add(due, now_ns)
            return
        if due:
            self._hand_over(self._handle, due)
        while self._handled:
            handled_ns, count = self._handled.popleft()
            self._add(count, handled_ns)

    def _handle(self, count: int) -> None:
        """In the other thread: only its clock is read, and a deque is safe to append to."""
        self._handled.append((self._clock(), count))

    def _add(self, count: int, handled_ns: int) -> None:
        for _ in range(min(count, len(self._handed_over))):
            moment_ns = self._handed_over.popleft()
            self._sampled_ns.append(moment_ns)
            self._delays_ns.append(handled_ns - moment_ns)

    def _draw(self, origin_ns: int) -> Iterator[int]:
        while True:
            slots = origin_ns + SLOT_NS * np.arange(_CHUNK, dtype=np.int64)
            yield from (slots + self._rng.integers(0, SLOT_NS, _CHUNK)).tolist()
            origin_ns += SLOT_NS * _CHUNK
