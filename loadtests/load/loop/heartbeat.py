"""The heartbeat of a load process: measures its delay, drains the recorder, closes seconds."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from loadtests.load.loop.timer import Timer, open_timer

BEAT_NS: Final = 20_000_000
BEATS_PER_DRAIN: Final = 5
BEATS_PER_SECOND: Final = 50


class Heartbeat:
    """Beats every 20 ms on an absolute timetable. Callbacks must return within microseconds."""

    def __init__(
        self,
        *,
        on_beat: Callable[[int], None],
        on_drain: Callable[[], None],
        on_second: Callable[[], None],
        clock: Callable[[], int] = time.monotonic_ns,
        timer: Callable[[Callable[[], None]], Timer] = open_timer,
    ) -> None:
        self._on_beat, self._on_drain, self._on_second = on_beat, on_drain, on_second
        self._clock = clock
        self._timer = timer(self._beat)
        self._due_ns = 0
        self._count = 0

    def start(self, origin_ns: int) -> None:
        """Count seconds from `origin_ns`."""
        self._due_ns = origin_ns + BEAT_NS
        self._timer.arm(self._due_ns)

    def stop(self) -> None:
        """Beat no more."""
        self._timer.close()

    def _beat(self) -> None:
        now = self._clock()
        delay_ns = now - self._due_ns
        if delay_ns < 0:  # woken early: not yet
            self._timer.arm(self._due_ns)
            return
        self._on_beat(delay_ns)
        # after a stall the missed beats are one late beat, but every second is still closed
        missed = 1 + delay_ns // BEAT_NS
        before = self._count
        self._count += missed
        self._due_ns += missed * BEAT_NS
        if self._count // BEATS_PER_DRAIN > before // BEATS_PER_DRAIN:
            self._on_drain()
        if self._count // BEATS_PER_SECOND > before // BEATS_PER_SECOND:
            self._on_second()
        self._timer.arm(self._due_ns)
