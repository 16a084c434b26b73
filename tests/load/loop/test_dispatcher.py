from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import gevent
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtests.load.loop.dispatcher import NEVER, ArrivalDispatcher
from tests.load.clockwork import MS, Clockwork

ORIGIN_MS = 6_000


def schedule(*chunks: Sequence[float]) -> Iterator[np.ndarray]:
    """Arrivals in milliseconds after the origin, in chunks."""
    return (np.array([int(at * MS) for at in chunk], np.int64) for chunk in chunks)


class Users:
    """Greenlets that take arrivals; the k-th call taken lasts `service_ms[k]`."""

    def __init__(
        self, world: Clockwork, dispatcher: ArrivalDispatcher, count: int, service_ms: list[float]
    ) -> None:
        self.world, self.dispatcher = world, dispatcher
        self.service_ms = service_ms
        self.taken: list[tuple[float, float]] = []  # intended and actual start, ms from origin
        self.by: list[int] = []
        self.done = 0
        self.greenlets = [gevent.spawn(self._live, number) for number in range(count)]
        world.settle()

    def _live(self, number: int) -> None:
        while True:
            intended = self.dispatcher.take()
            call = len(self.taken)
            self.taken.append((ms(intended), ms(self.world.now_ns)))
            self.by.append(number)
            self.world.sleep(int(self.service_ms[call % len(self.service_ms)] * MS))
            self.done += 1

    def intended(self) -> list[float]:
        return [at for at, _ in self.taken]

    def close(self) -> None:
        gevent.killall(self.greenlets)


def ms(at_ns: int) -> float:
    return at_ns / MS - ORIGIN_MS


@pytest.fixture
def world() -> Clockwork:
    return Clockwork()


class Stage:
    """A dispatcher with users, started at the origin."""

    def __init__(
        self,
        world: Clockwork,
        chunks: Sequence[Sequence[float]],
        users: int = 1,
        service_ms: Sequence[float] = (1.0,),
    ) -> None:
        self.world = world
        self.dispatcher = ArrivalDispatcher(schedule(*chunks), clock=world.clock, timer=world.timer)
        self.users = Users(world, self.dispatcher, users, list(service_ms))
        self.dispatcher.start(ORIGIN_MS * MS)

    def run_to(self, at_ms: float) -> None:
        self.world.run_to(int((ORIGIN_MS + at_ms) * MS))

    def stall_to(self, at_ms: float) -> None:
        self.world.stall_to(int((ORIGIN_MS + at_ms) * MS))

    def abandoned(self) -> list[float]:
        return [ms(at) for at in self.dispatcher.abandon().tolist()]


MakeStage = Callable[..., Stage]


@pytest.fixture
def stage(world: Clockwork) -> Iterator[MakeStage]:
    stages: list[Stage] = []

    def make(
        chunks: Sequence[Sequence[float]], users: int = 1, service_ms: Sequence[float] = (1.0,)
    ) -> Stage:
        stages.append(Stage(world, chunks, users, service_ms))
        return stages[-1]

    yield make
    for each in stages:
        each.users.close()


def test_an_arrival_is_handed_over_on_time_to_a_user_that_waits(stage: MakeStage) -> None:
    here = stage([[10, 20.5, 30]], users=2)
    here.run_to(9)
    assert here.users.taken == []
    assert here.dispatcher.free_users == 2
    here.run_to(100)
    assert here.users.taken == [(10, 10), (20.5, 20.5), (30, 30)]
    counters = here.dispatcher.read_counters()
    assert (counters.offered, counters.queued) == (3, 0)
    assert counters.dispatch_delays_ns == [0, 0, 0]


def test_the_oldest_arrival_goes_first_with_its_intended_start_unchanged(
    stage: MakeStage,
) -> None:
    here = stage([[10, 20, 30], [40, 300]], users=1, service_ms=[100])
    here.run_to(500)
    assert here.users.taken == [(10, 10), (20, 110), (30, 210), (40, 310), (300, 410)]
    counters = here.dispatcher.read_counters()
    assert (counters.offered, counters.queued) == (5, 4)
    assert counters.dispatch_delays_ns == [0]  # waiting for a busy user is no dispatch delay
    assert counters.least_free == 0


def test_a_late_wake_up_is_lateness_and_the_rest_of_the_backlog_is_queued(
    stage: MakeStage,
) -> None:
    here = stage([[10, 20, 30, 40, 50]], users=3, service_ms=[100])
    here.run_to(5)
    here.stall_to(60)
    assert here.users.taken == [(10, 60), (20, 60), (30, 60)]
    here.run_to(500)
    assert here.users.intended() == [10, 20, 30, 40, 50]
    counters = here.dispatcher.read_counters()
    assert (counters.offered, counters.queued) == (5, 2)
    assert counters.dispatch_delays_ns == [50 * MS, 40 * MS, 30 * MS]


