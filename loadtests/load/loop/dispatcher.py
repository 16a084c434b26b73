"""Dispatches the arrivals of one scenario on one backend to users.

The dispatcher holds the next intended start. A free user that asks while an arrival is due takes
the oldest one, with its intended start unchanged. Otherwise the user parks, and the dispatcher's
timer wakes it at the next intended start. Nothing is dropped: while every user is busy, due
arrivals wait in the schedule.

Before the schedule starts there may be a rehearsal: users make a number of calls one after the
other, as fast as they can. It takes nothing from the schedule and counts as no arrival.

An arrival may be dispatched a little before its intended start, so that its user has chosen keys by
then; `OpenLoopUser.call` begins no call early.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import gevent
import numpy as np
from greenlet import getcurrent

from loadtests.load.loop.timer import Timer, open_timer
from loadtests.load.schedule.arrivals import Nanoseconds
from loadtests.load.schedule.counted import CountedSchedule

NEVER: Final = 1 << 62


@dataclass(slots=True)
class SecondCounters:
    """What a dispatcher counted since it was last read. Times in nanoseconds.

    `dispatch_delays_ns` holds, for each arrival that found a user free, the time from its intended
    start (`dispatched_ns`) to its dispatch, or until an asyncio client has begun its call; the
    generator causes this delay. `queued` arrivals found every user busy.
    """

    dispatched_ns: list[int] = field(default_factory=list)
    dispatch_delays_ns: list[int] = field(default_factory=list)
    offered: int = 0
    queued: int = 0
    least_free: int = NEVER


class ArrivalDispatcher:
    """Dispatches arrivals to users, up to `ahead_ns` before they are due.

    One per scenario class and backend in each process.
    """

    def __init__(
        self,
        schedule: Iterator[Nanoseconds],
        *,
        clock: Callable[[], int] = time.monotonic_ns,
        timer: Callable[[Callable[[], None]], Timer] = open_timer,
        ahead_ns: int = 0,
    ) -> None:
        self.next_ns = NEVER
        self._ahead_ns = ahead_ns
        self.counters = SecondCounters()
        self._schedule = CountedSchedule(schedule)
        self._clock = clock
        self._open_timer = timer
        self._timer: Timer | None = None
        self._chunk: Iterator[int] = iter(())
        self._origin_ns = self._measure_from_ns = 0
        self._taken_ns = 0  # intended start of the last arrival that a user got
        self._end_ns = NEVER
        self._rehearsal_calls = 0
        self._rehearsal_users = 0
        self._parked: deque[Any] = deque()
        self._switch = gevent.get_hub().switch

    def rehearse(self, calls: int, users: int = NEVER) -> None:
        """Let up to `users` users make `calls` calls, each user as fast as it can.

        For the time before `start`; their intended starts are the moments at which users ask.
        """
        self._rehearsal_calls = calls
        self._rehearsal_users = users
        # from the hub, because a user that is woken switches to the hub when it waits
        gevent.get_hub().loop.run_callback(self._wake_for_rehearsal)

    def end_rehearsal(self) -> None:
        """Let users begin no further call of the rehearsal."""
        self._rehearsal_calls = 0

    @property
    def rehearsal_calls(self) -> int:
        """Calls of the rehearsal that no user has begun yet."""
        return self._rehearsal_calls

    def start(self, origin_ns: int, measure_from_ns: int = 0) -> None:
        """Begin: intended starts count from `origin_ns`, measured ones from `measure_from_ns`."""
        self._origin_ns = origin_ns
        self._measure_from_ns = max(origin_ns, measure_from_ns)
        self._timer = self._open_timer(self._wake)
        self._advance()
        self._taken_ns = 0
        self._arm()

    def take(self) -> int:
        """The intended start of the caller's next call, ns on the clock; waits for its time.

        The oldest due arrival goes to whoever asks first.
        """
        late_ns = self._clock() - self.next_ns
        if late_ns >= -self._ahead_ns:
            counters = self.counters
            counters.offered += 1
            if self._parked or late_ns < 0:  # a user was free when it was due
                counters.dispatched_ns.append(self.next_ns)
                counters.dispatch_delays_ns.append(max(0, late_ns))
            else:
                counters.queued += 1
                counters.least_free = 0
            intended = self.next_ns
            self._advance()
            return intended
        if self._rehearsal_calls > 0:
            self._rehearsal_calls -= 1
            return self._clock()
        me = getcurrent()
        self._parked.append(me)
        if len(self._parked) == 1:
            self._arm()
        try:
            handed: int = self._switch()
        except BaseException:
            if me in self._parked:
                self._parked.remove(me)
            raise
        return handed

    @property
    def free_users(self) -> int:
        """Users parked and waiting."""
        return len(self._parked)

    def add_hand_over(self, intended_ns: int, hand_over_ns: int) -> None:
        """A call began in another thread, `hand_over_ns` after its user was ready to call.

        This is part of the arrival's dispatch delay. An arrival that found every user busy, or that
        was dispatched in an earlier second, gets a sample of its own. Nothing is noted outside of
        the run.
        """
        if self._timer is None:
            return
        counters = self.counters
        dispatched_ns = counters.dispatched_ns
        for place in range(len(dispatched_ns) - 1, -1, -1):
            if dispatched_ns[place] <= intended_ns:
                if dispatched_ns[place] == intended_ns:
                    counters.dispatch_delays_ns[place] += hand_over_ns
                    return
                break
        dispatched_ns.append(intended_ns)
        counters.dispatch_delays_ns.append(hand_over_ns)

    def stop_offering(self, end_ns: int) -> None:
        """No arrival after `end_ns`; those already due are still handed out."""
        self._end_ns = end_ns
        if self.next_ns > end_ns:
            self.next_ns = NEVER
            self._arm()

    def abandon(self) -> Nanoseconds:
        """Close, and return the intended starts still waiting for a user."""
        until = min(self._clock(), self._end_ns)
        waiting = np.zeros(0, np.int64)
        if self.next_ns <= until:
            rest = np.fromiter(self._chunk, np.int64) + self._origin_ns
            chunks = [np.array([self.next_ns], np.int64), rest]
            while (
                not chunks[-1].size or chunks[-1][-1] <= until
            ):  # by the chunk: there may be millions
                chunk = next(self._schedule, None)
                if chunk is None:
                    break
                chunks.append(chunk + self._origin_ns)
            waiting = np.concatenate(chunks)
            waiting = waiting[waiting <= until]
        self.next_ns = NEVER
        if self._timer:
            self._timer.close()
            self._timer = None
        return np.array(waiting, np.int64)

    def read_counters(self) -> SecondCounters:
        """What has happened since the last reading."""
        free = len(self._parked)
        counters, self.counters = self.counters, SecondCounters(least_free=free)
        counters.least_free = min(counters.least_free, free)
        return counters

    def read_scheduled(self, until_ns: int) -> int:
        """Measured arrivals that the schedule holds up to `until_ns`, after those read before.

        They are counted in the schedule itself, whether or not a user has got them. None is counted
        after `stop_offering`, except one that a user got ahead of its time.
        """
        last_ns = min(until_ns, max(self._end_ns, self._taken_ns))
        warm_up_ns = min(last_ns, self._measure_from_ns - 1)
        self._schedule.take_count(warm_up_ns - self._origin_ns)
        return self._schedule.take_count(last_ns - self._origin_ns)

    def _wake_for_rehearsal(self) -> None:
        for _ in range(min(len(self._parked), self._rehearsal_calls, self._rehearsal_users)):
            if self._parked and self._rehearsal_calls > 0:  # both may change meanwhile
                self._rehearsal_calls -= 1
                self._parked.popleft().switch(self._clock())

    def _wake(self) -> None:
        parked, clock = self._parked, self._clock
        while parked:
            late_ns = clock() - self.next_ns
            if late_ns < -self._ahead_ns:
                break
            user = parked.popleft()
            intended = self.next_ns
            counters = self.counters
            counters.offered += 1
            counters.dispatched_ns.append(intended)
            counters.dispatch_delays_ns.append(max(0, late_ns))
            counters.least_free = min(counters.least_free, len(parked))
            self._advance()
            user.switch(intended)
        self._arm()

    def _advance(self) -> None:
        self._taken_ns = self.next_ns
        offset_ns = next(self._chunk, None)
        while offset_ns is None:  # a chunk may be empty
            chunk = next(self._schedule, None)
            if chunk is None:
                self.next_ns = NEVER
                return
            self._chunk = iter(chunk.tolist())
            offset_ns = next(self._chunk, None)
        due = self._origin_ns + offset_ns
        self.next_ns = due if due <= self._end_ns else NEVER

    def _arm(self) -> None:
        if self._timer is None:
            return
        if self._parked and self.next_ns < NEVER:
            self._timer.arm(self.next_ns - self._ahead_ns)
        else:
            self._timer.disarm()
