"""The real timers; only the order of things is looked at, for machines differ."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial

import gevent
import pytest
from gevent.event import Event

from loadtests.load.loop.timer import (
    EarlyTimerFd,
    LoopTimer,
    Timer,
    TimerFd,
    early_ns_of,
    open_timer,
)

MS = 1_000_000
LONG = 3_600_000 * MS
KINDS = [
    pytest.param(
        TimerFd, marks=pytest.mark.skipif(sys.platform != "linux", reason="timerfd is Linux's")
    ),
    pytest.param(
        partial(EarlyTimerFd, early_ns=2 * MS),
        id="EarlyTimerFd",
        marks=pytest.mark.skipif(sys.platform != "linux", reason="timerfd is Linux's"),
    ),
    LoopTimer,
]


Kind = Callable[[Callable[[], None]], Timer]


class Rung:
    """Timers that write down their names; a deadline so far off that only a defect meets it."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.order: list[str] = []
        self.late: list[bool] = []
        self.due: dict[str, int] = {}
        self._event = Event()
        self.timers: dict[str, Timer] = {}

    def make(self, name: str) -> Timer:
        self.timers[name] = self.kind(lambda: self._ring(name))
        return self.timers[name]

    def arm(self, name: str, at_ns: int) -> None:
        self.due[name] = at_ns
        self.timers[name].arm(at_ns)

    def _ring(self, name: str) -> None:
        self.order.append(name)
        self.late.append(time.monotonic_ns() >= self.due[name])
        self.timers[name].disarm()
        self._event.set()

    def wait_for(self, count: int) -> list[str]:
        with gevent.Timeout(60):
            while len(self.order) < count:
                self._event.wait()
                self._event.clear()
        return self.order

    def close(self) -> None:
        for timer in self.timers.values():
            timer.close()
            timer.close()  # closing again is harmless


@pytest.mark.parametrize("kind", KINDS)
def test_timers_ring_once_each_in_the_order_they_are_due(kind: Kind) -> None:
    with closing(Rung(kind)) as rung:
        for name in ("third", "first", "second"):
            rung.make(name)
        now = time.monotonic_ns()
        rung.arm("third", now + 60 * MS)
        rung.arm("first", now + 5 * MS)
        rung.arm("second", now + 30 * MS)
        assert rung.wait_for(3) == ["first", "second", "third"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_time_that_has_passed_rings_at_once(kind: Kind) -> None:
    with closing(Rung(kind)) as rung:
        rung.make("passed")
        rung.make("never")
        rung.arm("never", time.monotonic_ns() + LONG)
        rung.arm("passed", time.monotonic_ns() - 5 * MS)
        assert rung.wait_for(1) == ["passed"]
        rung.arm("passed", 0)
        assert rung.wait_for(2) == ["passed", "passed"]


@pytest.mark.parametrize("kind", KINDS)
def test_disarmed_or_moved_it_does_not_ring_as_it_was_set_before(kind: Kind) -> None:
    with closing(Rung(kind)) as rung:
        for name in ("disarmed", "moved", "last"):
            rung.make(name)
        now = time.monotonic_ns()
        rung.arm("disarmed", now + 2 * MS)
        rung.timers["disarmed"].disarm()
        rung.arm("moved", now + 2 * MS)
        rung.arm("moved", now + LONG)
        rung.arm("last", now + 20 * MS)
        assert rung.wait_for(1) == ["last"]
        rung.arm("moved", time.monotonic_ns() + MS)
        assert rung.wait_for(2) == ["last", "moved"]


@pytest.mark.skipif(sys.platform != "linux", reason="timerfd is Linux's")
def test_a_timerfd_never_rings_early_and_rings_again_and_again() -> None:
    with closing(Rung(TimerFd)) as rung:
        rung.make("tick")
        for count in range(1, 30):
            rung.arm("tick", time.monotonic_ns() + MS // 3)
            rung.wait_for(count)
        assert all(rung.late)


@pytest.mark.skipif(sys.platform != "linux", reason="timerfd is Linux's")
def test_the_most_precise_timer_is_a_timerfd_and_its_descriptor_is_closed_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    closed: list[int] = []
    really_close = os.close

    def close(descriptor: int) -> None:
        closed.append(descriptor)
        really_close(descriptor)

    timers = [open_timer(lambda: None) for _ in range(20)]
    assert all(isinstance(timer, TimerFd) for timer in timers)
    descriptors = [timer._fd for timer in timers if isinstance(timer, TimerFd)]
    assert all("timerfd" in os.readlink(f"/proc/self/fd/{fd}") for fd in descriptors)
    monkeypatch.setattr(os, "close", close)
    for timer in timers:
        timer.arm(time.monotonic_ns() + LONG)
        timer.close()
        timer.close()
    assert closed == descriptors


def test_elsewhere_it_is_the_loops_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    timer = open_timer(lambda: None)
    assert isinstance(timer, LoopTimer)
    timer.close()


def test_only_a_little_of_a_core_is_spent_on_waking_early() -> None:
    assert early_ns_of(50) == early_ns_of(100) == 300_000
    assert early_ns_of(300) == 100_000
    assert early_ns_of(1_000) == 0
    assert all(early_ns_of(rate) * rate <= 0.03e9 for rate in range(1, 5_000))


@pytest.mark.skipif(sys.platform != "linux", reason="timerfd is Linux's")
def test_others_run_while_a_timer_polls() -> None:
    polled: list[str] = []
    done = Event()
    timer = EarlyTimerFd(done.set, early_ns=LONG)  # wakes at once, and polls from then on
    with closing(timer):
        timer.arm(time.monotonic_ns() + LONG - MS)
        for _ in range(100):
            gevent.sleep(0)
            polled.append("another's turn")
        assert not done.is_set()
        timer.arm(time.monotonic_ns() + 1)  # re-armed while it polls
        assert done.wait(60)
    assert len(polled) == 100
