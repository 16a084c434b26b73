"""A clock and timers that only move when told, with real gevent greenlets and no waiting."""

from __future__ import annotations

from collections.abc import Callable

import gevent
from greenlet import getcurrent

MS = 1_000_000
S = 1_000_000_000


class Clockwork:
    """`clock` and `timer` are what the code under test is given."""

    def __init__(self, now_ns: int = 5 * S) -> None:
        self.now_ns = now_ns
        self.timers: list[FakeTimer] = []

    def clock(self) -> int:
        return self.now_ns

    def timer(self, callback: Callable[[], None]) -> FakeTimer:
        timer = FakeTimer(callback)
        self.timers.append(timer)
        return timer

    def run_to(self, at_ns: int) -> None:
        """Let time pass, each timer firing on the dot."""
        while due := self._next(at_ns):
            self.now_ns = max(self.now_ns, due.at_ns or 0)
            self._fire(due)
        self.now_ns = max(self.now_ns, at_ns)

    def stall_to(self, at_ns: int) -> None:
        """Time passes while the process stands still; then all that is overdue fires at once."""
        self.now_ns = max(self.now_ns, at_ns)
        self.run_to(self.now_ns)

    def sleep(self, for_ns: int) -> None:
        """What a greenlet does while its call is out."""
        timer = self.timer(getcurrent().switch)
        timer.arm(self.now_ns + for_ns)
        try:
            gevent.get_hub().switch()
        finally:
            timer.close()
            self.timers.remove(timer)

    def settle(self) -> None:
        """Let every greenlet that can run do so."""
        for _ in range(3):
            gevent.sleep(0)

    def _next(self, at_ns: int) -> FakeTimer | None:
        armed = [t for t in self.timers if t.at_ns is not None and t.at_ns <= at_ns]
        return min(armed, key=lambda t: t.at_ns or 0, default=None)

    def _fire(self, timer: FakeTimer) -> None:
        timer.at_ns = None
        # in the hub, as the event loop would
        gevent.get_hub().loop.run_callback(timer.callback)
        gevent.sleep(0)


class FakeTimer:
    """A `Timer` that fires when the clockwork says so."""

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback = callback
        self.at_ns: int | None = None
        self.closed = 0

    def arm(self, at_ns: int) -> None:
        assert not self.closed
        self.at_ns = at_ns

    def disarm(self) -> None:
        self.at_ns = None

    def close(self) -> None:
        self.at_ns = None
        self.closed += 1
