"""A timer that is on time under gevent.

gevent's default loop counts whole milliseconds and oversleeps 0.6 ms at the median. A Linux timerfd
waited on as a descriptor is as precise as the kernel. Elsewhere gevent's own timer is used, and the
lateness it causes is recorded like any other.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Callable
from typing import Any, Final, Protocol

import gevent

POLLED_SHARE: Final = 0.03  # of a core
MOST_EARLY_NS: Final = 300_000
LEAST_EARLY_NS: Final = 50_000  # less is over before the processor is awake


class Timer(Protocol):
    """Calls back once, in the event loop, at a monotonic time."""

    def arm(self, at_ns: int) -> None:
        """Call back at `at_ns` (time.monotonic_ns), at once if that has passed."""

    def disarm(self) -> None:
        """Do not call back."""

    def close(self) -> None:
        """Release the descriptor; safe to call twice."""


def open_timer(callback: Callable[[], None], early_ns: int = 0) -> Timer:
    """The most precise timer this platform has; `early_ns` as in `EarlyTimerFd`."""
    if sys.platform != "linux":
        return LoopTimer(callback)
    return EarlyTimerFd(callback, early_ns) if early_ns else TimerFd(callback)


def early_ns_of(rate_per_s: float) -> int:
    """How early to wake for arrivals at this rate: 300 µs, or 3% of a core, or not at all.

    A sleeping processor takes 30 to 100 µs to wake and some more to find its caches again, and that
    is the generator's time, not the database's. A busy one hardly sleeps, and polling would only
    cost it.
    """
    early_ns = min(MOST_EARLY_NS, int(POLLED_SHARE * 1e9 / rate_per_s))
    return early_ns if early_ns >= LEAST_EARLY_NS else 0


class _Spec(ctypes.Structure):
    _fields_ = (
        ("interval_s", ctypes.c_long),
        ("interval_ns", ctypes.c_long),
        ("value_s", ctypes.c_long),
        ("value_ns", ctypes.c_long),
    )


class TimerFd:
    """timerfd(2) on CLOCK_MONOTONIC, absolute. Setting it also clears its readiness."""

    _ABSOLUTE = 1

    def __init__(self, callback: Callable[[], None]) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        flags = os.O_NONBLOCK | os.O_CLOEXEC
        self._fd = libc.timerfd_create(time.CLOCK_MONOTONIC, flags)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        self._spec = _Spec(0, 0, 0, 0)
        self._pointer = ctypes.byref(self._spec)
        self._settime = libc.timerfd_settime
        self._settime.argtypes = (
            ctypes.c_int,
            ctypes.c_int,
            ctypes.POINTER(_Spec),
            ctypes.c_void_p,
        )
        self._watcher: Any = gevent.get_hub().loop.io(self._fd, 1)
        self._watcher.start(callback)

    def arm(self, at_ns: int) -> None:
        """See `Timer.arm`."""
        spec = self._spec
        spec.value_s, spec.value_ns = divmod(max(at_ns, 1), 1_000_000_000)
        self._settime(self._fd, self._ABSOLUTE, self._pointer, None)

    def disarm(self) -> None:
        """See `Timer.disarm`."""
        self._spec.value_s = self._spec.value_ns = 0
        self._settime(self._fd, self._ABSOLUTE, self._pointer, None)

    def close(self) -> None:
        """See `Timer.close`."""
        if self._fd >= 0:
            self._watcher.stop()
            self._watcher.close()
            os.close(self._fd)
            self._fd = -1


class EarlyTimerFd(TimerFd):
    """Wakes `early_ns` before the time and polls the rest.

    The event loop goes round meanwhile, so nothing else waits.
    """

    def __init__(self, callback: Callable[[], None], early_ns: int) -> None:
        super().__init__(self._woken)
        self._callback = callback
        self._early_ns = early_ns
        self._at_ns = 0
        self._poll: Any = gevent.get_hub().loop.idle()

    def arm(self, at_ns: int) -> None:
        """See `Timer.arm`."""
        self._poll.stop()
        self._at_ns = at_ns
        super().arm(at_ns - self._early_ns)

    def disarm(self) -> None:
        """See `Timer.disarm`."""
        self._poll.stop()
        super().disarm()

    def close(self) -> None:
        """See `Timer.close`."""
        if self._fd >= 0:
            self._poll.stop()
            self._poll.close()
        super().close()

    def _woken(self) -> None:
        super().disarm()  # no longer ready
        self._poll.start(self._polled)
        self._polled()

    def _polled(self) -> None:
        if time.monotonic_ns() >= self._at_ns:
            self._poll.stop()
            self._callback()


class LoopTimer:
    """gevent's own timer: whole milliseconds at best."""

    def __init__(self, callback: Callable[[], None]) -> None:
        self._callback = callback
        self._timer: Any = None

    def arm(self, at_ns: int) -> None:
        """See `Timer.arm`."""
        self.disarm()
        delay_s = max(0.0, (at_ns - time.monotonic_ns()) / 1e9)
        self._timer = gevent.get_hub().loop.timer(delay_s)
        self._timer.start(self._callback)

    def disarm(self) -> None:
        """See `Timer.disarm`."""
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
            self._timer = None

    def close(self) -> None:
        """See `Timer.close`."""
        self.disarm()
