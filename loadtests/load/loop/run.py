"""One process's part in a run: dispatchers, recorder, health and scribe, from begin to finish.

Times are nanoseconds on the monotonic clock. Time 0 of the run is `origin_ns`; calls whose intended
start lies before `measure_from_ns` are warm-up.
"""

from __future__ import annotations

import gc
import time
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

import gevent
import numpy as np

from loadtests.load.loop.delay_sampler import CAN_SAMPLE, DelaySampler, HandOver
from loadtests.load.loop.dispatcher import NEVER, ArrivalDispatcher
from loadtests.load.loop.heartbeat import BEAT_NS, Heartbeat
from loadtests.load.loop.timer import Timer, open_timer
from loadtests.measure.health.probes import ProcessProbe, SecondFigures
from loadtests.measure.messages import Frame, RunClock, SecondEnded
from loadtests.measure.recorder import Recorder, SeriesPair, SeriesRecorder
from loadtests.measure.results import RehearsalInfo
from loadtests.measure.series import subject_of
from loadtests.stores.asyncio_calls import hand_over_of_process

DRAIN_S: Final = 2.0  # how long started and waiting calls may still end after the last arrival
LEAD_NS: Final = 100_000_000
REHEARSAL_DRAIN_NS: Final = 500_000_000  # how long calls of the rehearsal may still end
_REHEARSAL_POLL_S: Final = 0.02
FREEZE_BEFORE_NS: Final = 1_500_000_000
_SECOND_NS: Final = 1_000_000_000

RunState = Literal["new", "rehearsing", "running", "finishing", "finished", "cancelled"]


class Caller(Protocol):
    """A user as the run sees it: `intended_ns` of the call it is in, or 0."""

    intended_ns: int
    series: SeriesRecorder
    recorded: bool


class FrameSink(Protocol):
    """Where frames go: `scribe_client.ScribeClient`."""

    def send(self, frame: Frame, payload: bytes = b"") -> None:
        """Send a frame."""

    def send_packed(self, packed: bytes) -> None:
        """Send a frame that is packed already."""

    def flush(self) -> None:
        """Go on with what could not be sent yet."""


@dataclass(slots=True, eq=False)
class CallerGroup:
    """A dispatcher with its users and the (warm-up, measured) series of its access patterns."""

    dispatcher: ArrivalDispatcher
    pairs: list[SeriesPair]
    users: list[Caller] = field(default_factory=list)

    @property
    def subject(self) -> str:
        """The backend and driver that its calls go to; empty without access patterns."""
        if not self.pairs:
            return ""
        return subject_of(self.backend, self.pairs[0][0].driver)

    @property
    def backend(self) -> str:
        """The backend that its calls go to; empty without access patterns."""
        return self.pairs[0][0].backend if self.pairs else ""


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """Calls made at full speed before time 0, so that a fresh database's code is compiled by then.

    `calls` are this process's calls per dispatcher, `users` how many users of each make them, both
    in the order of the dispatchers; `longest_s` ends the rehearsal before they are all made.
    """

    calls: Sequence[int]
    users: Sequence[int]
    longest_s: float


