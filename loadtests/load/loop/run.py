"""One process's part in a run: its lanes, recorder, health and scribe, from start to last second.

Times are nanoseconds on the monotonic clock. Time 0 of the run is `origin_ns`; calls whose intended
start lies before `measure_from_ns` are warm-up.
"""

from __future__ import annotations

import gc
import time
from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import gevent
import numpy as np

from loadtests.load.loop.delay_sampler import CAN_SAMPLE, DelaySampler
from loadtests.load.loop.dispatcher import ArrivalDispatcher
from loadtests.load.loop.heartbeat import BEAT_NS, Heartbeat
from loadtests.load.loop.scribe_client import ScribeClient
from loadtests.load.loop.timer import Timer, open_timer
from loadtests.measure.health.probes import ProcessProbe
from loadtests.measure.recorder import Recorder, SeriesPair, SeriesRecorder

DRAIN_S: Final = 2.0  # how long started and waiting calls may still end after the last arrival
LEAD_NS: Final = 100_000_000
FREEZE_BEFORE_NS: Final = 1_500_000_000


class Caller(Protocol):
    """A user as the run sees it: `intended_ns` of the call it is in, or 0."""

    intended_ns: int
    series: SeriesRecorder
    recorded: bool


@dataclass(slots=True, eq=False)
class CallerGroup:
    """A lane with its users and the (warm-up, measured) series of its access patterns."""

    dispatcher: ArrivalDispatcher
    pairs: list[SeriesPair]
    users: list[Caller] = field(default_factory=list)