def test_a_user_that_comes_while_another_should_have_been_woken_counts_as_late(
    stage: MakeStage,
) -> None:
    """It runs before the timer does, after a standstill: somebody was free all along."""
    here = stage([[10, 30, 31]], users=2, service_ms=[15])
    here.run_to(12)  # one user calls until 25, the other is parked
    here.world.now_ns = (ORIGIN_MS + 40) * MS
    call = next(t for t in here.world.timers if t.at_ns == (ORIGIN_MS + 25) * MS)
    here.world._fire(call)  # the call's answer is read first
    assert here.users.taken[1:2] == [(30, 40)]
    here.run_to(100)
    counters = here.dispatcher.read_counters()
    assert (counters.offered, counters.queued) == (3, 0)
    assert counters.dispatch_delays_ns == [0, 10 * MS, 9 * MS]


def test_a_reading_starts_the_tally_anew(stage: MakeStage) -> None:
    here = stage([[10, 20]], users=4, service_ms=[1, 300])
    here.run_to(5)
    assert here.dispatcher.read_counters().least_free == 4
    here.run_to(15)
    first = here.dispatcher.read_counters()
    assert (first.offered, first.least_free) == (1, 3)
    here.run_to(100)
    second = here.dispatcher.read_counters()
    assert (second.offered, second.least_free) == (1, 3)
    assert here.dispatcher.read_counters().least_free == 3  # one user is in its call all the while


def test_a_killed_user_leaves_the_queue(stage: MakeStage) -> None:
    here = stage([[10, 20, 30]], users=3)
    gevent.kill(here.users.greenlets[0])
    here.world.settle()
    assert here.dispatcher.free_users == 2
    here.run_to(15)
    assert here.users.intended() == [10]
    gevent.killall(here.users.greenlets[1:])
    here.world.settle()
    assert here.dispatcher.free_users == 0
    here.run_to(100)
    assert here.users.intended() == [10]
    assert here.users.by[0] != 0
    assert here.abandoned() == [20, 30]


def test_a_user_may_come_back_to_a_lane_that_all_had_left(stage: MakeStage) -> None:
    here = stage([[10, 50]], users=1)
    here.users.close()
    here.run_to(20)
    late = Users(here.world, here.dispatcher, 1, [1.0])
    here.run_to(100)
    assert late.taken == [(10, 20), (50, 50)]
    assert here.dispatcher.read_counters().queued == 1
    late.close()


def test_after_the_end_only_what_was_due_is_handed_out(stage: MakeStage) -> None:
    here = stage([[10, 20, 30, 40, 50, 60]], users=1, service_ms=[25])
    here.run_to(35)
    here.dispatcher.stop_offering((ORIGIN_MS + 35) * MS)
    here.run_to(1_000)
    assert here.users.intended() == [10, 20, 30]
    assert here.dispatcher.next_ns == NEVER
    assert here.abandoned() == []


def test_an_arrival_at_the_very_end_still_belongs_to_the_run(stage: MakeStage) -> None:
    here = stage([[10, 35, 36]], users=0)
    here.run_to(35)
    here.dispatcher.stop_offering((ORIGIN_MS + 35) * MS)
    assert here.abandoned() == [10, 35]


def test_the_end_disarms_the_timer_of_an_arrival_beyond_it(stage: MakeStage) -> None:
    here = stage([[10, 5_000]], users=1)
    here.run_to(35)
    here.dispatcher.stop_offering((ORIGIN_MS + 35) * MS)
    here.run_to(10_000)
    assert here.users.intended() == [10]
    assert here.dispatcher.free_users == 1


def test_abandoning_returns_what_waits_and_closes_the_lane(stage: MakeStage) -> None:
    here = stage([[10, 20, 30], [40], [500]], users=1, service_ms=[1_000])
    here.run_to(45)
    assert here.abandoned() == [20, 30, 40]
    here.run_to(5_000)
    assert here.users.intended() == [10]
    assert here.abandoned() == []
    [timer] = [t for t in here.world.timers if t.callback == here.dispatcher._wake]
    assert timer.closed == 1


def test_empty_chunks_are_skipped(stage: MakeStage) -> None:
    here = stage([[], [10], [], [], [20], []], users=1)
    here.run_to(100)
    assert here.users.intended() == [10, 20]
    assert here.dispatcher.next_ns == NEVER