class LoadRun:
    """The load of one process; every call of a user goes through its dispatcher and series.

    `hand_over` is asked, when the run begins, for the way into the loop of asyncio clients.
    """

    def __init__(
        self,
        *,
        scribe: FrameSink,
        worker: str,
        warm_up_s: float,
        clock: Callable[[], int] = time.monotonic_ns,
        timer: Callable[[Callable[[], None]], Timer] = open_timer,
        sample_delays: bool = CAN_SAMPLE,
        hand_over: Callable[[], HandOver | None] = hand_over_of_process,
    ) -> None:
        self.recorder = Recorder()
        self.groups: list[CallerGroup] = []
        self.measure_from_ns = 1 << 62
        self.invalid_responses = 0
        self.state: RunState = "new"
        self._scribe = scribe
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
        self._sampler = DelaySampler(clock=clock, timer=timer) if sample_delays else None
        self._hand_over = hand_over
        self._origin_ns = 0
        self._closed_ns = 0
        self._index = -1
        self._frozen = False
        self._rehearsed: RehearsalInfo | None = None  # until the scribe has it

    def add_dispatcher(self, dispatcher: ArrivalDispatcher, pairs: list[SeriesPair]) -> CallerGroup:
        """Let a dispatcher take part in the run; its users are added to the group returned."""
        group = CallerGroup(dispatcher, pairs)
        self.groups.append(group)
        return group

    def rehearse(self, rehearsal: Rehearsal) -> int:
        """Let the users make calls at full speed; returns how many they made.

        They are forgotten: calls of a closed loop say nothing about arrivals. Afterwards the run is
        new again, unless it was ended meanwhile.
        """
        self.state = "rehearsing"
        began_ns = self._clock()
        stop_ns = began_ns + int(rehearsal.longest_s * 1e9)
        end_ns = stop_ns + REHEARSAL_DRAIN_NS
        planned = list(zip(self.groups, rehearsal.calls, strict=True))
        for (group, calls), users in zip(planned, rehearsal.users, strict=True):
            group.dispatcher.rehearse(calls, users)
        while self.state == "rehearsing" and self._clock() < stop_ns:
            if not any(group.dispatcher.rehearsal_calls for group, _ in planned):
                break
            gevent.sleep(_REHEARSAL_POLL_S)
        made: Counter[str] = Counter()
        for group, calls in planned:
            if calls:
                made[group.backend] += calls - group.dispatcher.rehearsal_calls
        for group, _ in planned:
            group.dispatcher.end_rehearsal()
        while self.state == "rehearsing" and self._clock() < end_ns:
            if not any(self._unfinished()):
                break
            gevent.sleep(_REHEARSAL_POLL_S)
        self.recorder.drain()
        self.invalid_responses = 0
        if self.state == "rehearsing":
            self.state = "new"
        seconds = (self._clock() - began_ns) / 1e9
        self._rehearsed = RehearsalInfo(calls=dict(made), seconds=seconds)
        return made.total()

    def begin(self, origin_ns: int | None = None) -> None:
        """Start the arrivals at `origin_ns`; where None, in 0.1 seconds."""
        self.state = "running"
        self._origin_ns = self._closed_ns = origin_ns or self._clock() + LEAD_NS
        self.measure_from_ns = self._origin_ns + self._warm_up_ns
        self._probe.watch_gc()
        self._probe.read()
        for group in self.groups:
            group.dispatcher.start(self._origin_ns, self.measure_from_ns)
        self._heartbeat.start(self._origin_ns)
        if self._sampler:
            self._sampler.start(self._origin_ns, self._hand_over())

    def finish(self) -> None:
        """Stop offering arrivals, give calls 2 s to end, count the rest at their age, close."""
        if self._sampler:
            # what the end costs (Locust inspects its stack for 30 ms) delays no measured call
            self._sampler.stop()
        if self.state in ("new", "rehearsing"):
            self._heartbeat.stop()
        if self.state == "rehearsing":
            self.state = "cancelled"
        if self.state != "running":
            return
        self.state = "finishing"
        end_ns = self._clock()
        self._scribe.send(RunClock(origin=self._origin_ns, end=end_ns))
        for group in self.groups:
            group.dispatcher.stop_offering(end_ns)
        with gevent.Timeout(DRAIN_S, False):
            while any(self._unfinished()):
                gevent.sleep(0.005)
        now_ns = self._clock()
        for group in self.groups:
            self._censor(group, now_ns)
        self._heartbeat.stop()
        self._drain()
        self._close_second(last=True)
        self._probe.close()
        if self._frozen:
            gc.unfreeze()
        self.state = "finished"

    def _unfinished(self) -> Iterable[bool]:
        for group in self.groups:
            yield group.dispatcher.next_ns <= self._clock()
            yield from (bool(user.intended_ns) for user in group.users)

    def _censor(self, group: CallerGroup, now_ns: int) -> None:
        """Record calls that have not ended, and arrivals that no user took, at their age."""
        for user in group.users:
            if user.intended_ns and not user.recorded:
                user.series.record_unfinished(np.array([user.intended_ns], np.int64), now_ns)
        waiting = group.dispatcher.abandon()
        # no pattern was drawn for these arrivals, so they are shared out evenly
        for index, pair in enumerate(group.pairs):
            starts_ns = waiting[index :: len(group.pairs)]
            measured = starts_ns >= self.measure_from_ns
            for series, part in zip(pair, (starts_ns[~measured], starts_ns[measured]), strict=True):
                if part.size:
                    series.record_unfinished(part, now_ns)

    def _drain(self) -> None:
        frame = self.recorder.drain()
        if frame:
            self._scribe.send_packed(frame)
        else:
            self._scribe.flush()

    def _close_second(self, *, last: bool = False) -> None:
        now_ns = self._clock()
        scheduled: Counter[str] = Counter()
        for group in self.groups:
            scheduled[group.subject] += group.dispatcher.read_scheduled(NEVER if last else now_ns)
        event_loop = self._sampler.read() if self._sampler else b""
        counters = [group.dispatcher.read_counters() for group in self.groups]
        dispatched: array[int] = array("q")
        dispatch_delays: array[int] = array("q")
        for each in counters:
            dispatched.extend(each.dispatched_ns)
            dispatch_delays.extend(each.dispatch_delays_ns)
        # a stall skips seconds; none is closed twice
        self._index = max(self._index + 1, self._second_of(now_ns) - 1)
        users = [user for group in self.groups for user in group.users]
        second = SecondFigures(
            worker=self._worker,
            time_s=(self._closed_ns - self._origin_ns) / 1e9,
            length_s=max(0, now_ns - self._closed_ns) / 1e9,  # before time 0 nothing has passed
            # a stall that reaches into the measured part counts, wherever it began
            warm_up=now_ns <= self.measure_from_ns + BEAT_NS,
            offered=sum(each.offered for each in counters),
            queued=sum(each.queued for each in counters),
            behind_ms=self._behind_ms(now_ns),
            users=len(users),
            free_users_min=sum(min(each.least_free, len(users)) for each in counters),
            in_flight=sum(bool(user.intended_ns) for user in users),
            invalid_responses=self.invalid_responses,
            scheduled=scheduled.total(),
        )
        frame = SecondEnded(
            index=self._index,
            end_ns=now_ns,
            second=second,
            process=self._probe.read(),
            dispatch_delays=len(dispatch_delays),
            scheduled=scheduled,
            last=last,
            rehearsal=self._rehearsed,
        )
        self._scribe.send(frame, dispatched.tobytes() + dispatch_delays.tobytes() + event_loop)
        self.invalid_responses = 0
        self._rehearsed = None
        self._closed_ns = now_ns
        if not self._frozen and now_ns > self.measure_from_ns - FREEZE_BEFORE_NS - _SECOND_NS:
            self._freeze()

    def _second_of(self, now_ns: int) -> int:
        """The number of the second, counted from time 0, in which a moment lies."""
        return (now_ns - self._origin_ns) // _SECOND_NS

    def _behind_ms(self, now_ns: int) -> float:
        """The age of the oldest arrival that waits for a user."""
        ages_ms = [(now_ns - group.dispatcher.next_ns) / 1e6 for group in self.groups]
        return max(0.0, *ages_ms, 0.0)

    def _freeze(self) -> None:
        """Collect garbage once before the measured part, and exempt what then lives from GC."""
        self._frozen = True
        if self._clock() < self.measure_from_ns:
            gc.collect()
        gc.freeze()