class LoadRun:
    """Begins, ticks and finishes; everything a user does goes through its lane and series."""

    def __init__(
        self,
        *,
        link: ScribeClient,
        worker: str,
        warm_up_s: float,
        clock: Callable[[], int] = time.monotonic_ns,
        timer: Callable[[Callable[[], None]], Timer] = open_timer,
        sample_lag: bool = CAN_SAMPLE,
    ) -> None:
        self.recorder = Recorder()
        self.groups: list[CallerGroup] = []
        self.measure_from_ns = 1 << 62
        self.invalid_responses = 0
        self._link = link
        self._worker = worker
        self._warm_up_ns = int(warm_up_s * 1e9)
        self._clock = clock
        self._probe = ProcessProbe(clock)
        self._heartbeat = Heartbeat(
            on_beat=self._probe.beat,
            on_drain=self._drain,
            on_second=self._close_second,
            clock=clock,
            timer=timer,
        )
        self._sampler = DelaySampler(clock=clock, timer=timer) if sample_lag else None
        self._origin_ns = 0
        self._closed_ns = 0
        self._index = -1
        self._frozen = False
        self.state = "new"

    def add_dispatcher(self, dispatcher: ArrivalDispatcher, pairs: list[SeriesPair]) -> CallerGroup:
        """Take part in the run."""
        group = CallerGroup(dispatcher, pairs)
        self.groups.append(group)
        return group

    def begin(self) -> None:
        """Start the arrivals a moment from now."""
        self.state = "running"
        self._origin_ns = self._closed_ns = self._clock() + LEAD_NS
        self.measure_from_ns = self._origin_ns + self._warm_up_ns
        self._probe.watch_gc()
        self._probe.read()
        for group in self.groups:
            group.dispatcher.start(self._origin_ns)
        self._heartbeat.start(self._origin_ns)
        if self._sampler:
            self._sampler.start(self._origin_ns)

    def finish(self) -> None:
        """Stop offering, let calls end for a moment, count the rest at their age, close."""
        if self._sampler:
            # what ending costs (Locust inspects its stack for 30 ms) is no measured call's lag
            self._sampler.stop()
        if self.state == "new":
            self._heartbeat.stop()
        if self.state != "running":
            return
        self.state = "finishing"
        end_ns = self._clock()
        self._send_clock(end_ns)
        for group in self.groups:
            group.dispatcher.stop_offering(end_ns)
        with gevent.Timeout(DRAIN_S, False):
            while any(self._unfinished()):
                gevent.sleep(0.005)
        now = self._clock()
        for group in self.groups:
            self._censor(group, now)
        self._heartbeat.stop()
        self._drain()
        self._close_second()
        self._probe.close()
        if self._frozen:
            gc.unfreeze()
        self.state = "finished"

    def _send_clock(self, end_ns: int) -> None:
        """When load began and ended by this machine's monotonic clock."""
        facts = {"monotonic_ns": {"origin": self._origin_ns, "end": end_ns}}
        self._link.send({"kind": "info", "facts": facts})

    def _unfinished(self) -> Iterable[bool]:
        for group in self.groups:
            yield group.dispatcher.next_ns <= self._clock()
            yield from (bool(user.intended_ns) for user in group.users)

    def _censor(self, group: CallerGroup, now_ns: int) -> None:
        for user in group.users:
            if user.intended_ns and not user.recorded:
                user.series.record_unfinished(np.array([now_ns - user.intended_ns], np.int64))
        waiting = group.dispatcher.abandon()
        # nobody drew these calls' patterns, so they are shared out evenly
        for place, pair in enumerate(group.pairs):
            ours = waiting[place :: len(group.pairs)]
            measured = ours >= self.measure_from_ns
            for series, part in zip(pair, (ours[~measured], ours[measured]), strict=True):
                if part.size:
                    series.record_unfinished(now_ns - part)

    def _drain(self) -> None:
        frame = self.recorder.drain()
        if frame:
            self._link.send_packed(frame)
        else:
            self._link.flush()

    def _close_second(self) -> None:
        now = self._clock()
        lag = self._sampler.read() if self._sampler else b""
        dispatch_delays: array[int] = array("q")
        counters = [group.dispatcher.read_counters() for group in self.groups]
        for each in counters:
            dispatch_delays.extend(each.dispatch_delays_ns)
        start_s = (self._closed_ns - self._origin_ns) / 1e9
        length_s = max(0, now - self._closed_ns) / 1e9  # before time 0 nothing has passed
        # the second of the timetable that ends here: a standstill skips some, none comes twice
        self._index = max(self._index + 1, (now - self._origin_ns) // 1_000_000_000 - 1)
        users = [user for group in self.groups for user in group.users]
        row: dict[str, Any] = {
            "worker": self._worker,
            "time_s": start_s,
            "length_s": length_s,
            # a standstill that reaches into the measured part counts, wherever it began
            "warm_up": now <= self.measure_from_ns + BEAT_NS,
            "offered": sum(each.offered for each in counters),
            "queued": sum(each.queued for each in counters),
            "behind_ms": self._behind_ms(now),
            "users": len(users),
            "free_users_min": sum(min(each.least_free, len(users)) for each in counters),
            "in_flight": sum(bool(user.intended_ns) for user in users),
            "invalid_responses": self.invalid_responses,
            **self._probe.read(),
        }
        header = {
            "kind": "close",
            "source": self._worker,
            "index": self._index,
            "start_s": start_s,
            "length_s": length_s,
            "row": row,
            "sizes": [len(dispatch_delays), len(lag) // dispatch_delays.itemsize],
        }
        self._link.send(header, dispatch_delays.tobytes() + lag)
        self.invalid_responses = 0
        self._closed_ns = now
        if not self._frozen and now > self.measure_from_ns - FREEZE_BEFORE_NS - 1_000_000_000:
            self._freeze()

    def _behind_ms(self, now_ns: int) -> float:
        return max(0.0, *((now_ns - g.dispatcher.next_ns) / 1e6 for g in self.groups), 0.0)

    def _freeze(self) -> None:
        """Collect once while it does not count, then keep what lives out of later collections."""
        self._frozen = True
        if self._clock() < self.measure_from_ns:
            gc.collect()
        gc.freeze()