def test_an_empty_schedule_offers_nothing(stage: MakeStage) -> None:
    here = stage([], users=1)
    here.run_to(1_000)
    assert here.users.taken == []
    assert here.dispatcher.read_counters().offered == 0


def test_arrivals_at_one_instant_each_get_a_user(stage: MakeStage) -> None:
    here = stage([[10, 10, 10, 10]], users=3, service_ms=[5])
    here.run_to(100)
    assert here.users.taken == [(10, 10), (10, 10), (10, 10), (10, 15)]
    counters = here.dispatcher.read_counters()
    assert (counters.offered, counters.queued) == (4, 1)


def oracle(due: Sequence[float], service: Sequence[float], users: int) -> tuple[list[float], int]:
    """When each call of a first-come-first-served queue begins, and how many had to wait."""
    free = [-1.0] * users
    begun, waited = [], 0
    for at, lasts in zip(due, service, strict=True):
        soonest = min(range(users), key=lambda u: free[u])
        start = max(at, free[soonest])
        waited += free[soonest] >= at
        free[soonest] = start + lasts
        begun.append(start)
    return begun, waited


@settings(max_examples=80)
@given(
    st.lists(st.integers(0, 400), min_size=1, max_size=60).map(sorted),
    st.lists(st.integers(1, 120), min_size=60, max_size=60),
    st.integers(1, 5),
    st.lists(st.integers(1, 400), max_size=5),
    st.integers(0, 300),
)
def test_nothing_is_dropped_and_calls_begin_as_in_a_plain_queue(
    due: list[int], service: list[int], users: int, cuts: list[int], end: int
) -> None:
    # halves, so that no call ends at the instant another is due
    lasts = [each + 0.5 for each in service]
    edges = sorted({0, len(due), *(c % (len(due) + 1) for c in cuts)})
    chunks = [due[a:b] for a, b in pairwise(edges)] + [[]]
    here = Stage(Clockwork(), [*chunks], users, lasts)
    try:
        here.run_to(end)
        here.dispatcher.stop_offering((ORIGIN_MS + end) * MS)
        offered = [at for at in due if at <= end]
        begun, waited = oracle(offered, lasts[: len(offered)], users)
        here.run_to(end + 50)
        started = [(a, b) for a, b in zip(offered, begun, strict=True) if b <= end + 50]
        assert here.users.taken == started
        counters = here.dispatcher.read_counters()
        assert counters.offered == len(started)
        assert counters.offered == counters.queued + len(counters.dispatch_delays_ns)
        assert set(counters.dispatch_delays_ns) <= {0}
        if len(started) == len(offered):
            assert counters.queued == waited
        assert here.abandoned() == offered[len(started) :]
    finally:
        here.users.close()


@settings(max_examples=60)
@given(
    st.lists(st.integers(0, 400), min_size=1, max_size=60).map(sorted),
    st.integers(1, 4),
    st.lists(st.integers(1, 600), max_size=6).map(sorted),
)
def test_whatever_stands_still_every_arrival_is_handed_over_once_in_order(
    due: list[int], users: int, stalls: list[int]
) -> None:
    here = Stage(Clockwork(), [due], users, [7.5])
    try:
        for at in stalls:
            here.run_to(max(at - 40, 0))
            here.stall_to(at)
        here.run_to(5_000)
        assert here.users.intended() == due
        assert all(actual >= intended for intended, actual in here.users.taken)
        counters = here.dispatcher.read_counters()
        assert counters.offered == len(due) == counters.queued + len(counters.dispatch_delays_ns)
        late = {int((b - a) * MS) for a, b in here.users.taken}
        assert set(counters.dispatch_delays_ns) <= late
        assert here.abandoned() == []
    finally:
        here.users.close()


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.integers(5, 60), min_size=1, max_size=12, unique=True).map(sorted),
    st.integers(0, 4),
    st.integers(1, 3),
)
def test_ahead_of_their_time_arrivals_are_handed_over_by_so_much_at_most(
    starts: list[int], ahead: int, count: int
) -> None:
    world = Clockwork()
    dispatcher = ArrivalDispatcher(
        schedule([float(at) for at in starts]),
        clock=world.clock,
        timer=world.timer,
        ahead_ns=ahead * MS,
    )
    users = Users(world, dispatcher, count, [2.0])
    dispatcher.start(ORIGIN_MS * MS)
    world.run_to((ORIGIN_MS + 500) * MS)
    assert users.intended() == starts
    free = [-1.0] * count  # when each user is free again
    for intended, taken in users.taken:
        first = min(free)
        assert taken == max(intended - ahead, first)
        free[free.index(first)] = taken + 2
    counters = dispatcher.read_counters()
    assert counters.offered == len(starts)
    assert all(late == 0 for late in counters.dispatch_delays_ns)  # to be early is not to be late
    late_ones = sum(taken > intended for intended, taken in users.taken)
    assert late_ones <= counters.queued <= sum(t >= i for i, t in users.taken)
    assert counters.queued + len(counters.dispatch_delays_ns) == len(starts)
    users.close()


# --- the rehearsal


def test_a_rehearsal_takes_nothing_from_the_schedule_and_counts_as_no_arrival(
    world: Clockwork,
) -> None:
    dispatcher = ArrivalDispatcher(schedule([10, 20]), clock=world.clock, timer=world.timer)
    users = Users(world, dispatcher, 3, [2.0])
    assert users.taken == []
    dispatcher.rehearse(7)
    world.settle()
    assert users.by == [0, 1, 2]  # every user takes part
    world.run_to(world.now_ns + 20 * MS)
    assert (users.done, dispatcher.rehearsal_calls, dispatcher.free_users) == (7, 0, 3)
    assert all(intended == actual for intended, actual in users.taken)
    counters = dispatcher.read_counters()
    assert (counters.offered, counters.queued, counters.dispatched_ns) == (0, 0, [])
    dispatcher.start(ORIGIN_MS * MS)
    world.run_to((ORIGIN_MS + 30) * MS)
    assert users.intended()[7:] == [10, 20]
    assert dispatcher.read_counters().offered == 2
    users.close()


def test_after_the_end_of_a_rehearsal_no_further_call_begins(world: Clockwork) -> None:
    dispatcher = ArrivalDispatcher(schedule([10]), clock=world.clock, timer=world.timer)
    users = Users(world, dispatcher, 2, [5.0])
    dispatcher.rehearse(100)
    world.settle()
    world.run_to(world.now_ns + 12 * MS)
    dispatcher.end_rehearsal()
    world.run_to(world.now_ns + 100 * MS)
    assert (users.done, dispatcher.free_users) == (6, 2)
    users.close()


def test_a_rehearsal_of_fewer_calls_than_users_wakes_only_so_many(world: Clockwork) -> None:
    dispatcher = ArrivalDispatcher(schedule([10]), clock=world.clock, timer=world.timer)
    users = Users(world, dispatcher, 5, [5.0])
    dispatcher.rehearse(2)
    world.settle()
    world.run_to(world.now_ns + 50 * MS)
    assert (users.by, dispatcher.free_users) == ([0, 1], 5)
    users.close()


def test_a_rehearsal_may_be_made_by_a_few_users(world: Clockwork) -> None:
    dispatcher = ArrivalDispatcher(schedule([10]), clock=world.clock, timer=world.timer)
    users = Users(world, dispatcher, 5, [5.0])
    dispatcher.rehearse(6, users=2)
    world.settle()
    world.run_to(world.now_ns + 100 * MS)
    assert (len(users.by), set(users.by), dispatcher.free_users) == (6, {0, 1}, 5)
    users.close()


def test_the_hand_over_to_another_thread_is_part_of_the_dispatch_delay(stage: MakeStage) -> None:
    here = stage([[10, 20, 21]], users=1, service_ms=[5])
    here.dispatcher.add_hand_over(int((ORIGIN_MS + 5) * MS), 1)  # sampled by itself
    here.run_to(30)
    for due, hand_over_ns in ((10, 300), (20, 400), (21, 500)):
        here.dispatcher.add_hand_over(int((ORIGIN_MS + due) * MS), hand_over_ns)
    counters = here.dispatcher.read_counters()
    assert (counters.offered, counters.queued) == (3, 1)
    delays = dict(zip(map(ms, counters.dispatched_ns), counters.dispatch_delays_ns, strict=True))
    assert delays == {5: 1, 10: 300, 20: 400, 21: 500}
    # its second has been closed
    here.dispatcher.add_hand_over(int((ORIGIN_MS + 20) * MS), 600)
    assert here.dispatcher.read_counters().dispatch_delays_ns == [600]


def test_a_hand_over_before_the_run_is_no_delay_of_it(world: Clockwork) -> None:
    dispatcher = ArrivalDispatcher(schedule([10]), clock=world.clock, timer=world.timer)
    dispatcher.add_hand_over(5, 6)
    assert dispatcher.read_counters().dispatch_delays_ns == []
